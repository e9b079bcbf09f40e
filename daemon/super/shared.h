#pragma once

/*
 * shared: the memory that supervisors and their children share: who has which
 * slot, the board, ticket keys, and, in a mapping of their own, the counters.
 * Both are memfds of a sealed size that begin with a stamp of their layout, so
 * that a program of another version can take them over, or see that it cannot:
 * counters, whose table grows with every version, may then begin anew, the
 * rest may not. Kept out of core dumps.
 *
 * A slot belongs to one child at a time, of whichever supervisor: it is claimed
 * by compare and swap of `owner`, and the child holds a lock on the slot's byte
 * of the memfd as long as it lives. So a slot whose supervisor was killed is
 * found again once its child is dead too. Everything else in a slot has one
 * writer: the supervisor that owns it, or its child.
 */

#include "base/metric.h"
#include "base/tally.h"
#include "spool/board.h"
#include "super/process.h"
#include "tls/ticket.h"

/* What others may see of a child. */
struct shared_slot {
	_Atomic int32_t owner; /* the supervisor's pid; 0: free */
	_Atomic int32_t pid;   /* the child's; 0: none runs */
	_Atomic uint32_t used; /* ever: then its counters count */
	_Atomic uint32_t kind;
	_Atomic uint32_t index;
	_Atomic uint32_t state;
	_Atomic uint32_t restarts;
	_Atomic uint64_t started_ms;
};

/* What must be the same memory for all. */
struct shared_common {
	uint64_t stamp;
	struct shared_slot slots[PROCESS_MAX]; /* by process_slot */
	struct board_slot board[PROCESS_MAX];  /* the same */
	struct ticket_keys ticket_keys;
};

struct shared_metrics {
	uint64_t stamp;
	struct metric_block blocks[PROCESS_MAX]; /* by process_slot */
	struct tally tallies[PROCESS_MAX];       /* the same */
};

struct shared {
	struct shared_common *common;
	struct shared_metrics *metrics;
	int common_fd;
	int metrics_fd;
};

/* New memory, zeroed, with ticket keys filled in. Negative errno. */
int shared_open(struct shared *s);

/*
 * Maps what another supervisor opened; the descriptors are then ours. -EPROTO:
 * its layout is not ours. *ret_fresh_metrics: only that of the counters is not,
 * which begin anew.
 */
int shared_adopt(struct shared *s, int common_fd, int metrics_fd,
		 bool *ret_fresh_metrics);

/* Takes a free slot for a child of `owner`. -ENOSPC: none. */
int shared_claim(struct shared *s, pid_t owner, uint32_t *ret_slot);
/* Gives the slot back; its counters go on counting. */
void shared_release(struct shared *s, uint32_t slot);
/* Shows the entry in its slot. */
void shared_show(struct shared *s, uint32_t slot, const struct process *p);

/*
 * First thing in a child: says that it lives, for as long as it does. False:
 * the slot is not `owner`'s any more, and the child must leave.
 */
bool shared_hold(const struct shared *s, uint32_t slot, pid_t owner);

/* Clears and frees the slots of which supervisor and child are dead. */
void shared_sweep(struct shared *s);

/* The slot's process is dead: gauges go to 0, the board is cleared. */
void shared_forget(struct shared *s, uint32_t slot);
