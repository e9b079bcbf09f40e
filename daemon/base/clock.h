#pragma once

/*
 * clock: what time it is, for the loops of layers 3 and 4, which read it once a
 * turn and hand it down: pure layers are given the time and never ask.
 */

#include <stdint.h>

/* CLOCK_MONOTONIC in milliseconds, and in microseconds. */
uint64_t clock_ms(void);
uint64_t clock_us(void);

/* Unix time in seconds, and in microseconds. */
uint64_t clock_unix_s(void);
uint64_t clock_unix_us(void);
