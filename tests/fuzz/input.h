#pragma once

/*
 * input: choices of a fuzz target, taken off the front of its bytes. Used up,
 * it says 0 for ever.
 */

#include "base/span.h"

static inline uint8_t input_byte(struct span *in)
{
	uint8_t c = in->len ? in->p[0] : 0;

	*in = span_tail(*in, in->len ? 1 : 0);
	return c;
}

/* A small pseudo-random sequence: how to cut, from a seed in the input. */
static inline uint32_t input_next(uint32_t *state)
{
	*state = *state * 1664525U + 1013904223U;
	return *state >> 16;
}
