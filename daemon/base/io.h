#pragma once

/*
 * io: the vocabulary of file operations that the spool asks for. A machine of
 * the spool *yields* a struct io and is told its result; who carries it out is
 * the ring (in the daemon), plain system calls (at start and in tools) or a
 * simulated disk. Results are a count or a negative errno.
 */

#include <stdint.h>
#include <sys/uio.h>

enum io_kind {
	IO_NONE,     /* nothing wanted now */
	IO_OPEN,     /* openat(dir, name, flags, mode); result: a descriptor */
	IO_CLOSE,    /* close(fd) */
	IO_WRITE,    /* pwritev(fd, iov, iov_n, offset); may be short */
	IO_READ,     /* preadv(fd, iov, iov_n, offset); may be short */
	IO_ALLOCATE, /* fallocate(fd, FALLOC_FL_KEEP_SIZE, offset, len) */
	IO_DATASYNC, /* fdatasync(fd) */
	IO_SYNC,     /* fsync(fd); of a directory: makes its names durable */
	IO_RENAME,   /* renameat2(dir, name, new_dir, new_name, flags) */
	IO_UNLINK,   /* unlinkat(dir, name) */
	IO_LOCK,     /* flock(fd, flags), flags with LOCK_NB: never waits */
	IO_KINDS
};

struct io {
	enum io_kind kind;
	int fd;
	int dir;
	int new_dir;
	int flags;
	unsigned int mode;
	const char *name; /* the machine's until the result is reported */
	const char *new_name;
	const struct iovec *iov; /* the machine's until the result is reported */
	int iov_n;
	uint64_t offset;
	uint64_t len;
};

/*
 * Carries `io` out at once by system calls, retrying EINTR. For start-up, tools
 * and tests: it blocks.
 */
int64_t io_run(const struct io *io);

/* Name of the system call behind a kind, for messages. */
const char *io_name(enum io_kind kind);
