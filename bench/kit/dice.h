#pragma once

/*
 * dice: random numbers from a seed, the same on every machine (SplitMix64). For
 * choices and sizes, never for secrets.
 */

#include <stdbool.h>
#include <stdint.h>

struct dice {
	uint64_t state;
};

static inline struct dice dice_from(uint64_t seed)
{
	return (struct dice){ seed };
}

uint64_t dice_u64(struct dice *d);

/* Uniform in [0, 1). */
double dice_unit(struct dice *d);

/* True for that share of calls. */
bool dice_share(struct dice *d, double share);

/* Log-normal: the median, and the spread of the logarithm. */
double dice_log_normal(struct dice *d, double median, double sigma);
