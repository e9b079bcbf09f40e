/*
 * The life of a segment. The functions are segment_next, which yields the step
 * of a state, and segment_done, which takes each edge.
 *
 *   NONE -> OPENING -> LOCKING -> HEADING -> HEAD_SYNCING -> NAMING
 *                                                              |
 *        .-- SYNCING <- APPENDING <- (ALLOCATING) <-.          v
 *        `-------------------> READY ---------------'  <- NAME_SYNCING
 *                                |
 *   NONE <- CLOSING <- SEAL_SYNCING <- SEALING
 *
 * A failure goes to CLOSING, through UNLINKING while the name is temporary.
 *
 * S1  A segment has its name only after its first frame is durable, and is
 *     appended to only after its name is: an empty or headless segment never
 *     stands under a segment's name, and no message in a nameless one.
 * S2  The lock is taken before the name is given, so a reader never takes a
 *     segment for finished that has a living owner.
 * S3  `durable` grows only by what a successful fdatasync covers that began
 *     after the last write.
 * S4  After a failed write or sync the file is never written or synced again.
 *     A failed fsync leaves pages clean that never reached the disk; the next
 *     fsync would succeed and mean nothing.
 */
#include "spool/segment.h"

#include "base/must.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>

/* Space is taken ahead in such pieces, so that appends seldom need more. */
#define ALLOCATE_BYTES ((uint64_t)4 << 20)

static void set_state(struct segment *g, enum segment_state state)
{
	g->state = state;
}

void segment_init(struct segment *g, int dir)
{
	*g = (struct segment){ .dir = dir, .fd = -1 };
}

static void write_frame(struct segment *g, const struct frame *f)
{
	struct hash hash;

	frame_begin_hash(&hash, f->segment, frame_put_header(g->frame, f));
	frame_put_trailer(g->frame + FRAME_HEADER_BYTES, hash_value(&hash));
	g->frame_iov = (struct iovec){ g->frame, sizeof(g->frame) };
	g->iov = &g->frame_iov;
	g->iov_n = 1;
	g->at = f->offset;
}

void segment_begin(struct segment *g, uint64_t id, uint32_t worker)
{
	struct frame begin = { .type = FRAME_BEGIN,
			       .segment = id,
			       .id = worker };

	MUST(g->state == SEGMENT_NONE && id);
	g->id = id;
	g->error = 0;
	g->durable = 0;
	g->allocated = 0;
	g->allocates = true;
	layout_name(g->temporary, LAYOUT_TEMPORARY, id);
	layout_name(g->name, LAYOUT_SEGMENT, id);
	write_frame(g, &begin);
	set_state(g, SEGMENT_OPENING);
}

static uint64_t bytes_left(const struct segment *g)
{
	uint64_t n = 0;

	for (int i = 0; i < g->iov_n; i++)
		n += g->iov[i].iov_len;
	return n;
}

void segment_append(struct segment *g, struct iovec *iov, int iov_n)
{
	bool room;

	MUST(g->state == SEGMENT_READY && iov_n > 0);
	g->iov = iov;
	g->iov_n = iov_n;
	g->at = g->durable;
	room = g->at + bytes_left(g) <= g->allocated;
	set_state(g, room || !g->allocates ? SEGMENT_APPENDING :
					     SEGMENT_ALLOCATING);
}

void segment_seal(struct segment *g)
{
	struct frame seal = { .type = FRAME_SEAL,
			      .segment = g->id,
			      .offset = g->durable,
			      .synced = g->durable };

	MUST(g->state == SEGMENT_READY);
	write_frame(g, &seal);
	set_state(g, SEGMENT_SEALING);
}

void segment_abandon(struct segment *g)
{
	MUST(g->state == SEGMENT_READY);
	set_state(g, SEGMENT_CLOSING);
}

bool segment_next(struct segment *g, struct io *ret_io)
{
	struct io io = { .fd = g->fd, .dir = g->dir };

	switch (g->state) {
	case SEGMENT_NONE:
	case SEGMENT_READY: return false;
	case SEGMENT_OPENING:
		io.kind = IO_OPEN;
		io.name = g->temporary;
		io.flags = O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC;
		io.mode = 0600;
		break;
	case SEGMENT_LOCKING:
		io.kind = IO_LOCK;
		io.flags = LOCK_EX | LOCK_NB;
		break;
	case SEGMENT_ALLOCATING:
		io.kind = IO_ALLOCATE;
		io.offset = g->allocated;
		io.len = g->at + bytes_left(g) - g->allocated + ALLOCATE_BYTES;
		break;
	case SEGMENT_HEADING:
	case SEGMENT_APPENDING:
	case SEGMENT_SEALING:
		io.kind = IO_WRITE;
		io.iov = g->iov;
		io.iov_n = g->iov_n;
		io.offset = g->at;
		break;
	case SEGMENT_HEAD_SYNCING:
	case SEGMENT_SYNCING:
	case SEGMENT_SEAL_SYNCING: io.kind = IO_DATASYNC; break;
	case SEGMENT_NAMING:
		io.kind = IO_RENAME;
		io.name = g->temporary;
		io.new_dir = g->dir;
		io.new_name = g->name;
		break;
	case SEGMENT_NAME_SYNCING:
		io.kind = IO_SYNC;
		io.fd = g->dir;
		break;
	case SEGMENT_UNLINKING:
		io.kind = IO_UNLINK;
		io.name = g->temporary;
		break;
	case SEGMENT_CLOSING: io.kind = IO_CLOSE; break;
	}
	*ret_io = io;
	return true;
}

/* S4: whatever was under way, the file is given up. */
static void fail(struct segment *g, int error)
{
	g->error = error;
	if (g->fd < 0)
		set_state(g, SEGMENT_NONE);
	else if (g->state <= SEGMENT_NAMING)
		set_state(g, SEGMENT_UNLINKING);
	else
		set_state(g, SEGMENT_CLOSING);
}

/* A write may be short: goes on behind what was written. True when all is. */
static bool written(struct segment *g, uint64_t n)
{
	g->writes++;
	g->at += n;
	while (g->iov_n && n >= g->iov->iov_len) {
		n -= g->iov->iov_len;
		g->iov++;
		g->iov_n--;
	}
	if (!g->iov_n)
		return true;
	g->iov->iov_base = (uint8_t *)g->iov->iov_base + n;
	g->iov->iov_len -= n;
	return false;
}

static void write_done(struct segment *g, int64_t result,
		       enum segment_state after)
{
	if (result <= 0)
		fail(g, result ? (int)result : -EIO);
	else if (written(g, (uint64_t)result))
		set_state(g, after);
}

static void sync_done(struct segment *g, int64_t result,
		      enum segment_state after)
{
	g->syncs++;
	if (result < 0) {
		fail(g, (int)result);
		return;
	}
	g->durable = g->at; /* S3 */
	set_state(g, after);
}

static void step_done(struct segment *g, int64_t result,
		      enum segment_state after)
{
	if (result < 0)
		fail(g, (int)result);
	else
		set_state(g, after);
}

/* Space ahead is a favour; whether there is room, the write tells. */
static void allocate_done(struct segment *g, int64_t result)
{
	if (result < 0)
		g->allocates = false;
	else
		g->allocated = g->at + bytes_left(g) + ALLOCATE_BYTES;
	set_state(g, SEGMENT_APPENDING);
}

void segment_done(struct segment *g, int64_t result)
{
	MUST(!segment_settled(g));
	switch (g->state) {
	case SEGMENT_OPENING:
		g->fd = result < 0 ? -1 : (int)result;
		step_done(g, result, SEGMENT_LOCKING);
		return;
	case SEGMENT_LOCKING: step_done(g, result, SEGMENT_HEADING); return;
	case SEGMENT_HEADING:
		write_done(g, result, SEGMENT_HEAD_SYNCING);
		return;
	case SEGMENT_HEAD_SYNCING: /* S1, S2 */
		sync_done(g, result, SEGMENT_NAMING);
		return;
	case SEGMENT_NAMING: step_done(g, result, SEGMENT_NAME_SYNCING); return;
	case SEGMENT_NAME_SYNCING: /* S1 */
		g->named = result >= 0;
		step_done(g, result, SEGMENT_READY);
		return;
	case SEGMENT_ALLOCATING: allocate_done(g, result); return;
	case SEGMENT_APPENDING: write_done(g, result, SEGMENT_SYNCING); return;
	case SEGMENT_SYNCING: sync_done(g, result, SEGMENT_READY); return;
	case SEGMENT_SEALING:
		write_done(g, result, SEGMENT_SEAL_SYNCING);
		return;
	case SEGMENT_SEAL_SYNCING:
		sync_done(g, result, SEGMENT_CLOSING);
		return;
	case SEGMENT_UNLINKING: set_state(g, SEGMENT_CLOSING); return;
	case SEGMENT_CLOSING:
		g->fd = -1;
		g->named = false;
		set_state(g, SEGMENT_NONE);
		return;
	case SEGMENT_NONE:
	case SEGMENT_READY: break;
	}
}

bool segment_settled(const struct segment *g)
{
	return g->state == SEGMENT_NONE || g->state == SEGMENT_READY;
}

int segment_error(const struct segment *g)
{
	return g->error;
}

uint64_t segment_durable(const struct segment *g, uint64_t *ret_id)
{
	*ret_id = g->named ? g->id : 0;
	return g->named ? g->durable : 0;
}
