#include "ring/bufring.h"

#include "base/must.h"

#include <errno.h>
#include <sys/mman.h>

static size_t shared_bytes(uint32_t n)
{
	return ((size_t)n * sizeof(struct io_uring_buf) + 4095) & ~(size_t)4095;
}

size_t bufring_bytes(uint32_t n, uint32_t size)
{
	return shared_bytes(n) + (size_t)n * size;
}

static void add(struct bufring *b, uint16_t index, int position)
{
	io_uring_buf_ring_add(b->shared, bufring_at(b, index), b->size, index,
			      io_uring_buf_ring_mask(b->n), position);
}

int bufring_init(struct bufring *b, struct ring *r, uint16_t group, uint32_t n,
		 uint32_t size)
{
	struct io_uring_buf_reg reg = { .ring_entries = n, .bgid = group };
	uint8_t *map;
	int result;

	MUST(n && n <= 32768 && !(n & (n - 1)));
	map = mmap(NULL, bufring_bytes(n, size), PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (map == MAP_FAILED)
		return -ENOMEM;
	(void)madvise(map, bufring_bytes(n, size), MADV_DONTDUMP);
	reg.ring_addr = (uint64_t)(uintptr_t)map;
	result = io_uring_register_buf_ring(&r->uring, &reg, 0);
	if (result) {
		(void)munmap(map, bufring_bytes(n, size));
		return result;
	}
	*b = (struct bufring){
		.shared = (struct io_uring_buf_ring *)(void *)map,
		.memory = map + shared_bytes(n),
		.n = n,
		.size = size,
		.group = group,
	};
	io_uring_buf_ring_init(b->shared);
	for (uint32_t i = 0; i < n; i++)
		add(b, (uint16_t)i, (int)i);
	io_uring_buf_ring_advance(b->shared, (int)n);
	return 0;
}

void bufring_fini(struct bufring *b, struct ring *r)
{
	(void)io_uring_unregister_buf_ring(&r->uring, b->group);
	(void)munmap(b->shared, bufring_bytes(b->n, b->size));
}

uint8_t *bufring_at(const struct bufring *b, uint16_t index)
{
	MUST(index < b->n);
	return b->memory + (size_t)index * b->size;
}

uint16_t bufring_take(struct bufring *b, uint32_t cqe_flags)
{
	MUST(cqe_flags & IORING_CQE_F_BUFFER);
	MUST(b->lent_n < b->n);
	b->lent_n++;
	return (uint16_t)(cqe_flags >> IORING_CQE_BUFFER_SHIFT);
}

void bufring_give(struct bufring *b, uint16_t index)
{
	MUST(b->lent_n);
	b->lent_n--;
	add(b, index, 0);
	io_uring_buf_ring_advance(b->shared, 1);
}
