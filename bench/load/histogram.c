#include "load/histogram.h"

#include <math.h>
#include <string.h>

#define STEPS (1u << HISTOGRAM_STEP_BITS)

/*
 * Values below STEPS have a bucket each. Above, the highest bit chooses a group
 * of STEPS buckets and the HISTOGRAM_STEP_BITS bits below it the bucket.
 */
static uint32_t bucket_of(uint64_t value)
{
	uint32_t shift;

	if (value < STEPS)
		return (uint32_t)value;
	shift = 63u - (uint32_t)__builtin_clzll(value) - HISTOGRAM_STEP_BITS;
	return (shift << HISTOGRAM_STEP_BITS) + (uint32_t)(value >> shift);
}

/* The greatest value of a bucket. */
static uint64_t top_of(uint32_t bucket)
{
	uint32_t shift;

	if (bucket < STEPS)
		return bucket;
	shift = (bucket >> HISTOGRAM_STEP_BITS) - 1;
	return (((uint64_t)(bucket & (STEPS - 1)) + STEPS + 1) << shift) - 1;
}

void histogram_clear(struct histogram *h)
{
	memset(h, 0, sizeof(*h));
}

void histogram_record(struct histogram *h, uint64_t value)
{
	if (!h->n || value < h->min)
		h->min = value;
	if (value > h->max)
		h->max = value;
	h->n++;
	h->sum += value;
	h->buckets[bucket_of(value)]++;
}

void histogram_add(struct histogram *h, const struct histogram *other)
{
	if (!other->n)
		return;
	if (!h->n || other->min < h->min)
		h->min = other->min;
	if (other->max > h->max)
		h->max = other->max;
	h->n += other->n;
	h->sum += other->sum;
	for (size_t i = 0; i < sizeof(h->buckets) / sizeof(*h->buckets); i++)
		h->buckets[i] += other->buckets[i];
}

uint64_t histogram_mean(const struct histogram *h)
{
	return h->n ? h->sum / h->n : 0;
}

uint64_t histogram_quantile(const struct histogram *h, double share)
{
	uint64_t wanted = (uint64_t)ceil(share * (double)h->n);
	uint64_t seen = 0;
	uint32_t bucket = 0;

	if (!h->n)
		return 0;
	if (!wanted)
		return h->min;
	while ((seen += h->buckets[bucket]) < wanted)
		bucket++;
	return top_of(bucket) < h->max ? top_of(bucket) : h->max;
}
