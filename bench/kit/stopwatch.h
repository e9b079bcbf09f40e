#pragma once

/* stopwatch: the monotonic clock in nanoseconds. */

#include <stdint.h>
#include <time.h>

#define STOPWATCH_S 1000000000ull

static inline uint64_t stopwatch_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * STOPWATCH_S + (uint64_t)now.tv_nsec;
}
