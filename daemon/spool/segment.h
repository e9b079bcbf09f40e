#pragma once

/*
 * segment: the file a store appends to, from its birth under a temporary name
 * to its seal. It owns the descriptor and the lock on the file, and promises
 * that bytes it counts in segment_durable are on stable storage under the
 * segment's name. Yields I/O steps and never does them. After any failure it
 * gives the file up for good; what is in it stays for the relay to judge.
 */

#include "base/io.h"
#include "spool/frame.h"
#include "spool/layout.h"

enum segment_state {
	SEGMENT_NONE, /* no file; segment_error tells of the one before */
	SEGMENT_OPENING,
	SEGMENT_LOCKING,
	SEGMENT_HEADING, /* its first frame is being written */
	SEGMENT_HEAD_SYNCING,
	SEGMENT_NAMING,
	SEGMENT_NAME_SYNCING,
	SEGMENT_READY, /* to append or seal */
	SEGMENT_ALLOCATING,
	SEGMENT_APPENDING,
	SEGMENT_SYNCING,
	SEGMENT_SEALING, /* its last frame is being written */
	SEGMENT_SEAL_SYNCING,
	SEGMENT_UNLINKING, /* stillborn */
	SEGMENT_CLOSING,
};

struct segment {
	enum segment_state state;
	int dir;
	int fd;
	int error;
	bool named;     /* durably, until it is closed */
	bool allocates; /* fallocate works here */
	uint64_t id;
	uint64_t durable;   /* bytes */
	uint64_t allocated; /* bytes */
	uint64_t at;        /* where the write goes on */
	struct iovec *iov;  /* what is left of it */
	int iov_n;
	uint64_t writes; /* calls so far, for the metrics */
	uint64_t syncs;
	struct iovec frame_iov;
	char temporary[LAYOUT_NAME_MAX];
	char name[LAYOUT_NAME_MAX];
	uint8_t frame[FRAME_HEADER_BYTES + FRAME_TRAILER_BYTES];
};

void segment_init(struct segment *g, int dir);

/* NONE -> ... -> READY, or NONE with segment_error. `id` is new and not 0. */
void segment_begin(struct segment *g, uint64_t id, uint32_t worker);

/*
 * READY -> ... -> READY when all is durable, or NONE. The vector stays the
 * caller's, who finds it used up.
 */
void segment_append(struct segment *g, struct iovec *iov, int iov_n);

/* READY -> ... -> NONE, complete. */
void segment_seal(struct segment *g);
/* READY -> ... -> NONE, left as it is. */
void segment_abandon(struct segment *g);

bool segment_next(struct segment *g, struct io *ret_io);
void segment_done(struct segment *g, int64_t result);

/* READY or NONE: nothing wanted, nothing in flight. */
bool segment_settled(const struct segment *g);
/* Negative errno of what ended the last segment; 0 when it was sealed. */
int segment_error(const struct segment *g);
/*
 * Id and durable length, as long as the lock is held; id 0 before the name is
 * durable: while a reader cannot lock a segment, this tells what it may read.
 */
uint64_t segment_durable(const struct segment *g, uint64_t *ret_id);
