/*
 * The order that a relay must keep, here in its simplest form:
 *
 *   start    bodies that can be locked are listed, then segments; the journal
 *            is replayed; then segments are scanned
 *   sweep    listed bodies that no scanned message needs go, when all segments
 *            of the start have been read as far as they were durable then
 *   done     DONE is appended; when it is synced, the body may go
 *   reclaim  the segment is unlinked, then forgotten
 */
#include "carrier.h"

#include "base/must.h"
#include "spool/entry.h"
#include "spool/layout.h"
#include "spool/replay.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>

#define DRAIN_TICKS 60000
#define SCAN_STEPS  6

static int64_t run(struct carrier *c, const struct io *io)
{
	return disk_run(c->disk, CARRIER_OWNER, io);
}

static int open_name(struct carrier *c, enum disk_dir dir, const char *name)
{
	struct io io = { .kind = IO_OPEN, .dir = (int)dir, .name = name };

	return (int)run(c, &io);
}

static void close_fd(struct carrier *c, int fd)
{
	struct io io = { .kind = IO_CLOSE, .fd = fd };

	(void)run(c, &io);
}

static bool can_lock(struct carrier *c, int fd)
{
	struct io io = { .kind = IO_LOCK,
			 .fd = fd,
			 .flags = LOCK_SH | LOCK_NB };

	return !run(c, &io);
}

static bool name_can_be_locked(struct carrier *c, enum disk_dir dir,
			       const char *name)
{
	int fd = open_name(c, dir, name);
	bool can = fd >= 0 && can_lock(c, fd);

	if (fd >= 0)
		close_fd(c, fd);
	return can;
}

static bool unlink_name(struct carrier *c, enum disk_dir dir, const char *name)
{
	struct io io = { .kind = IO_UNLINK, .dir = (int)dir, .name = name };
	int64_t result = run(c, &io);

	return !result || result == -ENOENT;
}

/* -- start ---------------------------------------------------------------- */

static void add_body(struct carrier *c, uint64_t id, uint64_t number,
		     bool leftover)
{
	MUST(c->bodies_n < CARRIER_BODIES);
	c->bodies[c->bodies_n++] =
		(struct carrier_body){ id, number, leftover };
}

static void list_bodies(struct carrier *c)
{
	const char *name;
	uint64_t id;

	for (uint32_t n = 0; (name = disk_name(c->disk, DISK_FILES, n)); n++)
		if (layout_number(name, LAYOUT_BODY, &id) &&
		    name_can_be_locked(c, DISK_FILES, name))
			add_body(c, id, 0, true);
}

static void list_segments(struct carrier *c)
{
	const char *name;
	uint16_t slot;
	uint64_t id;

	for (uint32_t n = 0; (name = disk_name(c->disk, DISK_SEGMENTS, n)); n++)
		if (layout_number(name, LAYOUT_SEGMENT, &id))
			MUST(!index_add_segment(c->index, id, &slot));
}

/* Births that were never finished. */
static void remove_temporary(struct carrier *c, enum disk_dir dir)
{
	uint32_t n = 0;
	const char *name;

	while ((name = disk_name(c->disk, dir, n))) {
		uint64_t id;

		n++;
		if (!layout_number(name, LAYOUT_TEMPORARY, &id) ||
		    !name_can_be_locked(c, dir, name))
			continue;
		if (!unlink_name(c, dir, name))
			return;
		n = 0; /* names have moved */
	}
}

static void replay_journal(struct carrier *c)
{
	uint8_t buffer[REPLAY_BUFFER_MIN];
	char newest[LAYOUT_NAME_MAX];
	struct replay replay;
	const char *name;
	uint64_t sequence;
	struct io io;
	int fd;

	for (uint32_t n = 0; (name = disk_name(c->disk, DISK_JOURNAL, n)); n++)
		if (layout_number(name, LAYOUT_JOURNAL, &sequence) &&
		    sequence > c->journal_was)
			c->journal_was = sequence;
	if (!c->journal_was)
		return;
	layout_name(newest, LAYOUT_JOURNAL, c->journal_was);
	fd = open_name(c, DISK_JOURNAL, newest);
	replay_init(&replay, fd, c->journal_was,
		    (struct span_mut){ buffer, sizeof(buffer) }, c->index);
	while (fd >= 0 && replay_next(&replay, &io))
		replay_done(&replay, run(c, &io));
	if (fd >= 0 && !disk_is_dead(c->disk))
		close_fd(c, fd);
	if (fd >= 0 && replay_error(&replay) && !disk_is_dead(c->disk))
		ledger_break(c->ledger, "the journal cannot be read");
}

struct carrier *carrier_open(struct disk *disk, struct ledger *ledger,
			     struct board_slot *board)
{
	struct index_options index = {
		.messages_max = disk_chance(disk, 4) ? LEDGER_MAX : 10,
		.changes_max = LEDGER_MAX,
		.segments_max = CARRIER_SEGMENTS,
		.wide_max = LEDGER_MAX,
	};
	struct journal_options journal = {
		.dir = DISK_JOURNAL,
		.segments_dir = DISK_SEGMENTS,
		.queue_max = disk_chance(disk, 4) ? 2048 : 4,
	};
	size_t index_bytes = (index_size(&index) + 63) & ~63UL;
	size_t journal_bytes = (journal_size(journal.queue_max) + 63) & ~63UL;
	struct carrier *c = calloc(1, sizeof(*c));
	uint8_t *index_memory = aligned_alloc(64, index_bytes);
	uint8_t *journal_memory = aligned_alloc(64, journal_bytes);

	MUST(c && index_memory && journal_memory);
	memset(index_memory, 0, index_bytes);
	c->disk = disk;
	c->ledger = ledger;
	c->board = board;
	c->now_s = 1700000000;
	c->index = index_init(index_memory, &index);
	list_bodies(c);
	list_segments(c);
	remove_temporary(c, DISK_SEGMENTS);
	remove_temporary(c, DISK_FILES);
	remove_temporary(c, DISK_JOURNAL);
	replay_journal(c);
	journal.index = c->index;
	journal.sequence = c->journal_was;
	journal.compact_changes = 1 + disk_chance(disk, 100);
	c->journal = journal_init(journal_memory, &journal);
	return c;
}

void carrier_close(struct carrier *c)
{
	free(c->index);
	free(c->journal);
	free(c);
}

/* -- scanning ------------------------------------------------------------- */

/* A message that waits for delivery must be one that may still be delivered. */
static void check_added(struct carrier *c, const struct frame *f,
			struct index_ref ref)
{
	uint32_t number = ledger_mail(c->ledger, f->id);
	const struct ledger_mail *mail = &c->ledger->mails[number];

	if (number == LEDGER_MAX) {
		ledger_break(c->ledger, "a message that nobody sent");
		return;
	}
	if (mail->done_synced)
		ledger_break(c->ledger, "mail %u is done and comes back",
			     number);
	if (mail->held_synced && index_get(c->index, ref)->state != INDEX_HELD)
		ledger_break(c->ledger, "mail %u was held and is not", number);
	for (uint32_t r = 0; r < mail->recipients_n; r++)
		if (mail->recipients_synced[r / 64] >> r % 64 & 1 &&
		    !index_recipient_done(c->index, ref, r))
			ledger_break(c->ledger, "mail %u: recipient %u again",
				     number, r);
}

/* A body that a message needs is no leftover. */
static void claim_body(struct carrier *c, uint64_t id)
{
	for (uint32_t n = 0; n < c->bodies_n; n++)
		if (c->bodies[n].leftover && c->bodies[n].id == id)
			c->bodies[n--] = c->bodies[--c->bodies_n];
}

/* False: the index is full. */
static bool take_message(struct carrier *c, uint16_t slot)
{
	struct carrier_segment *g = &c->segments[slot];
	struct index_ref ref;

	switch (index_add(c->index, slot, &g->frame, c->now_s, &ref)) {
	case INDEX_FULL: return false;
	case INDEX_DONE_BEFORE: return true;
	case INDEX_ADDED: break;
	}
	check_added(c, &g->frame, ref);
	if (g->frame.type == FRAME_FILE)
		claim_body(c, g->frame.id);
	return true;
}

static void finish_segment(struct carrier *c, uint16_t slot)
{
	struct carrier_segment *g = &c->segments[slot];

	g->caught_up = true;
	index_finish_segment(c->index, slot, scan_corrupt(&g->scan));
	if (scan_corrupt(&g->scan))
		ledger_break(c->ledger, "segment %016llx lost durable bytes",
			     (unsigned long long)g->scan.segment);
}

/* One step of the scan; false: enough for now. */
static bool scan_once(struct carrier *c, uint16_t slot)
{
	struct carrier_segment *g = &c->segments[slot];
	struct frame f;
	struct io io;

	switch (scan_step(&g->scan, &f)) {
	case SCAN_WANTS_READ:
		scan_next(&g->scan, &io);
		scan_done(&g->scan, run(c, &io));
		return true;
	case SCAN_MESSAGE:
		g->frame = f;
		g->kept = !take_message(c, slot);
		return !g->kept;
	case SCAN_BAD:
		index_scanned(c->index, slot, scan_offset(&g->scan));
		return true;
	case SCAN_LIMIT: g->caught_up = true; return false;
	case SCAN_SEALED:
	case SCAN_END: finish_segment(c, slot); return false;
	case SCAN_FAILED: return false;
	}
	return false;
}

/* False: it cannot be opened now. */
static bool open_segment(struct carrier *c, uint16_t slot)
{
	struct carrier_segment *g = &c->segments[slot];
	struct index_segment *s = index_segment(c->index, slot);
	char name[LAYOUT_NAME_MAX];

	if (g->open)
		return true;
	layout_name(name, LAYOUT_SEGMENT, s->id);
	s->fd = open_name(c, DISK_SEGMENTS, name);
	if (s->fd < 0)
		return false;
	scan_init(&g->scan, s->fd, s->id,
		  (struct span_mut){ g->buffer,
				     SCAN_BUFFER_MIN +
					     disk_chance(c->disk, 512) });
	g->open = true;
	return true;
}

static void scan_tick(struct carrier *c)
{
	uint16_t slot = (uint16_t)disk_chance(c->disk, CARRIER_SEGMENTS);
	struct carrier_segment *g;
	const struct index_segment *s;
	uint64_t segment, durable;

	while (slot && !index_segment(c->index, slot)->id)
		slot /= 2; /* slots fill from below */
	g = &c->segments[slot];
	s = index_segment(c->index, slot);
	if (!s->id || s->finished || !open_segment(c, slot))
		return;
	board_look(c->board, &segment, &durable);
	if (can_lock(c, s->fd))
		scan_set_limit(&g->scan, SCAN_TO_END);
	else if (segment == s->id)
		scan_set_limit(&g->scan, durable);
	if (g->kept)
		g->kept = !take_message(c, slot);
	for (int n = 0; n < SCAN_STEPS && !g->kept && scan_once(c, slot); n++)
		;
}

/* -- delivering ----------------------------------------------------------- */

static void append(struct carrier *c, const struct change *change,
		   uint32_t mail)
{
	uint64_t number = journal_append(c->journal, change);

	MUST(c->promises_n < CARRIER_PROMISES);
	c->promises[c->promises_n++] = (struct carrier_promise){
		number, mail, change->kind, change->word, change->bits,
	};
	if (change->kind == CHANGE_RELEASED || change->kind == CHANGE_DONE)
		c->ledger->mails[mail].held_synced = false;
}

static bool load_entry(struct carrier *c, struct index_ref ref,
		       struct entry *ret)
{
	const struct index_message *m = index_get(c->index, ref);
	const struct index_segment *g = index_segment(c->index, m->segment);
	struct io io;

	entry_open(ret, g->fd, g->id, index_offset(m),
		   (struct span_mut){ c->storage, sizeof(c->storage) });
	while (entry_next(ret, &io))
		entry_done(ret, run(c, &io));
	if (entry_state(ret) == ENTRY_READY)
		return true;
	if (entry_error(ret) != -EIO)
		ledger_break(c->ledger, "a queued entry cannot be loaded");
	return false;
}

/* Reads body_len bytes; false: a read failed. */
static bool read_body(struct carrier *c, int fd, uint64_t at, size_t len)
{
	for (size_t have = 0; have < len;) {
		struct iovec iov = { c->body + have, len - have };
		struct io io = { .kind = IO_READ,
				 .fd = fd,
				 .iov = &iov,
				 .iov_n = 1,
				 .offset = at + have };
		int64_t n = run(c, &io);

		if (n < 0)
			return false;
		if (!n) {
			ledger_break(c->ledger, "a body is too short");
			return false;
		}
		have += (size_t)n;
	}
	return true;
}

static bool load_body(struct carrier *c, const struct entry *e, int segment_fd)
{
	const struct frame *f = &e->frame;
	char name[LAYOUT_NAME_MAX];
	bool ok;
	int fd;

	if (f->body_len > sizeof(c->body)) {
		ledger_break(c->ledger, "a body is too long");
		return false;
	}
	if (f->type == FRAME_MESSAGE)
		return read_body(c, segment_fd, frame_body_at(f), f->body_len);
	layout_name(name, LAYOUT_BODY, f->id);
	fd = open_name(c, DISK_FILES, name);
	if (fd == -ENOENT)
		ledger_break(c->ledger, "a live message has no body");
	if (fd < 0)
		return false;
	ok = read_body(c, fd, 0, f->body_len);
	close_fd(c, fd);
	if (ok && hash_of(span_of(c->body, f->body_len), f->id) != f->body_hash)
		ledger_break(c->ledger, "a body's checksum is wrong");
	return ok;
}

/* Every byte is as it was given. */
static void check_content(struct carrier *c, uint32_t mail,
			  const struct entry *e)
{
	struct ledger *l = c->ledger;
	struct dots want = ledger_dots(l, mail), have;
	uint8_t storage[LEDGER_BODY_MAX];
	struct buf expected;

	entry_dots(e, &have);
	if (want.partial != have.partial ||
	    (!want.partial && want.n != have.n) ||
	    memcmp(want.at, have.at, have.n * sizeof(have.at[0])))
		ledger_break(l, "mail %u: other dots", mail);
	buf_init(&expected, storage, sizeof(storage));
	ledger_put_envelope(l, mail, &expected);
	if (!span_equal(buf_span(&expected), entry_envelope(e)) ||
	    e->frame.recipients_n != l->mails[mail].recipients_n ||
	    e->frame.arrival_s != 1700000000)
		ledger_break(l, "mail %u: another envelope", mail);
	buf_clear(&expected);
	ledger_put_body(l, mail, 0, &expected, l->mails[mail].body_len);
	if (!span_equal(buf_span(&expected),
			span_of(c->body, e->frame.body_len)))
		ledger_break(l, "mail %u: another body", mail);
}

static void deliver(struct carrier *c, struct index_ref ref, uint32_t mail,
		    const struct entry *e)
{
	struct change done = index_change(c->index, ref, CHANGE_DONE);
	int fd = index_segment(c->index, index_get(c->index, ref)->segment)->fd;

	if (!load_body(c, e, fd)) {
		index_postpone(c->index, ref, c->now_s + 1);
		return;
	}
	check_content(c, mail, e);
	c->ledger->mails[mail].delivered = true;
	append(c, &done, mail);
	if (e->frame.type == FRAME_FILE)
		add_body(c, e->frame.id, journal_synced(c->journal), false);
	if (e->frame.type == FRAME_FILE)
		c->bodies[c->bodies_n - 1].number =
			c->promises[c->promises_n - 1].number;
}

static void put_off(struct carrier *c, struct index_ref ref, uint32_t mail)
{
	struct change change = index_change(c->index, ref, CHANGE_DEFERRED);
	uint32_t n = disk_chance(c->disk, c->ledger->mails[mail].recipients_n);
	struct change one = index_change_recipient(c->index, ref, n);

	if (disk_chance(c->disk, 2))
		append(c, &one, mail);
	if (!disk_chance(c->disk, 4)) {
		change.kind = CHANGE_HELD;
		change.code = 550;
	} else {
		change.attempts++;
		change.due_s = (uint32_t)c->now_s + disk_chance(c->disk, 50);
	}
	append(c, &change, mail);
}

static void deliver_tick(struct carrier *c)
{
	struct index_ref ref;
	struct entry e;
	uint32_t mail;

	if (!index_due(c->index, c->now_s, &ref))
		return;
	if (!load_entry(c, ref, &e)) {
		index_postpone(c->index, ref, c->now_s + 1);
		return;
	}
	mail = ledger_mail(c->ledger, e.frame.id);
	if (mail == LEDGER_MAX ||
	    index_activate(c->index, ref, e.frame.recipients_n)) {
		ledger_break(c->ledger, "a message that cannot be begun");
		return;
	}
	if (c->finishing || disk_chance(c->disk, 2))
		deliver(c, ref, mail, &e);
	else
		put_off(c, ref, mail);
}

static void release_tick(struct carrier *c)
{
	struct change change;
	struct index_ref ref;

	for (uint32_t n = 0; index_walk(c->index, n, &ref); n = ref.slot + 1) {
		if (index_get(c->index, ref)->state != INDEX_HELD)
			continue;
		change = index_change(c->index, ref, CHANGE_RELEASED);
		change.due_s = (uint32_t)c->now_s;
		for (uint32_t mail = 0; mail < c->ledger->n; mail++)
			c->ledger->mails[mail].held_synced = false;
		(void)journal_append(c->journal, &change);
	}
}

/* -- keeping promises ----------------------------------------------------- */

static void keep(struct carrier *c, const struct carrier_promise *p)
{
	struct ledger_mail *mail = &c->ledger->mails[p->mail];

	if (p->kind == CHANGE_DONE)
		mail->done_synced = true;
	else if (p->kind == CHANGE_RECIPIENTS)
		mail->recipients_synced[p->word] |= p->bits;
}

static void journal_tick(struct carrier *c)
{
	uint32_t left = 0;
	struct io io;

	if (journal_next(c->journal, &io))
		journal_done(c->journal, run(c, &io));
	else if (journal_error(c->journal) && !disk_chance(c->disk, 4))
		journal_retry(c->journal);
	for (uint32_t n = 0; n < c->promises_n; n++)
		if (c->promises[n].number <= journal_synced(c->journal))
			keep(c, &c->promises[n]);
		else
			c->promises[left++] = c->promises[n];
	c->promises_n = left;
}

/* Journals before the current one, which is durable under its name. */
static void remove_old_journals(struct carrier *c)
{
	uint64_t current = journal_sequence(c->journal), sequence;
	const char *name;

	if (current <= c->journal_was)
		return;
	for (uint32_t n = 0; (name = disk_name(c->disk, DISK_JOURNAL, n)); n++)
		if (layout_number(name, LAYOUT_JOURNAL, &sequence) &&
		    sequence < current) {
			(void)unlink_name(c, DISK_JOURNAL, name);
			return;
		}
}

static bool reclaim(struct carrier *c, uint16_t slot)
{
	struct index_segment *s = index_segment(c->index, slot);
	char name[LAYOUT_NAME_MAX];

	layout_name(name, LAYOUT_SEGMENT, s->id);
	if (!unlink_name(c, DISK_SEGMENTS, name))
		return false;
	if (s->fd >= 0)
		close_fd(c, s->fd);
	index_forget_segment(c->index, slot);
	memset(&c->segments[slot], 0, sizeof(c->segments[slot]));
	return true;
}

static void reclaim_tick(struct carrier *c)
{
	for (uint16_t slot = 0; slot < CARRIER_SEGMENTS; slot++)
		if (index_reclaimable(c->index, slot)) {
			(void)reclaim(c, slot);
			return;
		}
}

/* True when the segments have told which bodies are needed. */
static bool all_caught_up(struct carrier *c)
{
	for (uint16_t slot = 0; slot < CARRIER_SEGMENTS; slot++)
		if (index_segment(c->index, slot)->id &&
		    !c->segments[slot].caught_up)
			return false;
	return true;
}

static void body_tick(struct carrier *c)
{
	bool sweep = all_caught_up(c);
	char name[LAYOUT_NAME_MAX];

	for (uint32_t n = 0; n < c->bodies_n; n++) {
		const struct carrier_body *b = &c->bodies[n];

		if (b->leftover ? !sweep :
				  b->number > journal_synced(c->journal))
			continue;
		layout_name(name, LAYOUT_BODY, b->id);
		if (unlink_name(c, DISK_FILES, name))
			c->bodies[n] = c->bodies[--c->bodies_n];
		return;
	}
}

void carrier_tick(struct carrier *c)
{
	c->now_s++;
	switch (disk_chance(c->disk, 16)) {
	case 0:
	case 1:
	case 2:
	case 3: scan_tick(c); return;
	case 4:
	case 5:
	case 6: deliver_tick(c); return;
	case 7:
	case 8:
	case 9:
	case 10: journal_tick(c); return;
	case 11: list_segments(c); return;
	case 12: reclaim_tick(c); return;
	case 13: body_tick(c); return;
	case 14: remove_old_journals(c); return;
	default:
		if (c->finishing || !disk_chance(c->disk, 40))
			release_tick(c);
	}
}

void carrier_drain(struct carrier *c)
{
	struct index_counts counts;

	c->finishing = true;
	for (int n = 0; n < DRAIN_TICKS && !disk_is_dead(c->disk); n++) {
		carrier_tick(c);
		list_segments(c);
		counts = index_counts(c->index);
		if (!counts.segments && !c->bodies_n &&
		    journal_idle(c->journal) &&
		    !disk_name(c->disk, DISK_JOURNAL, 1))
			return;
	}
	if (disk_is_dead(c->disk))
		return;
	counts = index_counts(c->index);
	ledger_break(c->ledger,
		     "the relay does not come to rest: %u segments, %u waiting,"
		     " %u bodies",
		     counts.segments, counts.waiting, c->bodies_n);
}
