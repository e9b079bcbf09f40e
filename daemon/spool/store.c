/*
 * Group commit. Transactions wait in a queue; when nothing is in flight, all
 * that wait become the batch, are written behind each other with one vector and
 * synced once, while the next ones gather. There is no timer: the sync of one
 * batch is the time in which the next one fills, so a lone message waits for
 * nobody and a crowd shares.
 *
 *   IDLE -> (BIRTH ->) (FILES ->) APPEND -> IDLE     a batch
 *   IDLE -> SEAL -> IDLE                             a full segment, or asked
 *
 * G1  A transaction is DURABLE only after segment.c has said that the batch
 *     holding its entry is (S3 there): the one line that may say so is in
 *     finish().
 * G2  The names of a batch's body files are durable before its entries are
 *     written, so an entry that survives a crash, acknowledged or not, has its
 *     body.
 * G3  A batch fails as a whole. Its entries may nevertheless be found, whole,
 *     by the relay: a message that the client was refused and tries again may
 *     arrive twice, never in part and never silently not at all.
 * G4  An entry says how much of the segment was durable when it was written
 *     (frame.synced): so a reader knows what was promised.
 */
#include "spool/store.h"

#include "base/must.h"
#include "spool/envelope.h"
#include "spool/segment.h"

#include <errno.h>
#include <limits.h>

/* Header with envelope; dots; body; trailer. */
#define IOVS_PER_TXN 4

_Static_assert(STORE_BATCH_MAX *IOVS_PER_TXN <= IOV_MAX, "one vector");

enum store_state {
	STORE_IDLE,
	STORE_BIRTH,  /* a segment is being made for those who wait */
	STORE_FILES,  /* the names of the batch's files are being synced */
	STORE_APPEND, /* the batch is being written and synced */
	STORE_SEAL,
};

struct queue {
	struct txn *first;
	struct txn *last;
};

struct store {
	struct store_options options;
	enum store_state state;
	bool flying;
	bool seal_wanted;
	uint64_t ids_n; /* segment ids drawn */
	struct queue waiting;
	struct queue batch;
	struct queue finished;
	struct store_counts counts;
	struct segment segment;
	struct hash hash;
	int iov_n;
	struct iovec iov[STORE_BATCH_MAX * IOVS_PER_TXN];
};

static void queue_add(struct queue *q, struct txn *t)
{
	t->next = NULL;
	if (q->last)
		q->last->next = t;
	else
		q->first = t;
	q->last = t;
}

static struct txn *queue_take(struct queue *q)
{
	struct txn *t = q->first;

	if (!t)
		return NULL;
	q->first = t->next;
	if (!q->first)
		q->last = NULL;
	t->next = NULL;
	return t;
}

size_t store_size(void)
{
	return sizeof(struct store);
}

struct store *store_init(uint8_t *memory, const struct store_options *options)
{
	struct store *s = (struct store *)(void *)memory;

	MUST((uintptr_t)memory % _Alignof(struct store) == 0);
	MUST(options->batch_max && options->batch_max <= STORE_BATCH_MAX);
	MUST(options->segment_bytes <= FRAME_SEGMENT_MAX / 2);
	MUST(options->seed[0] | options->seed[1]);
	memset(s, 0, sizeof(*s));
	s->options = *options;
	segment_init(&s->segment, options->segments_dir);
	return s;
}

/* splitmix64 over the seed; ids need to be distinct, not secret. */
static uint64_t draw_id(struct store *s)
{
	uint64_t z;

	do {
		z = s->options.seed[0] + ++s->ids_n * 0x9e3779b97f4a7c15ULL;
		z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
		z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
		z = (z ^ z >> 31) ^ s->options.seed[1];
	} while (!z);
	return z;
}

/* -- a batch -------------------------------------------------------------- */

static struct frame frame_of(const struct store *s, struct txn *t,
			     uint64_t offset)
{
	struct span rest = buf_span(&t->envelope);
	struct envelope_field field;
	struct frame f = {
		.type = t->has_file ? FRAME_FILE : FRAME_MESSAGE,
		.dots_partial = t->dots.partial,
		.offset = offset,
		.id = t->id,
		.envelope_len = (uint32_t)buf_len(&t->envelope),
		.dots_n = t->dots.partial ? 0 : t->dots.n,
		.body_len = txn_body_bytes(t),
		.body_hash = t->has_file ? hash_value(&t->hash) : 0,
	};

	f.synced = segment_durable(&s->segment, &f.segment); /* G4 */
	while (envelope_next(&rest, &field)) {
		if (field.type == ENVELOPE_FORWARD_PATH)
			f.recipients_n++;
		else if (field.type == ENVELOPE_ARRIVAL)
			(void)span_to_u64(field.value, &f.arrival_s);
	}
	return f;
}

static void add_iov(struct store *s, uint8_t *p, size_t len)
{
	if (len)
		s->iov[s->iov_n++] = (struct iovec){ p, len };
}

static void add_hashed(struct store *s, uint8_t *p, size_t len)
{
	hash_add(&s->hash, span_of(p, len));
	add_iov(s, p, len);
}

/* Lays t's entry out in the vector at `offset`; returns where it ends. */
static uint64_t add_entry(struct store *s, struct txn *t, uint64_t offset)
{
	struct frame f = frame_of(s, t, offset);
	uint8_t *header = t->envelope.p - FRAME_HEADER_BYTES;
	size_t envelope = frame_dots_at(&f) - frame_envelope_at(&f);
	size_t body = f.type == FRAME_MESSAGE ? f.body_len : 0;
	size_t pad = frame_trailer_at(&f) - frame_body_at(&f) - body;

	MUST(!t->envelope.start);
	memset(t->envelope.p + f.envelope_len, 0, envelope - f.envelope_len);
	frame_begin_hash(&s->hash, f.segment, frame_put_header(header, &f));
	hash_add(&s->hash, span_of(t->envelope.p, envelope));
	add_iov(s, header, FRAME_HEADER_BYTES + envelope);
	add_hashed(s, (uint8_t *)t->dots.at, f.dots_n * sizeof(t->dots.at[0]));
	add_hashed(s, t->body.p + t->body.start, body);
	memset(t->trailer, 0, pad);
	hash_add(&s->hash, span_of(t->trailer, pad));
	frame_put_trailer(t->trailer + pad, hash_value(&s->hash));
	add_iov(s, t->trailer, pad + FRAME_TRAILER_BYTES);
	return frame_end(&f);
}

static void append_batch(struct store *s)
{
	s->state = STORE_APPEND;
	for (struct txn *t = s->batch.first; t; t = t->next)
		t->entered = true;
	segment_append(&s->segment, s->iov, s->iov_n);
}

static void begin_batch(struct store *s)
{
	uint64_t segment;
	uint64_t begin = segment_durable(&s->segment, &segment);
	uint64_t end = begin;
	bool files = false;

	s->iov_n = 0;
	for (uint32_t n = 0; n < s->options.batch_max; n++) {
		struct txn *t = queue_take(&s->waiting);

		if (!t)
			break;
		end = add_entry(s, t, end);
		files |= t->has_file;
		queue_add(&s->batch, t);
	}
	s->counts.bytes += end - begin;
	s->counts.batches++;
	if (files)
		s->state = STORE_FILES; /* G2 */
	else
		append_batch(s);
}

static void finish(struct store *s, struct queue *q, int error)
{
	struct txn *t;

	if (error)
		s->counts.errors++;
	while ((t = queue_take(q))) {
		txn_committed(t, error); /* G1, G3 */
		queue_add(&s->finished, t);
	}
	s->state = STORE_IDLE;
}

/* -- steps ---------------------------------------------------------------- */

static bool segment_ready(const struct store *s)
{
	return s->segment.state == SEGMENT_READY;
}

static bool seal_due(const struct store *s)
{
	uint64_t segment;

	if (!segment_ready(s))
		return false;
	return segment_durable(&s->segment, &segment) >=
		       s->options.segment_bytes ||
	       (s->seal_wanted && !s->waiting.first);
}

/* From IDLE, what there is to do. */
static void start(struct store *s)
{
	if (seal_due(s)) {
		s->seal_wanted = false;
		s->state = STORE_SEAL;
		segment_seal(&s->segment);
	} else if (s->waiting.first && segment_ready(s)) {
		begin_batch(s);
	} else if (s->waiting.first) {
		s->state = STORE_BIRTH;
		segment_begin(&s->segment, draw_id(s), s->options.worker);
	}
}

bool store_next(struct store *s, struct io *ret_io)
{
	if (s->flying)
		return false;
	if (s->state == STORE_IDLE && segment_settled(&s->segment))
		start(s);
	if (s->state == STORE_FILES) {
		*ret_io = (struct io){ .kind = IO_SYNC,
				       .fd = s->options.files_dir };
		s->flying = true;
	} else {
		s->flying = segment_next(&s->segment, ret_io);
	}
	return s->flying;
}

static void files_done(struct store *s, int64_t result)
{
	s->counts.syncs++;
	if (result < 0) {
		segment_abandon(&s->segment);
		finish(s, &s->batch, (int)result);
	} else {
		append_batch(s);
	}
}

void store_done(struct store *s, int64_t result)
{
	int error;

	MUST(s->flying);
	s->flying = false;
	if (s->state == STORE_FILES) {
		files_done(s, result);
		return;
	}
	segment_done(&s->segment, result);
	if (!segment_settled(&s->segment))
		return;
	error = segment_ready(s) ? 0 : segment_error(&s->segment);
	switch (s->state) {
	case STORE_BIRTH:
		if (error)
			finish(s, &s->waiting, error);
		s->state = STORE_IDLE;
		break;
	case STORE_APPEND: finish(s, &s->batch, error); break;
	case STORE_SEAL:
		if (error)
			s->counts.errors++;
		s->state = STORE_IDLE;
		break;
	case STORE_IDLE: break;        /* an abandoned segment was closed */
	case STORE_FILES: MUST(false); /* files_done() has it */
	}
}

void store_commit(struct store *s, struct txn *t)
{
	queue_add(&s->waiting, t);
}

struct txn *store_finished(struct store *s)
{
	return queue_take(&s->finished);
}

int store_files_dir(const struct store *s)
{
	return s->options.files_dir;
}

void store_count_file(struct store *s)
{
	s->counts.files++;
}

void store_durable(const struct store *s, uint64_t *ret_segment,
		   uint64_t *ret_durable)
{
	*ret_durable = segment_durable(&s->segment, ret_segment);
}

struct store_counts store_counts(const struct store *s)
{
	struct store_counts counts = s->counts;

	counts.writes += s->segment.writes;
	counts.syncs += s->segment.syncs;
	return counts;
}

bool store_idle(const struct store *s)
{
	return s->state == STORE_IDLE && segment_settled(&s->segment) &&
	       !s->waiting.first && !s->finished.first && !seal_due(s);
}

void store_seal(struct store *s)
{
	s->seal_wanted = true;
}
