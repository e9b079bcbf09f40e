#pragma once

/*
 * tally: of each listener by itself, how the records of its sessions are made:
 * a part of the counters of metric.h, counted beside them. A process that
 * counts has a tally of its own in shared memory, with a row per listener, by
 * name, because a reload may put them in another order; rows are never given
 * up. Counting and reading are as in metric.h.
 */

#include "base/metric.h"

#define TALLY_ROWS       64
#define TALLY_NAME_BYTES 64

/* The counters that it has, of those in METRIC_TABLE. */
enum {
	TALLY_FIRST = METRIC_OFFLOAD_KERNEL,
	TALLY_LAST = METRIC_NIC_UNMET,
	TALLY_N = TALLY_LAST - TALLY_FIRST + 1
};

struct tally_row {
	_Atomic bool used; /* then `name` does not change any more */
	char name[TALLY_NAME_BYTES];
	_Atomic uint64_t value[TALLY_N];
};

struct tally {
	struct tally_row rows[TALLY_ROWS];
};

/*
 * The row of the listener of that name, of which TALLY_NAME_BYTES - 1 bytes
 * count. NULL: all rows are others', and it is not counted by itself.
 */
struct tally_row *tally_take(struct tally *t, const char *name);

/* `row` may be NULL; a counter that it does not have is not counted. */
static inline void tally_count(struct tally_row *row, enum metric m)
{
	_Atomic uint64_t *value;

	if (!row || (int)m < TALLY_FIRST || (int)m > TALLY_LAST)
		return;
	value = &row->value[m - TALLY_FIRST];
	atomic_store_explicit(
		value, atomic_load_explicit(value, memory_order_relaxed) + 1,
		memory_order_relaxed);
}

static inline uint64_t tally_read(const struct tally_row *row, enum metric m)
{
	return atomic_load_explicit(&row->value[m - TALLY_FIRST],
				    memory_order_relaxed);
}

/* NULL: nobody has that row. */
const char *tally_name(const struct tally *t, uint32_t row);
