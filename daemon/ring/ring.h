#pragma once

/*
 * ring: a worker's io_uring: submission, completions, and nothing else. It owns
 * the ring and its counters; it never owns a buffer, never decides and never
 * calls anybody. Each operation carries a tag that comes back with the
 * completion; a stale generation in it lets the owner drop completions of a
 * slot's previous life.
 */

#include "base/io.h"
#include "base/span.h"

#include <liburing.h>
#include <netinet/in.h>

/* Tag of an operation: which kind, whose, and in which of its lives. */
struct ring_tag {
	uint8_t kind;  /* the owner's enum; 0: nobody wants to know */
	uint32_t slot; /* below 2^24 */
	uint32_t generation;
};

struct ring_completion {
	struct ring_tag tag;
	int32_t result; /* a count or a negative errno */
	uint32_t flags; /* IORING_CQE_F_* */
};

struct ring {
	struct io_uring uring;
	uint64_t enters; /* io_uring_enter calls so far */
};

#define RING_NOBODY ((struct ring_tag){ 0 })

/*
 * Makes a ring for the calling thread, which alone may use it from then on.
 * Entries are the submission queue's; the completion queue is eight times that.
 * Negative errno; ring_explain says what it means.
 */
int ring_init(struct ring *r, uint32_t entries);
void ring_fini(struct ring *r);

/* One line for the operator: why ring_init failed and what cures it. */
const char *ring_explain(int error);

/*
 * Submits what was prepared and waits until a completion is there or timeout_ms
 * passed (UINT32_MAX: no limit; 0: do not wait). 0, or a negative errno that is
 * never EINTR, ETIME or EAGAIN.
 */
int ring_wait(struct ring *r, uint32_t timeout_ms);
/* The same in nanoseconds, UINT64_MAX: no limit. */
int ring_wait_ns(struct ring *r, uint64_t timeout_ns);

/* Submits what was prepared and does not wait. */
void ring_flush(struct ring *r);

/* The next completion that has come; false: none. Never a system call. */
bool ring_next(struct ring *r, struct ring_completion *ret);

/* Each prepares one operation; memory passed is the kernel's until it ends. */
void ring_accept_multishot(struct ring *r, int fd, struct ring_tag tag);
void ring_recv_provided(struct ring *r, int fd, uint16_t group,
			struct ring_tag tag);
/* Waits until `len` bytes have come, the stream ends or it is cancelled; then
 * what has come is the result, if there was any. */
void ring_recv_whole(struct ring *r, int fd, uint16_t group, uint32_t len,
		     struct ring_tag tag);
/* The bytes stay there to be received. */
void ring_recv_peek(struct ring *r, int fd, struct span_mut into,
		    struct ring_tag tag);
void ring_send(struct ring *r, int fd, struct span bytes, struct ring_tag tag);
/* With ancillary data; `message` and all it names is the kernel's, too. */
void ring_sendmsg(struct ring *r, int fd, const struct msghdr *message,
		  struct ring_tag tag);
void ring_recvmsg(struct ring *r, int fd, struct msghdr *message,
		  struct ring_tag tag);
void ring_read(struct ring *r, int fd, struct span_mut into,
	       struct ring_tag tag);
void ring_connect(struct ring *r, int fd, const struct sockaddr *address,
		  socklen_t len, struct ring_tag tag);
/* Until the socket takes bytes, or is dead: the result is poll's revents. */
void ring_poll_out(struct ring *r, int fd, struct ring_tag tag);
void ring_close(struct ring *r, int fd, struct ring_tag tag);
/* Cancels the operation tagged `target`; its own completion still comes. */
void ring_cancel(struct ring *r, struct ring_tag target, struct ring_tag tag);

/*
 * Carries out a step of the spool. True: prepared, a completion will come.
 * False: it was a kind that does not block and that the ring lacks (a lock); it
 * is done and *ret_result is its result.
 */
bool ring_io(struct ring *r, const struct io *io, struct ring_tag tag,
	     int64_t *ret_result);
