/*
 * One buffer, a window on the file. `at` walks through it: first over a header,
 * then over the payload, hashing as it goes, then over the trailer; a body
 * larger than the window streams through it.
 *
 *            .------- header valid -------> PAYLOAD -- trailer fits --> a frame
 *   HEADER --|                                 |
 *     ^      `-- no header ----.               | does not fit
 *     |                        v               v
 *     `------ header found - RESYNC <----------'
 *
 * C1  `offset` is the end of the last frame or bad place told; nothing before
 *     it is looked at again, and it moves only by telling.
 * C2  A message is told only when its trailer matched all its bytes.
 * C3  Nothing is told of bytes at or behind the limit: they may still change.
 *     What begins before the limit and is whole only behind it waits, unless
 *     the limit is where something durable ends: then it is bad.
 */
#include "spool/scan.h"

#include "base/must.h"

#include <errno.h>

void scan_init(struct scan *s, int fd, uint64_t segment, struct span_mut buffer)
{
	MUST(buffer.len >= SCAN_BUFFER_MIN);
	memset(s, 0, sizeof(*s));
	s->fd = fd;
	s->segment = segment;
	s->buffer = buffer;
	s->first_bad = UINT64_MAX;
	/* A segment gets its name when its first frame is durable. */
	s->synced = FRAME_HEADER_BYTES + FRAME_TRAILER_BYTES;
}

void scan_set_limit(struct scan *s, uint64_t limit)
{
	MUST(limit >= s->limit);
	s->limit = limit;
	s->at_eof = false;
	if (limit != SCAN_TO_END && limit > s->synced)
		s->synced = limit; /* the board says so */
}

/* -- the window ----------------------------------------------------------- */

/* Bytes from `at` that are in the buffer and before the limit. */
static struct span ahead(const struct scan *s)
{
	uint64_t end = s->buffer_at + s->buffer_len;

	if (end > s->limit)
		end = s->limit;
	if (s->at >= end)
		return span_of(s->buffer.p, 0);
	return span_of(s->buffer.p + (s->at - s->buffer_at),
		       (size_t)(end - s->at));
}

/* Looks elsewhere; what is in the buffer of it need not be read again. */
static void go_to(struct scan *s, uint64_t at)
{
	s->at = at;
	s->in_payload = false;
	if (at >= s->buffer_at && at <= s->buffer_at + s->buffer_len)
		return;
	s->buffer_at = at;
	s->buffer_len = 0;
	s->at_eof = false;
}

/* Moves what is ahead to the front, so that reading goes on behind it. */
static void slide(struct scan *s)
{
	struct span keep = ahead(s);

	memmove(s->buffer.p, keep.p, keep.len);
	s->buffer_at = s->at;
	s->buffer_len = keep.len;
}

void scan_next(struct scan *s, struct io *ret_io)
{
	uint64_t from, room;

	slide(s);
	from = s->buffer_at + s->buffer_len;
	room = s->buffer.len - s->buffer_len;
	if (room > s->limit - from)
		room = s->limit - from; /* C3 */
	MUST(room);
	s->iov = (struct iovec){ s->buffer.p + s->buffer_len, room };
	*ret_io = (struct io){ .kind = IO_READ,
			       .fd = s->fd,
			       .iov = &s->iov,
			       .iov_n = 1,
			       .offset = from };
}

void scan_done(struct scan *s, int64_t result)
{
	s->failed = result < 0;
	s->error = result < 0 ? (int)result : 0;
	if (!result)
		s->at_eof = true;
	else if (result > 0)
		s->buffer_len += (size_t)result;
}

/* No byte will come behind those in the buffer. */
static bool at_end(const struct scan *s)
{
	return s->at_eof || s->buffer_at + s->buffer_len >= s->limit;
}

/* -- frames --------------------------------------------------------------- */

enum look { LOOK_FOUND, LOOK_NOT, LOOK_MORE };

static enum look look_for_header(struct scan *s)
{
	struct span in = ahead(s);

	if (in.len < FRAME_HEADER_BYTES)
		return at_end(s) ? LOOK_NOT : LOOK_MORE;
	if (!frame_get_header(in.p, s->segment, s->at, &s->frame))
		return LOOK_NOT;
	frame_begin_hash(&s->hash, s->segment, frame_header_hash(in.p));
	s->at += FRAME_HEADER_BYTES;
	s->in_payload = true;
	return LOOK_FOUND;
}

/* Goes over the payload to the end of the frame. */
static enum look look_for_trailer(struct scan *s)
{
	uint64_t trailer_at = frame_trailer_at(&s->frame);
	struct span in = ahead(s);

	if (in.len > trailer_at - s->at)
		in.len = trailer_at - s->at;
	hash_add(&s->hash, in);
	s->at += in.len;
	in = ahead(s);
	if (s->at < trailer_at || in.len < FRAME_TRAILER_BYTES)
		return at_end(s) ? LOOK_NOT : LOOK_MORE;
	s->in_payload = false;
	if (!frame_trailer_matches(in.p, hash_value(&s->hash)))
		return LOOK_NOT;
	s->at += FRAME_TRAILER_BYTES;
	return LOOK_FOUND;
}

static enum look look_for_frame(struct scan *s)
{
	enum look look = LOOK_FOUND;

	if (!s->in_payload)
		look = look_for_header(s);
	return look == LOOK_FOUND ? look_for_trailer(s) : look;
}

/* Finds the next header behind a bad place; stands on it. */
static enum look look_for_resync(struct scan *s)
{
	struct frame found;
	struct span in;

	for (; (in = ahead(s)).len >= FRAME_HEADER_BYTES; s->at += FRAME_ALIGN)
		if (s->at != s->offset &&
		    frame_get_header(in.p, s->segment, s->at, &found))
			return LOOK_FOUND;
	return at_end(s) ? LOOK_NOT : LOOK_MORE;
}

/* -- telling -------------------------------------------------------------- */

static enum scan_found tell_bad(struct scan *s, uint64_t end, struct frame *ret)
{
	*ret = (struct frame){ .segment = s->segment, .offset = s->offset };
	if (s->offset < s->first_bad)
		s->first_bad = s->offset;
	s->offset = end; /* C1 */
	go_to(s, end);
	s->resyncing = false;
	return SCAN_BAD;
}

/*
 * No frame from `offset` to the end of what can be read: a torn tail, or the
 * end itself; or less than was durable.
 */
static enum scan_found tell_end(struct scan *s, struct frame *ret)
{
	uint64_t end = s->buffer_at + s->buffer_len;

	if (end > s->limit)
		end = s->limit;
	if (end < s->synced)
		end = s->synced;
	if (s->offset < end)
		return tell_bad(s, end, ret);
	s->resyncing = false;
	return SCAN_END;
}

/* False for the frames that are the scan's own business. */
static bool tell_frame(struct scan *s, struct frame *ret)
{
	s->offset = s->at; /* C1 */
	if (s->frame.synced > s->synced)
		s->synced = s->frame.synced;
	s->sealed = s->frame.type == FRAME_SEAL;
	*ret = s->frame;
	return s->frame.type == FRAME_MESSAGE || s->frame.type == FRAME_FILE;
}

enum scan_found scan_step(struct scan *s, struct frame *ret)
{
	enum look look;

	if (s->failed) {
		s->failed = false;
		return SCAN_FAILED;
	}
	while (!s->sealed && s->offset < s->limit) {
		look = s->resyncing ? look_for_resync(s) : look_for_frame(s);
		if (look == LOOK_MORE)
			return SCAN_WANTS_READ;
		if (s->resyncing)
			return look == LOOK_FOUND ? tell_bad(s, s->at, ret) :
						    tell_end(s, ret);
		if (look == LOOK_FOUND) {
			if (tell_frame(s, ret)) /* C2 */
				return SCAN_MESSAGE;
			continue;
		}
		s->resyncing = true;
		go_to(s, s->offset);
	}
	return s->sealed ? SCAN_SEALED : SCAN_LIMIT;
}

uint64_t scan_offset(const struct scan *s)
{
	return s->offset;
}

bool scan_corrupt(const struct scan *s)
{
	return s->first_bad < s->synced;
}

int scan_error(const struct scan *s)
{
	return s->error;
}
