#pragma once

/*
 * counters: system calls and syncs of a control group, counted by the kernel's
 * tracepoints. It works where the kernel lets this process count; else it says
 * why not, and the report carries that sentence.
 */

#include <stdint.h>

#define COUNTERS_MAX 1024

struct counters {
	const char *missing; /* why nothing is counted; NULL: it is */
	uint32_t calls_n;    /* the first of fds; those of syncs follow */
	uint32_t n;
	int fds[COUNTERS_MAX];
};

struct counters_reading {
	uint64_t system_calls;
	uint64_t syncs;
};

/* Begins to count; `group` NULL: there is none. */
void counters_open(struct counters *c, const char *group);
void counters_close(struct counters *c);
struct counters_reading counters_read(const struct counters *c);
