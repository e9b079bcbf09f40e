#pragma once

/*
 * schedule: when a message is tried again, and the one decision what becomes of
 * a recipient after an attempt. Delays double from `first` to `longest`, spread
 * at random, so that what failed together does not come back together. It has
 * no clock and keeps no messages: due times are in the spool's index.
 */

#include <stdint.h>

/* Seconds. */
struct schedule_options {
	uint32_t first;
	uint32_t longest;
	uint32_t give_up; /* after the first failure */
};

struct schedule {
	struct schedule_options options;
	uint64_t random;
};

/* Any seed; the same one gives the same delays. */
void schedule_init(struct schedule *s, const struct schedule_options *options,
		   uint64_t seed);

/*
 * Seconds to wait after the attempts-th failure, 1 being the first: between
 * three and five quarters of the nominal delay, at least one second.
 */
uint32_t schedule_delay_s(struct schedule *s, uint32_t attempts);

enum schedule_outcome {
	SCHEDULE_OPEN, /* not tried yet */
	SCHEDULE_DELIVERED,
	SCHEDULE_DEFERRED, /* failed for now */
	SCHEDULE_REFUSED,  /* failed for good */
};

enum schedule_fate {
	SCHEDULE_FORGET, /* nothing is left to do for this recipient */
	SCHEDULE_RETRY,
	SCHEDULE_HOLD, /* kept in the spool until the operator decides */
};

/*
 * What becomes of a recipient. A bounce will begin here: whoever is held today
 * is the one to report about then. first_failure_s: 0 when this is the first.
 */
enum schedule_fate schedule_fate(const struct schedule *s,
				 enum schedule_outcome outcome,
				 uint64_t first_failure_s, uint64_t now_s);
