#include "base/slab.h"

#include "base/must.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/mman.h>

static size_t slab_free_bytes(const struct slab *s)
{
	return ((size_t)s->n * sizeof(*s->free) + 63) & ~(size_t)63;
}

size_t slab_bytes(const struct slab *s)
{
	return slab_free_bytes(s) + s->size * s->n;
}

/* Sizes come from the configuration; one that wraps would map too little. */
static bool slab_can_be_addressed(size_t size, uint32_t n)
{
	size_t most = (size_t)PTRDIFF_MAX / n;

	return most > 128 && size < most - 128; /* 128: rounding, an index */
}

int slab_init(struct slab *s, size_t size, uint32_t n)
{
	struct slab made = { .size = (size + 63) & ~(size_t)63, .n = n };
	uint8_t *map;

	MUST(size && n);
	if (!slab_can_be_addressed(size, n))
		return -ENOMEM;
	map = mmap(NULL, slab_bytes(&made), PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (map == MAP_FAILED)
		return -ENOMEM;
	(void)madvise(map, slab_bytes(&made), MADV_DONTDUMP);
	/* Else one object in use may come to occupy 2 MiB, where
	 * transparent_hugepage is "always". */
	(void)madvise(map, slab_bytes(&made), MADV_NOHUGEPAGE);
	made.free = (uint32_t *)(void *)map;
	made.base = map + slab_free_bytes(&made);
	made.free_n = n;
	for (uint32_t i = 0; i < n; i++)
		made.free[i] = n - 1 - i;
	*s = made;
	return 0;
}

void slab_fini(struct slab *s)
{
	if (s->free)
		(void)munmap(s->free, slab_bytes(s));
	*s = (struct slab){ 0 };
}

void *slab_take(struct slab *s)
{
	if (!s->free_n)
		return NULL;
	return slab_at(s, s->free[--s->free_n]);
}

void slab_give(struct slab *s, void *object)
{
	MUST(s->free_n < s->n);
	s->free[s->free_n++] = slab_index(s, object);
}

uint32_t slab_index(const struct slab *s, const void *object)
{
	size_t offset = (size_t)((const uint8_t *)object - s->base);

	MUST((const uint8_t *)object >= s->base && offset % s->size == 0 &&
	     offset / s->size < s->n);
	return (uint32_t)(offset / s->size);
}

void *slab_at(const struct slab *s, uint32_t index)
{
	MUST(index < s->n);
	return s->base + s->size * index;
}
