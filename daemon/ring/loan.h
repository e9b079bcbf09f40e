#pragma once

/*
 * loan: a receive buffer lent to a connection until all its bytes are used. It
 * gives the buffer back by itself, so the connection keeps no account of which
 * group it came from.
 */

#include "ring/bufring.h"

struct loan {
	struct bufring *from; /* NULL: nothing is lent */
	uint16_t index;
	uint32_t start;
	uint32_t end;
};

/*
 * A receive from `from` ended with that result and flags: holds its buffer, if
 * it used one. Octets received; 0 when it failed. Nothing was lent before.
 */
uint32_t loan_take(struct loan *l, struct bufring *from, int32_t result,
		   uint32_t flags);

static inline bool loan_held(const struct loan *l)
{
	return l->from;
}

/* The bytes not used yet; they stay where they are until they are. */
struct span loan_bytes(const struct loan *l);

/* All but `rest`, the end of loan_bytes, is used. */
void loan_used(struct loan *l, struct span rest);

/*
 * The same in two steps, for who still looks at what it used: the buffer is
 * held until the second.
 */
void loan_advance(struct loan *l, struct span rest);
void loan_settle(struct loan *l);

/* What is left is dropped. */
void loan_end(struct loan *l);
