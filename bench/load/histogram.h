#pragma once

/*
 * histogram: how often values of a wide range occurred, in constant memory and
 * with a bounded relative error (log-linear buckets, as HdrHistogram has them):
 * a value is told apart from those that differ by more than 1/64. Least,
 * greatest and mean are exact. Histograms add up.
 */

#include <stdint.h>

#define HISTOGRAM_STEP_BITS 6 /* 64 buckets between two powers of two */
#define HISTOGRAM_BUCKETS   ((64 - HISTOGRAM_STEP_BITS) << HISTOGRAM_STEP_BITS)

struct histogram {
	uint64_t n;
	uint64_t sum; /* of nanoseconds: room for 500 years of them */
	uint64_t min;
	uint64_t max;
	uint64_t buckets[HISTOGRAM_BUCKETS + (1 << HISTOGRAM_STEP_BITS)];
};

/* Empty; zeroed memory is an empty histogram, too. */
void histogram_clear(struct histogram *h);
void histogram_record(struct histogram *h, uint64_t value);
/* Adds what `other` holds. */
void histogram_add(struct histogram *h, const struct histogram *other);

/* 0 when it is empty. */
uint64_t histogram_mean(const struct histogram *h);
/*
 * The least value that a share (0 to 1) of all does not exceed: the upper end
 * of its bucket, never above the greatest value. 0 when it is empty.
 */
uint64_t histogram_quantile(const struct histogram *h, double share);
