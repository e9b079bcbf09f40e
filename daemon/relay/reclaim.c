/*
 * IDLE -> BODY -> IDLE             one body
 * IDLE -> UNLINK -> CLOSE -> IDLE  one segment
 *
 * I1  A body is unlinked only when the change that says its message is done is
 *     durable: else a crash leaves a live message without its body.
 * I2  A segment is forgotten when it was unlinked and closed. That its removal
 *     is durable before the journal forgets it, the journal sees to.
 */
#include "relay/reclaim.h"

#include "base/must.h"

#include <errno.h>

void reclaim_init(struct reclaim *c, struct index *index, int segments_dir,
		  int files_dir)
{
	*c = (struct reclaim){ .index = index,
			       .segments_dir = segments_dir,
			       .files_dir = files_dir };
}

void reclaim_body(struct reclaim *c, uint64_t id, uint64_t change)
{
	uint32_t at = (c->bodies_first + c->bodies_n) % RECLAIM_BODIES_MAX;

	if (c->bodies_n == RECLAIM_BODIES_MAX)
		return; /* left over */
	c->bodies[at] = (struct reclaim_body){ id, change };
	c->bodies_n++;
}

void reclaim_segment(struct reclaim *c, uint16_t slot)
{
	uint32_t at =
		(c->segments_first + c->segments_n) % RECLAIM_SEGMENTS_MAX;

	if (!index_reclaimable(c->index, slot))
		return;
	MUST(c->segments_n < RECLAIM_SEGMENTS_MAX);
	c->segments[at] = slot;
	c->segments_n++;
}

static bool want_body(struct reclaim *c, uint64_t synced, struct io *io)
{
	const struct reclaim_body *body = &c->bodies[c->bodies_first];

	if (!c->bodies_n || body->change > synced) /* I1 */
		return false;
	layout_name(c->name, LAYOUT_BODY, body->id);
	*io = (struct io){ .kind = IO_UNLINK,
			   .dir = c->files_dir,
			   .name = c->name };
	c->state = RECLAIM_BODY;
	return true;
}

static struct index_segment *oldest_segment(struct reclaim *c)
{
	return index_segment(c->index, c->segments[c->segments_first]);
}

static bool want_segment(struct reclaim *c, struct io *io)
{
	if (!c->segments_n)
		return false;
	layout_name(c->name, LAYOUT_SEGMENT, oldest_segment(c)->id);
	*io = (struct io){ .kind = IO_UNLINK,
			   .dir = c->segments_dir,
			   .name = c->name };
	c->state = RECLAIM_UNLINK;
	return true;
}

bool reclaim_next(struct reclaim *c, uint64_t synced, struct io *ret_io)
{
	if (c->state == RECLAIM_CLOSE) {
		*ret_io = (struct io){ .kind = IO_CLOSE,
				       .fd = oldest_segment(c)->fd };
		return true;
	}
	if (c->state != RECLAIM_IDLE)
		return false;
	return want_body(c, synced, ret_io) || want_segment(c, ret_io);
}

static void drop_oldest_segment(struct reclaim *c)
{
	c->segments_first = (c->segments_first + 1) % RECLAIM_SEGMENTS_MAX;
	c->segments_n--;
	c->state = RECLAIM_IDLE;
}

static void forget_oldest_segment(struct reclaim *c)
{
	oldest_segment(c)->fd = -1;
	index_forget_segment(c->index, c->segments[c->segments_first]); /* I2 */
	c->removed_n++;
	drop_oldest_segment(c);
}

static void segment_unlinked(struct reclaim *c, int64_t result)
{
	if (result < 0 && result != -ENOENT) {
		c->error = (int)result;
		drop_oldest_segment(c);
	} else if (oldest_segment(c)->fd >= 0) {
		c->state = RECLAIM_CLOSE;
	} else {
		forget_oldest_segment(c);
	}
}

void reclaim_done(struct reclaim *c, int64_t result)
{
	switch (c->state) {
	case RECLAIM_BODY:
		if (result < 0 && result != -ENOENT)
			c->error = (int)result;
		c->bodies_first = (c->bodies_first + 1) % RECLAIM_BODIES_MAX;
		c->bodies_n--;
		c->state = RECLAIM_IDLE;
		break;
	case RECLAIM_UNLINK: segment_unlinked(c, result); break;
	case RECLAIM_CLOSE:
		c->closed_n++;
		forget_oldest_segment(c);
		break;
	case RECLAIM_IDLE: MUST(false); /* a step was wanted */
	}
}

int reclaim_take_error(struct reclaim *c)
{
	int error = c->error;

	c->error = 0;
	return error;
}
