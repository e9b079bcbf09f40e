#pragma once

/*
 * entry: loads one message of a segment for delivery: its facts, its envelope
 * and its dots. A short body comes with the same read; any other goes from the
 * file to the next hop. Yields reads and never does them.
 */

#include "base/dots.h"
#include "base/io.h"
#include "base/span.h"
#include "spool/frame.h"

/* Storage for a message whose envelope is at most that long. */
#define ENTRY_STORAGE(envelope_max) \
	(FRAME_HEADER_BYTES + (envelope_max) + FRAME_ALIGN + DOTS_MAX * 8)

/* The first read: all of most messages, without much of what lies behind. */
#define ENTRY_FIRST_BYTES 8192

enum entry_state {
	ENTRY_LOADING,
	ENTRY_READY,
	ENTRY_FAILED, /* entry_error */
};

struct entry {
	enum entry_state state;
	int error;
	int fd;
	uint64_t segment;
	struct frame frame; /* when READY: see frame_body_at() */
	struct span_mut storage;
	size_t have;
	size_t need; /* up to the body; 0: not known yet */
	struct iovec iov;
};

/* `fd` and `storage` stay the caller's; what was read lies in `storage`. */
void entry_open(struct entry *e, int fd, uint64_t segment, uint64_t offset,
		struct span_mut storage);

/* The next read, while LOADING; its result. */
bool entry_next(struct entry *e, struct io *ret_io);
void entry_done(struct entry *e, int64_t result);

enum entry_state entry_state(const struct entry *e);
/* -EBADMSG: no message there; -ENOBUFS: storage too small; or the read's. */
int entry_error(const struct entry *e);

/* When READY. */
struct span entry_envelope(const struct entry *e);
void entry_dots(const struct entry *e, struct dots *ret);
/* The body, where all of it was read; else empty. */
struct span entry_body(const struct entry *e);
