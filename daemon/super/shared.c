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
	static const enum metric gauges[] = {
		METRIC_CONNECTIONS_NOW,    METRIC_QUEUE_NOW,
		METRIC_QUEUE_DEFERRED_NOW, METRIC_QUEUE_HELD_NOW,
		METRIC_SEGMENTS_NOW,
	};

	for (size_t i = 0; i < sizeof(gauges) / sizeof(gauges[0]); i++)
		metric_set(&s->metrics[slot], gauges[i], 0);
	board_announce(&s->board[slot], 0, 0);
}
