#pragma once

/*
 * board: how the relay learns how far each worker's segment is durable. One
 * slot per worker process in memory shared through fork; its only writer is
 * the worker (the supervisor clears it when the worker is dead). A doorbell (an
 * eventfd) says "look again"; losing or merging rings loses nothing, because a
 * slot always tells the whole state.
 */

#include <stdatomic.h>
#include <stdint.h>

struct board_slot {
	_Atomic uint64_t segment; /* id of the segment being written; 0: none */
	_Atomic uint64_t durable; /* bytes of it that are on stable storage */
};

/* Writer: announces; `segment` changes only with durable beginning anew. */
void board_announce(struct board_slot *slot, uint64_t segment,
		    uint64_t durable);
/* Reader: a consistent pair. */
void board_look(const struct board_slot *slot, uint64_t *ret_segment,
		uint64_t *ret_durable);
