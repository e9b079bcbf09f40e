#pragma once

/*
 * offenders: counts what sources do wrong, within a time. The table is bounded:
 * when a place is needed, the one that began longest ago is forgotten, so a
 * flood of sources costs memory of those that offend slowly, never more room.
 * Pure.
 */

#include "base/prefix.h"

struct offender {
	struct prefix source; /* family 0: free */
	uint32_t count;
	uint64_t since_ms;
};

struct offenders {
	struct offender *entries;
	uint32_t n; /* a multiple of the ways of a bucket */
	uint64_t seed;
};

/* For about n sources; `seed` is random. -ENOMEM. */
int offenders_init(struct offenders *o, uint32_t n, uint64_t seed);
void offenders_fini(struct offenders *o);

struct offenders_limit {
	uint32_t count;
	uint64_t window_ms;
};

/*
 * Counts one more of `source`. True when that was its limit.count-th within the
 * window: it is forgotten then, and begins anew.
 */
bool offenders_note(struct offenders *o, const struct prefix *source,
		    uint64_t now_ms, struct offenders_limit limit);
