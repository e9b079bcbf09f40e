/*
 * Two words without a lock. The writer takes `durable` back to 0 before it
 * names another segment, and ids never come again; so a reader that sees the
 * same id before and after reading `durable` has a length of that segment, or
 * 0, which only says less than is true.
 */
#include "spool/board.h"

#define LOOKS_MAX 4 /* segments do not change so fast: then say less */

void board_announce(struct board_slot *slot, uint64_t segment, uint64_t durable)
{
	if (atomic_load_explicit(&slot->segment, memory_order_relaxed) !=
	    segment) {
		atomic_store_explicit(&slot->durable, 0, memory_order_release);
		atomic_store_explicit(&slot->segment, segment,
				      memory_order_release);
	}
	atomic_store_explicit(&slot->durable, durable, memory_order_release);
}

void board_look(const struct board_slot *slot, uint64_t *ret_segment,
		uint64_t *ret_durable)
{
	uint64_t before, durable, after;

	for (int look = 0; look < LOOKS_MAX; look++) {
		before = atomic_load_explicit(&slot->segment,
					      memory_order_acquire);
		durable = atomic_load_explicit(&slot->durable,
					       memory_order_acquire);
		after = atomic_load_explicit(&slot->segment,
					     memory_order_acquire);
		if (before == after) {
			*ret_segment = before;
			*ret_durable = durable;
			return;
		}
	}
	*ret_segment = after;
	*ret_durable = 0;
}
