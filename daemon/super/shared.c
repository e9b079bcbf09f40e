#include "super/shared.h"

#include <stddef.h>
#include <sys/mman.h>

struct shared *shared_open(void)
{
	struct shared *s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE,
				MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (s == MAP_FAILED)
		return NULL;
	(void)madvise(s, sizeof(*s), MADV_DONTDUMP);
	if (!ticket_keys_init(&s->ticket_keys))
		return s;
	(void)munmap(s, sizeof(*s));
	return NULL;
}

void shared_forget(struct shared *s, uint32_t slot)
{
	for (enum metric m = 0; m < METRIC_N; m++)
		if (metric_is_gauge(m))
			metric_set(&s->metrics[slot], m, 0);
	board_announce(&s->board[slot], 0, 0);
}
