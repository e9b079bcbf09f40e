/*
 * One message on its way to stable storage. What its state is, txn_state in
 * txn.h draws; what step its own file is at:
 *
 *   NONE -> OPEN -> LOCK -> NAME -> WRITE ... -> NONE (txn_spill, the first)
 *   NONE -> WRITE ... -> NONE                         (txn_spill)
 *   NONE -> WRITE ... -> SYNC -> NONE, store_commit   (txn_commit)
 *   NONE -> (UNLINK ->) CLOSE -> NONE                 (txn_discard)
 *
 * T1  A body is either whole in the buffer or, from the first spill on, in the
 *     file; the file is durable before the store hears of the message.
 * T2  The file is locked before it gets its name and until the entry is durable
 *     and announced: no sweep of leftovers takes a body that is on its way.
 * T3  The file is unlinked only while no entry for it can be on disk: a batch
 *     that failed may still be found whole after a crash, and it must then find
 *     its body. What nothing refers to in the end, the relay's sweep removes.
 * T4  The hash is of the bytes that passed through the buffer, also where they
 *     were in the file before.
 */
#include "spool/txn.h"

#include "base/must.h"
#include "spool/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>

static void txn_set_state(struct txn *t, enum txn_state state)
{
	t->state = state;
}

void txn_open(struct txn *t, struct store *store, uint64_t id,
	      struct span_mut envelope, struct span_mut body)
{
	MUST(t->state == TXN_EMPTY && envelope.len > TXN_ENVELOPE_OVERHEAD);
	t->step = TXN_STEP_NONE;
	t->flying = t->has_file = t->named = false;
	t->entered = t->discard = false;
	t->error = 0;
	t->fd = -1;
	t->store = store;
	t->next = NULL;
	t->id = id;
	t->file_bytes = t->ahead = 0;
	/* The frame's header goes in front, its padding behind. */
	buf_init(&t->envelope, envelope.p + FRAME_HEADER_BYTES,
		 envelope.len - TXN_ENVELOPE_OVERHEAD);
	buf_init(&t->body, body.p, body.len);
	dots_clear(&t->dots);
	txn_set_state(t, TXN_FILLING);
}

int txn_file(const struct txn *t)
{
	return t->state == TXN_FILLING ? t->fd : -1;
}

uint64_t txn_ahead_at(const struct txn *t)
{
	return t->file_bytes + t->ahead;
}

uint64_t txn_ahead(const struct txn *t)
{
	return t->ahead;
}

void txn_stored_ahead(struct txn *t, size_t n)
{
	MUST(t->state == TXN_FILLING && t->has_file);
	t->ahead += n;
}

void txn_fail(struct txn *t, int error)
{
	MUST(t->state == TXN_FILLING && error < 0);
	t->error = error;
	txn_set_state(t, TXN_FAILED);
}

/* Bytes of the body are in the file: n at the front of the buffer. */
static void store(struct txn *t, size_t n)
{
	hash_add(&t->hash, span_head(buf_span(&t->body), n));
	buf_consume(&t->body, n);
	t->file_bytes += n;
}

/* T4 */
static void store_ahead(struct txn *t)
{
	size_t n = buf_len(&t->body);

	if (n > t->ahead)
		n = (size_t)t->ahead;
	store(t, n);
	t->ahead -= n;
}

void txn_spill(struct txn *t)
{
	MUST(t->state == TXN_FILLING && buf_len(&t->body));
	store_ahead(t);
	if (!buf_len(&t->body))
		return;
	MUST(!t->ahead); /* what follows would not be behind it */
	t->step = t->has_file ? TXN_STEP_WRITE : TXN_STEP_OPEN;
	txn_set_state(t, TXN_SPILLING);
}

void txn_commit(struct txn *t)
{
	MUST(t->state == TXN_FILLING);
	MUST(!t->envelope.overflowed && !t->body.overflowed);
	store_ahead(t);
	MUST(!t->ahead);
	txn_set_state(t, TXN_COMMITTING);
	if (!t->has_file)
		store_commit(t->store, t);
	else
		t->step = buf_len(&t->body) ? TXN_STEP_WRITE : TXN_STEP_SYNC;
}

static void begin_discard(struct txn *t)
{
	if (t->fd < 0) {
		txn_set_state(t, TXN_EMPTY);
		return;
	}
	t->step = t->entered ? TXN_STEP_CLOSE : TXN_STEP_UNLINK; /* T3 */
	txn_set_state(t, TXN_DISCARDING);
}

void txn_discard(struct txn *t)
{
	MUST(t->state != TXN_COMMITTING);
	if (t->state == TXN_EMPTY || t->state == TXN_DISCARDING)
		return;
	if (!t->flying) {
		begin_discard(t);
		return;
	}
	t->discard = true;
	txn_set_state(t, TXN_DISCARDING);
}

void txn_committed(struct txn *t, int error)
{
	MUST(t->state == TXN_COMMITTING && error <= 0);
	t->error = error;
	txn_set_state(t, error ? TXN_FAILED : TXN_DURABLE);
}

bool txn_next(struct txn *t, struct io *ret_io)
{
	struct io io = { .fd = t->fd };

	if (t->flying || t->step == TXN_STEP_NONE)
		return false;
	io.dir = store_files_dir(t->store);
	switch (t->step) {
	case TXN_STEP_NONE: return false;
	case TXN_STEP_OPEN:
		layout_name(t->temporary, LAYOUT_TEMPORARY, t->id);
		layout_name(t->name, LAYOUT_BODY, t->id);
		io.kind = IO_OPEN;
		io.name = t->temporary;
		io.flags = O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC;
		io.mode = 0600;
		break;
	case TXN_STEP_LOCK:
		io.kind = IO_LOCK;
		io.flags = LOCK_EX | LOCK_NB;
		break;
	case TXN_STEP_NAME:
		io.kind = IO_RENAME;
		io.name = t->temporary;
		io.new_dir = io.dir;
		io.new_name = t->name;
		/* Should an id come again after a step of the clock, the
		 * message that has it keeps its body. */
		io.flags = RENAME_NOREPLACE;
		break;
	case TXN_STEP_WRITE:
		t->iov = (struct iovec){ t->body.p + t->body.start,
					 buf_len(&t->body) };
		io.kind = IO_WRITE;
		io.iov = &t->iov;
		io.iov_n = 1;
		io.offset = t->file_bytes;
		break;
	case TXN_STEP_SYNC: io.kind = IO_DATASYNC; break;
	case TXN_STEP_CLOSE: io.kind = IO_CLOSE; break;
	case TXN_STEP_UNLINK:
		io.kind = IO_UNLINK;
		io.name = t->named ? t->name : t->temporary;
		break;
	}
	t->flying = true;
	*ret_io = io;
	return true;
}

static void opened(struct txn *t, int fd)
{
	t->fd = fd;
	t->has_file = true;
	hash_init(&t->hash, t->id);
	store_count_file(t->store);
	t->step = TXN_STEP_LOCK; /* T2 */
}

static void written(struct txn *t, size_t n)
{
	store(t, n);
	if (buf_len(&t->body))
		return; /* short: write on */
	if (t->state == TXN_SPILLING) {
		t->step = TXN_STEP_NONE;
		txn_set_state(t, TXN_FILLING);
	} else {
		t->step = TXN_STEP_SYNC;
	}
}

static void succeed(struct txn *t, enum txn_step step, int64_t result)
{
	switch (step) {
	case TXN_STEP_OPEN: opened(t, (int)result); break;
	case TXN_STEP_LOCK: t->step = TXN_STEP_NAME; break;
	case TXN_STEP_NAME:
		t->named = true;
		t->step = TXN_STEP_WRITE;
		break;
	case TXN_STEP_WRITE: written(t, (size_t)result); break;
	case TXN_STEP_SYNC:
		t->step = TXN_STEP_NONE;
		store_commit(t->store, t); /* T1 */
		break;
	case TXN_STEP_NONE:
	case TXN_STEP_CLOSE:
	case TXN_STEP_UNLINK: MUST(false); /* they build nothing */
	}
}

void txn_done(struct txn *t, int64_t result)
{
	enum txn_step step = t->step;

	MUST(t->flying);
	t->flying = false;
	if (step == TXN_STEP_UNLINK) {
		t->step = TXN_STEP_CLOSE; /* a leftover is swept one day */
		return;
	}
	if (step == TXN_STEP_CLOSE) {
		t->fd = -1;
		t->step = TXN_STEP_NONE;
		txn_set_state(t, TXN_EMPTY);
		return;
	}
	if (step == TXN_STEP_WRITE && !result)
		result = -EIO; /* never for a file; do not spin */
	if (result >= 0) {
		succeed(t, step, result);
	} else {
		t->error = (int)result;
		t->step = TXN_STEP_NONE;
		if (!t->discard)
			txn_set_state(t, TXN_FAILED);
	}
	if (t->discard)
		begin_discard(t);
}

enum txn_state txn_state(const struct txn *t)
{
	return t->state;
}

int txn_error(const struct txn *t)
{
	return t->error;
}

uint64_t txn_body_bytes(const struct txn *t)
{
	return t->file_bytes + buf_len(&t->body);
}

struct buf *txn_body(struct txn *t)
{
	return &t->body;
}

struct buf *txn_envelope(struct txn *t)
{
	return &t->envelope;
}

struct dots *txn_dots(struct txn *t)
{
	return &t->dots;
}
