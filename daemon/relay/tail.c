/*
 * free -> reading <-> waiting (all that is durable was read)
 *            |  \---> told    (the index has no room for the message)
 *            v
 *          free: the segment was read to its end
 *
 * I1  Nothing is read beyond what the board calls durable while the segment
 *     has an owner. It has none when its lock can be had: then it will not grow.
 * I2  A message that the index did not take stays in `frame`, and the tail
 *     where it is: nothing is skipped.
 *
 * Opening a segment, trying its lock and listing the directory are done at
 * once by system calls: they come once in a segment's life.
 */
#include "relay/tail.h"

#include "base/must.h"
#include "relay/job.h"
#include "relay/runner.h"
#include "spool/layout.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#define LIST_MS 1000 /* a lost doorbell costs so much */

uint64_t tail_bytes(uint32_t board_n)
{
	return (board_n + TAIL_SPARE) *
	       (uint64_t)(TAIL_BUFFER_BYTES + sizeof(struct tail));
}

int tail_init(struct tail_set *set, uint32_t board_n)
{
	uint32_t n = board_n + TAIL_SPARE;
	uint8_t *buffers = aligned_alloc(4096, (size_t)n * TAIL_BUFFER_BYTES);

	*set = (struct tail_set){ .n = n, .look = true };
	set->seen = calloc(n, sizeof(*set->seen));
	set->users = calloc(INDEX_SEGMENTS_MAX, sizeof(*set->users));
	set->tails = aligned_alloc(64, n * sizeof(*set->tails));
	if (!buffers || !set->tails || !set->seen || !set->users)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++) {
		set->tails[i] = (struct tail){ 0 };
		set->tails[i].buffer = buffers + (size_t)i * TAIL_BUFFER_BYTES;
	}
	return 0;
}

/* -- which segments there are --------------------------------------------- */

static int add_segment(struct runner *r, uint64_t id)
{
	uint16_t slot;

	if (index_find_segment(r->index, id, &slot))
		return 0;
	return index_add_segment(r->index, id, &slot);
}

int tail_list(struct runner *r)
{
	int fd = openat(r->options->segments_dir, ".",
			O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	uint64_t id;
	int result = 0;

	if (!dir)
		return -errno;
	while (!result && (entry = readdir(dir)))
		if (layout_number(entry->d_name, LAYOUT_SEGMENT, &id))
			result = add_segment(r, id);
	(void)closedir(dir);
	return result;
}

/*
 * A worker that moved on twice between two looks left a segment that the board
 * never showed; so a move is answered by listing the directory.
 */
static bool some_worker_moved(struct runner *r)
{
	bool moved = false;

	for (uint32_t i = 0; i < r->options->board_n; i++) {
		uint64_t segment, durable;

		board_look(&r->options->board[i], &segment, &durable);
		moved = moved || segment != r->tails.seen[i];
		r->tails.seen[i] = segment;
	}
	return moved;
}

/* True when nobody holds the segment's lock: it will not grow (I1). */
static bool has_no_writer(const struct index_segment *g)
{
	if (flock(g->fd, LOCK_SH | LOCK_NB))
		return false;
	(void)flock(g->fd, LOCK_UN);
	return true;
}

/* How far a writer on the board calls the segment durable. False: it has none
 * there. */
static bool find_on_board(const struct runner *r, const struct index_segment *g,
			  uint64_t *ret_limit)
{
	for (uint32_t i = 0; i < r->options->board_n; i++) {
		uint64_t segment, durable;

		board_look(&r->options->board[i], &segment, &durable);
		if (segment != g->id)
			continue;
		*ret_limit = durable;
		return true;
	}
	return false;
}

/*
 * How far the segment may be read, I1; `known`: how far it may be already. The
 * board of a dead writer stands until the supervisor has seen its death: what
 * does not move is asked for its lock. False: nobody can say now.
 */
static bool find_limit(const struct runner *r, const struct index_segment *g,
		       uint64_t known, uint64_t *ret_limit)
{
	bool on_board = find_on_board(r, g, ret_limit);

	if (on_board && *ret_limit > known)
		return true;
	if (has_no_writer(g)) {
		*ret_limit = SCAN_TO_END;
		return true;
	}
	return on_board; /* else its owner has not announced it yet */
}

static bool open_segment(struct runner *r, struct index_segment *g)
{
	char name[LAYOUT_NAME_MAX];

	if (g->fd >= 0)
		return true;
	layout_name(name, LAYOUT_SEGMENT, g->id);
	g->fd = openat(r->options->segments_dir, name, O_RDONLY | O_CLOEXEC);
	if (g->fd >= 0) {
		r->tails.opened_n++;
		return true;
	}
	LOG(LOG_ERROR, "segment-open", log_str("segment", name),
	    log_errno(-errno));
	return false;
}

/* Of many segments only some are kept open: the others when they are read. */
static void close_unused(struct runner *r, uint16_t slot)
{
	struct index_segment *g = index_segment(r->index, slot);
	struct tail_set *set = &r->tails;
	uint64_t kept = set->opened_n - set->closed_n - r->reclaim.closed_n;

	if (!g->finished || g->fd < 0 || set->users[slot] ||
	    kept <= TAIL_KEPT_MAX || index_reclaimable(r->index, slot))
		return;
	(void)close(g->fd);
	g->fd = -1;
	set->closed_n++;
}

int tail_lend(struct runner *r, uint16_t segment)
{
	int fd = index_segment(r->index, segment)->fd;

	if (fd >= 0)
		r->tails.users[segment]++;
	return fd;
}

void tail_give(struct runner *r, uint16_t segment)
{
	MUST(r->tails.users[segment]);
	r->tails.users[segment]--;
	close_unused(r, segment);
}

static bool has_tail(const struct runner *r, uint16_t slot)
{
	for (uint32_t i = 0; i < r->tails.n; i++)
		if (r->tails.tails[i].busy && r->tails.tails[i].segment == slot)
			return true;
	return false;
}

static struct tail *free_tail(struct runner *r)
{
	for (uint32_t i = 0; i < r->tails.n; i++)
		if (!r->tails.tails[i].busy)
			return &r->tails.tails[i];
	return NULL;
}

static void begin(struct runner *r, struct tail *t, uint16_t slot)
{
	struct index_segment *g = index_segment(r->index, slot);

	if (!open_segment(r, g))
		return;
	t->busy = true;
	t->waiting = true;
	t->told = false;
	t->segment = slot;
	scan_init(&t->scan, g->fd, g->id,
		  (struct span_mut){ t->buffer, TAIL_BUFFER_BYTES });
}

/* Gives free tails to segments that were not read to their end. */
static void begin_unfinished(struct runner *r)
{
	uint32_t left = index_counts(r->index).segments;
	struct tail *t = free_tail(r);

	for (uint32_t slot = 0; left && t; slot++) {
		struct index_segment *g =
			index_segment(r->index, (uint16_t)slot);

		left -= g->id != 0;
		if (!g->id || g->finished || has_tail(r, (uint16_t)slot))
			continue;
		begin(r, t, (uint16_t)slot);
		t = free_tail(r);
	}
}

/* -- reading --------------------------------------------------------------- */

/* The envelope of the message just told, where the window still shows it. */
static struct span envelope_in_window(const struct tail *t,
				      const struct frame *f)
{
	uint64_t at = frame_envelope_at(f);
	const struct scan *s = &t->scan;

	if (at < s->buffer_at ||
	    at + f->envelope_len > s->buffer_at + s->buffer_len)
		return span_of(NULL, 0);
	return span_of(s->buffer.p + (at - s->buffer_at), f->envelope_len);
}

/* I2: false when the index is full. */
static bool give_message(struct runner *r, struct tail *t)
{
	struct index_ref ref;

	switch (index_add(r->index, t->segment, &t->frame, r->now_s, &ref)) {
	case INDEX_ADDED: break;
	case INDEX_DONE_BEFORE: return true;
	case INDEX_FULL: return false;
	}
	if (t->frame.type == FRAME_FILE)
		sweep_keep(&r->sweep, t->frame.id);
	if (index_get(r->index, ref)->state == INDEX_WAITING)
		(void)job_discard(r, ref, &t->frame,
				  envelope_in_window(t, &t->frame));
	return true;
}

static void finish(struct runner *r, struct tail *t)
{
	struct index_segment *g = index_segment(r->index, t->segment);
	bool corrupt = scan_corrupt(&t->scan);

	if (corrupt)
		sweep_spoil(&r->sweep);
	if (corrupt)
		LOG(LOG_ERROR, "segment-corrupt", log_id("segment", g->id),
		    log_str("cure", "kept: copy it away and check the disk"));
	index_finish_segment(r->index, t->segment, corrupt);
	reclaim_segment(&r->reclaim, t->segment);
	close_unused(r, t->segment);
	t->busy = false;
	r->tails.look = true; /* another one may wait for a tail */
}

static void log_bad(const struct tail *t, const struct frame *f)
{
	LOG(LOG_WARNING, "segment-bad-bytes", log_id("segment", f->segment),
	    log_u64("offset", f->offset),
	    log_u64("bytes", scan_offset(&t->scan) - f->offset));
}

static void want_read(struct runner *r, struct tail *t)
{
	struct ring_tag tag = { .kind = RUNNER_OP_TAIL,
				.slot = (uint32_t)(t - r->tails.tails) };
	struct io io;
	int64_t result;

	scan_next(&t->scan, &io);
	op_fly(&t->op);
	if (!ring_io(&r->ring, &io, tag, &result))
		op_on_cqe(&t->op, (int32_t)result, 0);
}

/* Reading goes on where the limit has moved. */
static void go_on_to(struct tail *t, uint64_t limit)
{
	if (limit == t->scan.limit && limit != SCAN_TO_END)
		return;
	if (limit < t->scan.limit)
		return; /* the board was caught between two segments */
	scan_set_limit(&t->scan, limit);
	t->waiting = false;
}

static void look(struct runner *r, struct tail *t)
{
	uint64_t limit = 0;

	if (t->waiting && t->op.state == OP_IDLE &&
	    find_limit(r, index_segment(r->index, t->segment), t->scan.limit,
		       &limit))
		go_on_to(t, limit);
}

/* The same without asking for a lock: a dead writer's segment has time. */
static void glance(struct runner *r, struct tail *t)
{
	uint64_t limit = 0;

	if (find_on_board(r, index_segment(r->index, t->segment), &limit))
		go_on_to(t, limit);
}

/* Takes what the scan finds until it wants a read. False: it rests. */
static bool step(struct runner *r, struct tail *t)
{
	if (t->told && !give_message(r, t))
		return false;
	t->told = false;
	switch (scan_step(&t->scan, &t->frame)) {
	case SCAN_WANTS_READ: want_read(r, t); return false;
	case SCAN_MESSAGE: t->told = true; return true; /* given above */
	case SCAN_BAD:
		log_bad(t, &t->frame);
		index_scanned(r->index, t->segment, scan_offset(&t->scan));
		return true;
	case SCAN_SEALED: finish(r, t); return false;
	case SCAN_END:
		if (t->scan.limit == SCAN_TO_END) {
			finish(r, t);
			return false;
		}
		break;
	case SCAN_FAILED:
		LOG(LOG_ERROR, "segment-read",
		    log_id("segment", t->scan.segment),
		    log_errno(scan_error(&t->scan)));
		break;
	case SCAN_LIMIT:
		t->waiting = true;
		glance(r, t); /* whoever rang while it read was not heard */
		return !t->waiting;
	}
	t->waiting = true;
	return false;
}

void tail_on_cqe(struct runner *r, const struct ring_completion *c)
{
	op_on_cqe(&r->tails.tails[c->tag.slot].op, c->result, c->flags);
}

/*
 * Its writer lives. The lock of a dead one stays for as long as a sync of its
 * is under way in the kernel, but the supervisor has taken it off the board.
 */
static bool has_writer(const struct runner *r, const struct index_segment *g)
{
	uint64_t durable;

	return find_on_board(r, g, &durable) && !has_no_writer(g);
}

/*
 * All that was durable at the start has been told. A body that the sweep listed
 * was let go by a living writer behind the announcement of its message, so any
 * limit seen since then covers it; or its writer is dead, and may have left
 * entries that it never announced: then the whole segment must have been read.
 */
static bool all_read(struct runner *r)
{
	uint32_t left = index_counts(r->index).segments;

	for (uint32_t i = 0; i < r->tails.n; i++) {
		const struct tail *t = &r->tails.tails[i];

		if (!t->busy)
			continue;
		if (!t->waiting || t->told || !t->scan.limit ||
		    !has_writer(r, index_segment(r->index, t->segment)))
			return false;
	}
	for (uint32_t slot = 0; left; slot++) {
		const struct index_segment *g =
			index_segment(r->index, (uint16_t)slot);

		left -= g->id != 0;
		if (g->id && !g->finished && !has_tail(r, (uint16_t)slot))
			return false;
	}
	return true;
}

/* Once, when what there was at the start has been read. */
static void recovered_when_read(struct runner *r)
{
	struct index_counts counts;
	uint32_t removed_n = 0;

	if (r->tails.recovered || !all_read(r))
		return;
	r->tails.recovered = true;
	if (sweep_waits(&r->sweep))
		removed_n = sweep_finish(&r->sweep, r->options->files_dir);
	counts = index_counts(r->index);
	LOG(LOG_NOTICE, "recovered", log_u64("segments", counts.segments),
	    log_u64("messages", counts.waiting + counts.active),
	    log_u64("left_over_bodies", removed_n));
}

static void look_at_all(struct runner *r)
{
	bool due = r->now_ms >= r->tails.listed_ms + LIST_MS;

	if (!due && !r->tails.look)
		return;
	recovered_when_read(r);
	r->tails.look = false;
	if (some_worker_moved(r) || due) {
		int result = tail_list(r);

		r->tails.listed_ms = r->now_ms;
		if (result)
			LOG(LOG_ERROR, "segments-list", log_errno(result));
	}
	begin_unfinished(r);
	for (uint32_t i = 0; i < r->tails.n; i++)
		if (r->tails.tails[i].busy)
			look(r, &r->tails.tails[i]);
}

void tail_pump(struct runner *r)
{
	if (r->state == RUNNER_SERVING)
		look_at_all(r);
	for (uint32_t i = 0; i < r->tails.n; i++) {
		struct tail *t = &r->tails.tails[i];

		if (op_take(&t->op))
			scan_done(&t->scan, t->op.result);
		if (r->state != RUNNER_SERVING || !t->busy || t->waiting ||
		    t->op.state != OP_IDLE)
			continue;
		while (step(r, t))
			;
	}
}

bool tail_idle(const struct runner *r)
{
	for (uint32_t i = 0; i < r->tails.n; i++)
		if (r->tails.tails[i].op.state != OP_IDLE)
			return false;
	return true;
}
