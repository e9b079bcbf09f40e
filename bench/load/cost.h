#pragma once

/*
 * cost: what the server takes of the machine: processor time and memory of a
 * control group, or of processes with their children, read from the kernel's
 * files. It reads and adds up; it changes nothing and keeps no state between
 * readings.
 */

#include "load/load_options.h"

struct cost_reading {
	uint64_t cpu_us;
	uint64_t user_us;
	uint64_t system_us;
	uint64_t pss;      /* bytes; 0: could not be read */
	uint64_t memory;   /* the control group's, kernel memory included */
	uint64_t switches; /* context switches */
	uint32_t processes;
};

/* True when a cost was asked for. */
bool cost_is_wanted(const struct load_options *o);
/* "cgroup", "pids" */
const char *cost_source(const struct load_options *o);

/*
 * Processor time alone, which is cheap; or all. Negative errno, -ESRCH when
 * there is no process.
 */
int cost_read_cpu(const struct load_options *o, struct cost_reading *ret);
int cost_read(const struct load_options *o, struct cost_reading *ret);
