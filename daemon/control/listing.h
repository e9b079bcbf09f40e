#pragma once

/*
 * listing: the tallies of all processes as one: per listener, how the records
 * of its sessions were made since the daemon was started. It reads shared
 * counters and keeps nothing.
 */

#include "base/buf.h"
#include "base/json.h"
#include "base/tally.h"
#include "control/expose.h"

struct listing_entry {
	const char *name; /* in the mapping */
	uint64_t value[TALLY_N];
};

struct listing {
	struct listing_entry entries[TALLY_ROWS];
	uint32_t n;
};

/* Listeners in the order in which they are found; beyond TALLY_ROWS: none. */
void listing_gather(const struct expose_status *status, struct listing *ret);

/*
 * Lines of three words with tabs between them: the listener, a counter's name
 * in METRIC_TABLE, its value. Those at zero are left out, but for
 * OFFLOAD_KERNEL. What a name has that is not printable becomes `?'.
 */
void listing_text(const struct listing *l, struct buf *out);

/* "listeners": an object per listener in an array. */
void listing_json(const struct listing *l, struct json *j);

/* Samples of one counter with labels, for Prometheus. */
void listing_metrics(const struct listing *l, struct buf *out);
