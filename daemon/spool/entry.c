#include "spool/entry.h"

#include "base/must.h"

#include <errno.h>

void entry_open(struct entry *e, int fd, uint64_t segment, uint64_t offset,
		struct span_mut storage)
{
	MUST(storage.len >= FRAME_HEADER_BYTES);
	*e = (struct entry){
		.state = ENTRY_LOADING,
		.fd = fd,
		.segment = segment,
		.frame = { .segment = segment, .offset = offset },
		.storage = storage,
	};
}

bool entry_next(struct entry *e, struct io *ret_io)
{
	size_t end = e->need ? e->need : ENTRY_FIRST_BYTES;

	if (e->state != ENTRY_LOADING)
		return false;
	if (end > e->storage.len)
		end = e->storage.len;
	e->iov = (struct iovec){ e->storage.p + e->have, end - e->have };
	*ret_io = (struct io){ .kind = IO_READ,
			       .fd = e->fd,
			       .iov = &e->iov,
			       .iov_n = 1,
			       .offset = e->frame.offset + e->have };
	return true;
}

static void fail(struct entry *e, int error)
{
	e->error = error;
	e->state = ENTRY_FAILED;
}

void entry_done(struct entry *e, int64_t result)
{
	struct frame f;
	uint64_t need;

	MUST(e->state == ENTRY_LOADING);
	if (result <= 0) { /* end of file: what was scanned is gone */
		fail(e, result ? (int)result : -EBADMSG);
		return;
	}
	e->have += (size_t)result;
	if (e->have < FRAME_HEADER_BYTES)
		return;
	if (!frame_get_header(e->storage.p, e->segment, e->frame.offset, &f) ||
	    (f.type != FRAME_MESSAGE && f.type != FRAME_FILE)) {
		fail(e, -EBADMSG);
		return;
	}
	need = frame_body_at(&f) - f.offset;
	if (need > e->storage.len) {
		fail(e, -ENOBUFS);
		return;
	}
	e->need = need;
	if (e->have < need)
		return;
	e->frame = f;
	e->state = ENTRY_READY;
}

enum entry_state entry_state(const struct entry *e)
{
	return e->state;
}

int entry_error(const struct entry *e)
{
	return e->error;
}

struct span entry_envelope(const struct entry *e)
{
	MUST(e->state == ENTRY_READY);
	return span_of(e->storage.p + FRAME_HEADER_BYTES,
		       e->frame.envelope_len);
}

void entry_dots(const struct entry *e, struct dots *ret)
{
	MUST(e->state == ENTRY_READY);
	dots_clear(ret);
	ret->n = e->frame.dots_n;
	ret->partial = e->frame.dots_partial;
	memcpy(ret->at,
	       e->storage.p + (frame_dots_at(&e->frame) - e->frame.offset),
	       ret->n * sizeof(ret->at[0]));
}

struct span entry_body(const struct entry *e)
{
	MUST(e->state == ENTRY_READY);
	if (e->frame.type != FRAME_MESSAGE ||
	    e->have - e->need < e->frame.body_len)
		return span_of(NULL, 0);
	return span_of(e->storage.p + e->need, e->frame.body_len);
}
