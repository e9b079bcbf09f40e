#include "spool/replay.h"

#include "base/must.h"

#include <errno.h>

void replay_init(struct replay *r, int fd, uint64_t sequence,
		 struct span_mut buffer, struct index *index)
{
	MUST(buffer.len >= REPLAY_BUFFER_MIN);
	*r = (struct replay){
		.fd = fd,
		.sequence = sequence,
		.index = index,
		.buffer = { buffer.p,
			    buffer.len / CHANGE_BYTES * CHANGE_BYTES },
	};
}

bool replay_next(struct replay *r, struct io *ret_io)
{
	if (r->ended)
		return false;
	r->iov = (struct iovec){ r->buffer.p + r->have,
				 r->buffer.len - r->have };
	*ret_io = (struct io){ .kind = IO_READ,
			       .fd = r->fd,
			       .iov = &r->iov,
			       .iov_n = 1,
			       .offset = r->at + r->have };
	return true;
}

static void apply(struct replay *r, const struct change *c)
{
	r->bad += r->bad_run; /* damage: something is readable behind it */
	r->bad_run = 0;
	if (c->kind == CHANGE_BEGIN) {
		if (c->offset == CHANGE_VERSION)
			return;
		r->error = -EPROTONOSUPPORT;
		r->ended = true;
		return;
	}
	if (index_apply(r->index, c))
		r->no_room++;
	r->applied++;
}

void replay_done(struct replay *r, int64_t result)
{
	struct change c;
	size_t used = 0;

	if (result <= 0) {
		r->error = (int)result;
		r->ended = true;
		return;
	}
	r->have += (size_t)result;
	for (; !r->ended && r->have - used >= CHANGE_BYTES;
	     used += CHANGE_BYTES) {
		if (change_get(r->buffer.p + used, r->sequence, r->at + used,
			       &c))
			apply(r, &c);
		else
			r->bad_run++;
	}
	r->have -= used;
	r->at += used;
	memmove(r->buffer.p, r->buffer.p + used, r->have);
}

int replay_error(const struct replay *r)
{
	return r->error;
}
