#pragma once

/*
 * dots: the offsets, in a stored body, of the lines that begin with a dot. The
 * body scanner fills it, the spool keeps it beside the body, and a next hop
 * that takes DATA gets the ranges between with a dot sent before each. Bounded:
 * a body with more such lines is marked `partial` and scanned when it is sent.
 */

#include <stdbool.h>
#include <stdint.h>

#define DOTS_MAX 64

struct dots {
	uint32_t n;
	bool partial; /* more lines than DOTS_MAX: the list is of no use */
	uint64_t at[DOTS_MAX];
};

static inline void dots_clear(struct dots *d)
{
	d->n = 0;
	d->partial = false;
}

/* Appends an offset; offsets come in rising order. */
static inline void dots_add(struct dots *d, uint64_t offset)
{
	if (d->n < DOTS_MAX)
		d->at[d->n++] = offset;
	else
		d->partial = true;
}
