#pragma once

/*
 * op: one asynchronous operation of a session or attempt, with its documented
 * states. An owner has one op per kind of operation, so at most one of a kind
 * is in flight. A completion only records a fact (op_on_cqe); deciding is the
 * pump's.
 *
 *   IDLE --op_fly--> FLYING --op_on_cqe--> DONE --op_take--> IDLE
 *
 * While FLYING, the memory the operation uses is the kernel's (a loan).
 */

#include "base/must.h"

#include <stdbool.h>
#include <stdint.h>

enum op_state { OP_IDLE, OP_FLYING, OP_DONE };

struct op {
	enum op_state state;
	int32_t result; /* a count or a negative errno */
	uint32_t flags; /* IORING_CQE_F_* */
};

static inline void op_fly(struct op *op)
{
	MUST(op->state == OP_IDLE);
	op->state = OP_FLYING;
}

static inline void op_on_cqe(struct op *op, int32_t result, uint32_t flags)
{
	MUST(op->state == OP_FLYING);
	op->state = OP_DONE;
	op->result = result;
	op->flags = flags;
}

/* True, once, when a result is there; it is in op->result afterwards. */
static inline bool op_take(struct op *op)
{
	if (op->state != OP_DONE)
		return false;
	op->state = OP_IDLE;
	return true;
}
