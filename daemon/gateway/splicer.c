/*
 * splice(2) and not the ring's: that one always goes to a kernel thread, which
 * then waits for the socket, and costs a third more (kernel-notes/005, 006). A
 * kTLS socket heeds only SPLICE_F_NONBLOCK, and gives one record a call.
 */
#include "gateway/splicer.h"

#include "base/must.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

int splicer_open(struct splicer *p)
{
	int ends[2];

	*p = (struct splicer){ .memory = calloc(1, SPLICER_BYTES) };
	if (!p->memory)
		return -ENOMEM;
	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK)) {
		int error = -errno;

		free(p->memory);
		p->memory = NULL;
		return error;
	}
	/* A smaller pipe does, with more calls. */
	(void)fcntl(ends[1], F_SETPIPE_SZ, SPLICER_BYTES);
	p->read_end = ends[0];
	p->write_end = ends[1];
	return 0;
}

void splicer_close(struct splicer *p)
{
	if (!p->memory)
		return;
	(void)close(p->read_end);
	(void)close(p->write_end);
	free(p->memory);
	*p = (struct splicer){ 0 };
}

/* Fills the pipe with what the socket has. */
static size_t fill(const struct splicer *p, int socket, size_t n)
{
	size_t filled = 0;

	while (filled < n) {
		ssize_t got = splice(socket, NULL, p->write_end, NULL,
				     n - filled,
				     SPLICE_F_NONBLOCK | SPLICE_F_MOVE);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		filled += (size_t)got;
	}
	return filled;
}

static int empty_into(const struct splicer *p, int file, uint64_t at, size_t n)
{
	off_t offset = (off_t)at;

	while (n) {
		ssize_t put = splice(p->read_end, NULL, file, &offset, n,
				     SPLICE_F_MOVE);

		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
			return put ? -errno : -EIO;
		n -= (size_t)put;
	}
	return 0;
}

/* What the file did not take must not be taken for another message's. */
static void drop(const struct splicer *p)
{
	ssize_t n;

	do {
		n = read(p->read_end, p->memory, SPLICER_BYTES);
	} while (n > 0 || (n < 0 && errno == EINTR));
	MUST(n < 0 && errno == EAGAIN);
}

struct splicer_moved splicer_move(struct splicer *p, int socket, int file,
				  uint64_t at, size_t n)
{
	struct splicer_moved moved = {
		.n = fill(p, socket, n < SPLICER_BYTES ? n : SPLICER_BYTES),
	};

	if (moved.n)
		moved.error = empty_into(p, file, at, moved.n);
	if (moved.error)
		drop(p);
	return moved;
}

struct span splicer_read(struct splicer *p, int file, uint64_t at, size_t n,
			 int *ret_error)
{
	ssize_t got;

	do {
		got = pread(file, p->memory,
			    n < SPLICER_BYTES ? n : SPLICER_BYTES, (off_t)at);
	} while (got < 0 && errno == EINTR);
	*ret_error = got > 0 ? 0 : got ? -errno : -EIO;
	return span_of(p->memory, got > 0 ? (size_t)got : 0);
}

struct span splicer_nothing(const struct splicer *p, size_t n)
{
	return span_of(p->memory, n < SPLICER_BYTES ? n : SPLICER_BYTES);
}
