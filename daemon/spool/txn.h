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
 *   FILLING, SPILLING, FAILED, DURABLE -> (DISCARDING ->) EMPTY
 */

#include "base/buf.h"
#include "base/dots.h"
#include "base/io.h"
#include "spool/frame.h"
#include "spool/hash.h"
#include "spool/layout.h"

struct store;

enum txn_state {
	TXN_EMPTY,
	TXN_FILLING,  /* append to `body`, `envelope`, `dots` */
	TXN_SPILLING, /* the full body buffer is being written; wait */
	TXN_COMMITTING,
	TXN_DURABLE,
	TXN_FAILED,     /* txn_error tells why; the message is not stored */
	TXN_DISCARDING, /* its file is being closed, and removed if useless */
};

struct txn; /* embedded in a session; laid out at the end of this header */

/* Bytes of the envelope's storage that the txn keeps for itself. */
#define TXN_ENVELOPE_OVERHEAD (FRAME_HEADER_BYTES + FRAME_ALIGN)

/*
 * Begins a message; `t` is zeroed or was EMPTY. The two storages are the
 * caller's and stay until the txn is EMPTY again; of `envelope` the txn keeps
 * TXN_ENVELOPE_OVERHEAD bytes. `id` names the message in logs and in its file's
 * name; it never comes again. ENVELOPE_ARRIVAL in the envelope becomes the
 * time of arrival.
 */
void txn_open(struct txn *t, struct store *store, uint64_t id,
	      struct span_mut envelope, struct span_mut body);

/* FILLING -> SPILLING: write the buffer to the file and empty it. */
void txn_spill(struct txn *t);
/*
 * Bytes that the caller itself put into the file, by whatever way, behind those
 * that the txn has stored: it writes to txn_file at txn_ahead_at, says how many
 * they are, and appends the same bytes to `body`, where they are hashed but not
 * written again. txn_ahead: of these, how many are not stored yet, be they in
 * `body` or still to come there. txn_file is -1 before the first spill.
 */
int txn_file(const struct txn *t);
uint64_t txn_ahead_at(const struct txn *t);
uint64_t txn_ahead(const struct txn *t);
void txn_stored_ahead(struct txn *t, size_t n);
/* FILLING -> FAILED: the file did not take them. */
void txn_fail(struct txn *t, int error);

/* FILLING -> COMMITTING: all of the body was given. */
void txn_commit(struct txn *t);
/*
 * Any state but COMMITTING -> (DISCARDING ->) EMPTY. Announce a DURABLE message
 * on the board first: its file is unlocked here.
 */
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

/* For the store alone: the commit has ended; 0, or why it failed. */
void txn_committed(struct txn *t, int error);

/* What step its own file is at; private to txn.c. */
enum txn_step {
	TXN_STEP_NONE,
	TXN_STEP_OPEN,
	TXN_STEP_LOCK,
	TXN_STEP_NAME,
	TXN_STEP_WRITE,
	TXN_STEP_SYNC,
	TXN_STEP_CLOSE,
	TXN_STEP_UNLINK,
};

struct txn {
	enum txn_state state;
	enum txn_step step; /* wanted or, when flying, under way */
	bool flying;
	bool has_file; /* one of our making, at `fd` */
	bool named;    /* it has its name, not the temporary one */
	bool entered;  /* its entry may be on disk: the file stays */
	bool discard;  /* asked for while flying */
	int error;
	int fd;
	struct store *store;
	struct txn *next; /* in the store's queues */
	uint64_t id;
	struct buf envelope;
	struct buf body;
	struct dots dots;
	uint64_t file_bytes; /* of the body, in its file */
	uint64_t ahead;      /* behind these, and not hashed */
	struct hash hash;    /* of these */
	struct iovec iov;
	char temporary[LAYOUT_NAME_MAX];
	char name[LAYOUT_NAME_MAX];
	uint8_t trailer[FRAME_ALIGN + FRAME_TRAILER_BYTES]; /* store's */
};
