#pragma once

/*
 * status: describes the supervisor's children in the terms of control/expose.h.
 * It reads the process table and the shared counters and keeps nothing.
 */

#include "control/expose.h"
#include "super/process.h"
#include "super/shared.h"

/* The times that turn our monotonic clock into the time of day. */
struct status_clock {
	uint64_t now_ms; /* CLOCK_MONOTONIC */
	uint64_t now_s;  /* Unix time at now_ms */
};

/*
 * Fills `storage` (PROCESS_MAX entries) and returns a status that points into
 * it; names and counters stay the table's and the mapping's.
 */
struct expose_status status_describe(const struct process_table *processes,
				     const struct shared *shared,
				     struct status_clock clock,
				     struct expose_process *storage);
