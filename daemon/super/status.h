#pragma once

/*
 * status: describes the children of all supervisors that share our memory in
 * the terms of control/expose.h: an operator sees those of the program before
 * the upgrade, too. It reads the shared slots and counters and keeps nothing.
 */

#include "control/expose.h"
#include "super/shared.h"

/* The times that turn our monotonic clock into the time of day. */
struct status_clock {
	uint64_t now_ms; /* CLOCK_MONOTONIC */
	uint64_t now_s;  /* Unix time at now_ms */
};

struct status_storage {
	struct expose_process processes[PROCESS_MAX];
	char names[PROCESS_MAX][24]; /* "gateway-0" */
};

/*
 * Fills `storage` and returns a status that points into it; counters stay the
 * mapping's.
 */
struct expose_status status_describe(const struct shared *shared,
				     struct status_clock clock,
				     struct status_storage *storage);
