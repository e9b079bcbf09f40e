#include "steer/spread.h"

#include "base/must.h"

#include <stdbool.h>

#define WORKERS_MOST 256

static uint32_t total(const uint8_t *weights, uint32_t n)
{
	uint32_t sum = 0;

	for (uint32_t i = 0; i < n; i++)
		sum += weights[i];
	return sum;
}

/*
 * Smooth weighted round robin: each place goes to the one that waited longest
 * in proportion to its weight. Equal weights give 0 1 2 0 1 2, which the
 * choice by load (any two at an odd distance) and by CPU rely on.
 */
void spread_fill(const uint8_t *weights, uint32_t workers_n, uint8_t *table,
		 size_t table_n)
{
	int32_t credit[WORKERS_MOST] = { 0 };
	const uint32_t sum = total(weights, workers_n);
	const bool alike = sum == 0;

	MUST(workers_n && workers_n <= WORKERS_MOST);
	for (size_t place = 0; place < table_n; place++) {
		uint32_t best = 0;

		for (uint32_t i = 0; i < workers_n; i++) {
			credit[i] += alike ? 1 : weights[i];
			if (credit[i] > credit[best])
				best = i;
		}
		credit[best] -= (int32_t)(alike ? workers_n : sum);
		table[place] = (uint8_t)best;
	}
}
