#pragma once

/*
 * shared: the memory that the supervisor and its children share: counters, the
 * board, ticket keys. Mapped once, inherited by fork, kept out of core dumps.
 * Everything in it has one writer at a time.
 */

#include "base/metric.h"
#include "spool/board.h"
#include "super/process.h"
#include "tls/ticket.h"

struct shared {
	struct metric_block metrics[PROCESS_MAX]; /* by process_slot */
	struct board_slot board[PROCESS_MAX];     /* the same */
	struct ticket_keys ticket_keys;
};

/* A zeroed mapping with ticket keys filled in; NULL: no memory or no random. */
struct shared *shared_open(void);

/* The slot's process is dead: gauges go to 0, the board is cleared. */
void shared_forget(struct shared *s, uint32_t slot);
