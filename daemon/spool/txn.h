#pragma once

/*
 * txn: one message on its way to stable storage. Its body gathers in a buffer;
 * a small one goes from there into the worker's segment, a large one is written
 * to a file of its own, buffer by buffer. Like the store it yields I/O steps
 * for its own file and never does them.
 *
 * States (set by txn_set_state alone):
 *   EMPTY -> FILLING -> SPILLING -> FILLING ... -> COMMITTING -> DURABLE
 *                 \________\____________________________\-----> FAILED
 *   FILLING, SPILLING, FAILED -> DISCARDING -> EMPTY; DURABLE -> EMPTY
 */

#include "base/buf.h"
#include "base/dots.h"
#include "base/io.h"

struct store;

enum txn_state {
	TXN_EMPTY,
	TXN_FILLING,	/* append to `body`, `envelope`, `dots` */
	TXN_SPILLING,	/* the full body buffer is being written; wait */
	TXN_COMMITTING,
	TXN_DURABLE,
	TXN_FAILED,	/* txn_error tells why; the message is not stored */
	TXN_DISCARDING, /* its file is being removed */
};

struct txn; /* embedded in a session; laid out at the end of this header */

/*
 * Begins a message. The two storages are the caller's and stay until the txn
 * is EMPTY again. `id` names the message in logs and in its file's name.
 */
void txn_open(struct txn *t, struct store *store, uint64_t id,
	      struct span_mut envelope, struct span_mut body);

/* FILLING -> SPILLING: write the buffer to the file and empty it. */
void txn_spill(struct txn *t);
/* FILLING -> COMMITTING: all of the body was given. */
void txn_commit(struct txn *t);
/* Any state but COMMITTING -> (DISCARDING ->) EMPTY. */
void txn_discard(struct txn *t);

/* Steps for the message's own file, at most one at a time. */
bool txn_next(struct txn *t, struct io *ret_io);
void txn_done(struct txn *t, int64_t result);

enum txn_state txn_state(const struct txn *t);
/* Negative errno of the step that failed: -ENOSPC, -EIO, -EROFS, ... */
int txn_error(const struct txn *t);
/* Octets of the body so far, spilled ones included. */
uint64_t txn_body_bytes(const struct txn *t);
struct buf *txn_body(struct txn *t);
struct buf *txn_envelope(struct txn *t);
struct dots *txn_dots(struct txn *t);
