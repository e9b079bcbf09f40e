/*
 * The delivery state on its way to stable storage.
 *
 *   a new file:  OPENING -> SNAPSHOT ... -> SNAPSHOT_SYNCING
 *                -> SEGMENTS_SYNCING -> NAMING -> NAME_SYNCING
 *                -> (OLD_CLOSING -> OLD_UNLINKING ->) IDLE
 *   a batch:     IDLE -> APPENDING ... -> SYNCING -> IDLE
 *   a failure:   any -> (CLEANING ->) (CLOSING ->) (OLD_CLOSING ->) RESTING
 *                RESTING -> OPENING (journal_retry)
 *
 * J1  A file gets its name when it holds a whole snapshot that is durable, and
 *     sequences only rise: the file with the highest sequence is enough, and
 *     the one before is unlinked only when the new name is durable.
 * J2  `synced` covers a change only when a sync succeeded that began after its
 *     write, or a snapshot became durable that began after it was applied.
 * J3  A change is applied to the index before it is queued. So the index knows
 *     all that the queue holds, and the queue may be dropped when a snapshot
 *     begins, or cut off when it is full: a snapshot must follow then.
 * J4  Changes go to the file in the order of their numbers, none left out: the
 *     first one that the queue cannot take (`overrun`) keeps out all others.
 * J5  After a failed write or sync a file is not written again: what the sync
 *     left in doubt could not be told from what it stored.
 *
 * J6  A snapshot does not mention segments that were unlinked, so their unlinking
 *     is made durable before it takes over: else a crash could bring back one
 *     whose messages nobody knows to be done any more.
 *
 * Compaction is not torn between two files: while it runs, changes queue, and
 * what they change under its hands does no harm (X1 in index_change.c).
 */
#include "spool/journal.h"

#include "base/must.h"
#include "spool/layout.h"

#include <errno.h>
#include <fcntl.h>

enum journal_state {
	JOURNAL_OPENING,
	JOURNAL_SNAPSHOT,
	JOURNAL_SNAPSHOT_SYNCING,
	JOURNAL_SEGMENTS_SYNCING,
	JOURNAL_NAMING,
	JOURNAL_NAME_SYNCING,
	JOURNAL_OLD_CLOSING,
	JOURNAL_OLD_UNLINKING,
	JOURNAL_IDLE,
	JOURNAL_APPENDING,
	JOURNAL_SYNCING,
	JOURNAL_CLEANING, /* the temporary name of a file that failed */
	JOURNAL_CLOSING,  /* a file that failed */
	JOURNAL_RESTING,
};

struct journal {
	struct journal_options options;
	enum journal_state state;
	bool flying;
	int error;
	int fd;     /* of the file being written */
	int old_fd; /* of the one it replaces */
	uint64_t sequence;
	uint64_t old_sequence;
	uint64_t named; /* sequence of the newest named file */
	uint64_t length;
	uint64_t file_changes; /* in it since its snapshot */

	uint64_t appended;   /* number of the last change */
	uint64_t queued_to;  /* number of the last one in the queue */
	uint64_t written_to; /* number that the next sync covers */
	uint64_t synced;
	bool overrun;

	struct index_cursor cursor;
	char temporary[LAYOUT_NAME_MAX];
	char name[LAYOUT_NAME_MAX];
	struct iovec iov;
	uint32_t queue_n;
	uint32_t out_len;
	uint32_t out_start;
	uint8_t *out;          /* room for the queue and a snapshot's step */
	struct change queue[]; /* queue_max of them */
};

static void set_state(struct journal *j, enum journal_state state)
{
	j->state = state;
}

/* Empties the queue into a snapshot that begins now. */
static void begin_file(struct journal *j)
{
	j->old_fd = j->fd;
	j->old_sequence = j->named;
	j->fd = -1;
	j->sequence++; /* J1: also after a failure */
	j->length = 0;
	j->file_changes = 0;
	j->written_to = j->queued_to = j->appended; /* J2, J3 */
	j->queue_n = 0;
	j->overrun = false;
	j->cursor = (struct index_cursor){ 0 };
	j->out_start = j->out_len = 0;
	layout_name(j->temporary, LAYOUT_TEMPORARY, j->sequence);
	layout_name(j->name, LAYOUT_JOURNAL, j->sequence);
	set_state(j, JOURNAL_OPENING);
}

size_t journal_size(uint32_t queue_max)
{
	return sizeof(struct journal) + queue_max * sizeof(struct change) +
	       (queue_max + INDEX_STEP_MAX) * (size_t)CHANGE_BYTES;
}

struct journal *journal_init(uint8_t *memory,
			     const struct journal_options *options)
{
	struct journal *j = (struct journal *)(void *)memory;

	MUST((uintptr_t)memory % _Alignof(struct journal) == 0);
	MUST(options->compact_changes && options->queue_max);
	memset(j, 0, sizeof(*j));
	j->options = *options;
	j->out = (uint8_t *)&j->queue[options->queue_max];
	j->sequence = j->named = options->sequence;
	j->fd = -1;
	begin_file(j);
	return j;
}

uint64_t journal_append(struct journal *j, const struct change *change)
{
	/* No room to remember it concerns only what is not yet scanned. */
	(void)index_apply(j->options.index, change); /* J3 */
	j->appended++;
	if (j->queue_n == j->options.queue_max)
		j->overrun = true;
	if (!j->overrun) { /* J4 */
		j->queue[j->queue_n++] = *change;
		j->queued_to = j->appended;
	}
	return j->appended;
}

uint64_t journal_synced(const struct journal *j)
{
	return j->synced;
}

/* -- what to write -------------------------------------------------------- */

static void out_put(struct journal *j, const struct change *c)
{
	change_put(j->out + j->out_len, c, j->sequence, j->length + j->out_len);
	j->out_len += CHANGE_BYTES;
}

/* True when one more step of the snapshot is sure to fit. */
static bool out_has_room(const struct journal *j)
{
	return j->out_len <= j->options.queue_max * CHANGE_BYTES;
}

/* The next piece of the snapshot. False: it is complete. */
static bool fill_from_index(struct journal *j)
{
	struct change begin = { .kind = CHANGE_BEGIN,
				.offset = CHANGE_VERSION };
	struct change step[INDEX_STEP_MAX];
	uint32_t n = 1;

	j->out_start = j->out_len = 0;
	if (!j->length)
		out_put(j, &begin);
	while (n && out_has_room(j)) {
		n = index_snapshot(j->options.index, &j->cursor, step);
		for (uint32_t k = 0; k < n; k++)
			out_put(j, &step[k]);
	}
	return j->out_len;
}

static void fill_from_queue(struct journal *j)
{
	j->out_start = j->out_len = 0;
	for (uint32_t n = 0; n < j->queue_n; n++)
		out_put(j, &j->queue[n]);
	j->file_changes += j->queue_n;
	j->queue_n = 0;
	j->written_to = j->queued_to;
}

/* From IDLE, what there is to do. */
static void start(struct journal *j)
{
	if (j->overrun || j->file_changes >= j->options.compact_changes) {
		begin_file(j);
	} else if (j->queue_n) {
		fill_from_queue(j);
		set_state(j, JOURNAL_APPENDING);
	}
}

/* -- steps ---------------------------------------------------------------- */

static bool step_of(struct journal *j, struct io *io)
{
	io->fd = j->fd;
	io->dir = j->options.dir;
	switch (j->state) {
	case JOURNAL_IDLE:
	case JOURNAL_RESTING: return false;
	case JOURNAL_OPENING:
		io->kind = IO_OPEN;
		io->name = j->temporary;
		io->flags = O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC;
		io->mode = 0600;
		return true;
	case JOURNAL_SNAPSHOT:
	case JOURNAL_APPENDING:
		j->iov = (struct iovec){ j->out + j->out_start,
					 j->out_len - j->out_start };
		io->kind = IO_WRITE;
		io->iov = &j->iov;
		io->iov_n = 1;
		io->offset = j->length;
		return true;
	case JOURNAL_SNAPSHOT_SYNCING:
	case JOURNAL_SYNCING: io->kind = IO_DATASYNC; return true;
	case JOURNAL_SEGMENTS_SYNCING: /* J6 */
		io->kind = IO_SYNC;
		io->fd = j->options.segments_dir;
		return true;
	case JOURNAL_NAMING:
		io->kind = IO_RENAME;
		io->name = j->temporary;
		io->new_dir = j->options.dir;
		io->new_name = j->name;
		return true;
	case JOURNAL_NAME_SYNCING:
		io->kind = IO_SYNC;
		io->fd = j->options.dir;
		return true;
	case JOURNAL_OLD_CLOSING:
		io->kind = IO_CLOSE;
		io->fd = j->old_fd;
		return true;
	case JOURNAL_OLD_UNLINKING:
		layout_name(j->name, LAYOUT_JOURNAL, j->old_sequence);
		io->kind = IO_UNLINK;
		io->name = j->name;
		return true;
	case JOURNAL_CLEANING:
		io->kind = IO_UNLINK;
		io->name = j->temporary;
		return true;
	case JOURNAL_CLOSING: io->kind = IO_CLOSE; return true;
	}
	return false;
}

bool journal_next(struct journal *j, struct io *ret_io)
{
	struct io io = { 0 };

	if (j->flying)
		return false;
	if (j->state == JOURNAL_IDLE)
		start(j);
	if (!step_of(j, &io))
		return false;
	j->flying = true;
	*ret_io = io;
	return true;
}

/* Where a failure goes on: what is open is closed, then it rests. */
static void wind_up(struct journal *j)
{
	if (j->fd >= 0)
		set_state(j, JOURNAL_CLOSING);
	else if (j->old_fd >= 0)
		set_state(j, JOURNAL_OLD_CLOSING);
	else
		set_state(j, JOURNAL_RESTING);
}

static void fail(struct journal *j, int error)
{
	j->error = error;
	if (j->fd >= 0 && j->state <= JOURNAL_NAMING)
		set_state(j, JOURNAL_CLEANING);
	else
		wind_up(j); /* J5 */
}

/* After a piece was written whole. */
static void write_on(struct journal *j)
{
	if (j->state == JOURNAL_APPENDING)
		set_state(j, JOURNAL_SYNCING);
	else if (!fill_from_index(j))
		set_state(j, JOURNAL_SNAPSHOT_SYNCING);
}

static void written(struct journal *j, int64_t result)
{
	if (result <= 0) {
		fail(j, result ? (int)result : -EIO);
		return;
	}
	j->out_start += (uint32_t)result;
	j->length += (uint64_t)result;
	if (j->out_start == j->out_len)
		write_on(j);
}

static void opened(struct journal *j, int fd)
{
	j->fd = fd;
	set_state(j, JOURNAL_SNAPSHOT);
	(void)fill_from_index(j); /* at least its first change */
}

/* The new file is the journal now. */
static void named(struct journal *j)
{
	j->named = j->sequence;
	j->synced = j->written_to; /* J2 */
	if (j->old_fd >= 0)
		set_state(j, JOURNAL_OLD_CLOSING);
	else if (j->old_sequence)
		set_state(j, JOURNAL_OLD_UNLINKING); /* J1 */
	else
		set_state(j, JOURNAL_IDLE);
}

static void old_closed(struct journal *j)
{
	j->old_fd = -1;
	set_state(j, j->error ? JOURNAL_RESTING : JOURNAL_OLD_UNLINKING);
}

static void synced(struct journal *j)
{
	j->synced = j->written_to; /* J2 */
	set_state(j, JOURNAL_IDLE);
}

static bool may_fail(enum journal_state state)
{
	return state <= JOURNAL_NAME_SYNCING || state == JOURNAL_APPENDING ||
	       state == JOURNAL_SYNCING;
}

void journal_done(struct journal *j, int64_t result)
{
	MUST(j->flying); /* so it is neither IDLE nor RESTING */
	j->flying = false;
	if (result < 0 && may_fail(j->state)) {
		fail(j, (int)result);
		return;
	}
	switch (j->state) {
	case JOURNAL_OPENING: opened(j, (int)result); return;
	case JOURNAL_SNAPSHOT:
	case JOURNAL_APPENDING: written(j, result); return;
	case JOURNAL_SNAPSHOT_SYNCING:
		set_state(j, JOURNAL_SEGMENTS_SYNCING);
		return;
	case JOURNAL_SEGMENTS_SYNCING: set_state(j, JOURNAL_NAMING); return;
	case JOURNAL_NAMING: set_state(j, JOURNAL_NAME_SYNCING); return;
	case JOURNAL_NAME_SYNCING: named(j); return;
	case JOURNAL_OLD_CLOSING: old_closed(j); return;
	case JOURNAL_OLD_UNLINKING: set_state(j, JOURNAL_IDLE); return;
	case JOURNAL_SYNCING: synced(j); return;
	case JOURNAL_CLEANING: wind_up(j); return;
	case JOURNAL_CLOSING:
		j->fd = -1;
		wind_up(j);
		return;
	case JOURNAL_IDLE:
	case JOURNAL_RESTING: break;
	}
}

int journal_error(const struct journal *j)
{
	return j->error;
}

void journal_retry(struct journal *j)
{
	if (j->state != JOURNAL_RESTING)
		return;
	j->error = 0;
	begin_file(j);
}

bool journal_idle(const struct journal *j)
{
	return j->state == JOURNAL_IDLE && j->synced == j->appended;
}

uint64_t journal_sequence(const struct journal *j)
{
	return j->named;
}
