#pragma once

/*
 * scan: reads a segment from its beginning and yields the messages in it, each
 * verified to its last byte. It follows a segment that is still being written,
 * up to the length that is durable, and finds its way past damage. It yields
 * reads (base/io.h) into a buffer of the caller's and never does them.
 *
 * A place where no whole frame stands is reported as SCAN_BAD, from the end of
 * the frame before it to the next frame that is valid. Whether something
 * acknowledged was lost there, scan_corrupt tells: frames say how much of the
 * segment was durable when they were written, and everything that was never
 * known durable was never acknowledged.
 */

#include "base/io.h"
#include "base/span.h"
#include "spool/frame.h"
#include "spool/hash.h"

#define SCAN_BUFFER_MIN 512 /* 64 KiB or more reads faster */

enum scan_found {
	SCAN_WANTS_READ, /* carry out scan_next, tell scan_done, come again */
	SCAN_MESSAGE,    /* *ret is a message, FRAME_MESSAGE or FRAME_FILE */
	SCAN_BAD,    /* bytes from ret->offset to scan_offset are no frame */
	SCAN_LIMIT,  /* read up to the limit; come again with a higher one */
	SCAN_SEALED, /* the end: the segment is complete */
	SCAN_END,    /* the end of the file without a seal */
	SCAN_FAILED, /* reading failed: scan_error; come again to retry */
};

struct scan {
	int fd;
	uint64_t segment;
	uint64_t offset; /* up to here all is told */
	uint64_t limit;
	uint64_t synced;    /* known to have been durable */
	uint64_t first_bad; /* lowest damaged offset, or UINT64_MAX */
	struct span_mut buffer;
	uint64_t buffer_at; /* offset in the file of its first byte */
	size_t buffer_len;
	uint64_t at; /* next byte to look at */
	bool at_eof; /* the file ends with the buffer */
	bool failed; /* the last read */
	bool sealed;
	bool resyncing;
	bool in_payload; /* of `frame`, whose bytes before `at` are hashed */
	int error;
	struct frame frame;
	struct hash hash;
	struct iovec iov;
};

/*
 * Begins to read segment `segment` on descriptor `fd`, which stays the
 * caller's, through `buffer` (SCAN_BUFFER_MIN or more). The limit is 0.
 */
void scan_init(struct scan *s, int fd, uint64_t segment,
	       struct span_mut buffer);

/*
 * Raises the length that may be read: what is durable, while the segment has
 * an owner; SCAN_TO_END afterwards.
 */
#define SCAN_TO_END UINT64_MAX
void scan_set_limit(struct scan *s, uint64_t limit);

enum scan_found scan_step(struct scan *s, struct frame *ret);

/* The read wanted after SCAN_WANTS_READ, and its result. */
void scan_next(struct scan *s, struct io *ret_io);
void scan_done(struct scan *s, int64_t result);

/* How far all is told: the end of the last frame or bad place. */
uint64_t scan_offset(const struct scan *s);

/* True when something that was durable cannot be read: keep the segment. */
bool scan_corrupt(const struct scan *s);
int scan_error(const struct scan *s);
