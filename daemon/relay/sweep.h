#pragma once

/*
 * sweep: finds bodies of large messages that no message refers to any more,
 * left over by a crash, and removes them. What it may remove is listed once, at
 * start: bodies whose writer is done with them or dead. Each live message that
 * is then read takes its own off the list; when all segments were read, the
 * rest goes. A damaged segment may have hidden a message: then nothing goes.
 */

#include <stdbool.h>
#include <stdint.h>

struct runner;

struct sweep_body {
	uint64_t id; /* 0: the slot is free */
	bool needed;
};

struct sweep {
	struct sweep_body *bodies; /* open addressing */
	uint32_t slots_n;
	uint32_t n;
	bool damaged;
};

/* Lists, before any segment is read. Negative errno: nothing will be swept. */
int sweep_list(struct sweep *s, int files_dir);

/* A live message needs its body. */
void sweep_keep(struct sweep *s, uint64_t id);

/* A segment cannot be read in full. */
void sweep_spoil(struct sweep *s);

/* All segments were read: removes what is left; returns how many. */
uint32_t sweep_finish(struct sweep *s, int files_dir);

/* True while there is something to finish. */
static inline bool sweep_waits(const struct sweep *s)
{
	return s->bodies;
}
