#include "base/io.h"

#include "base/must.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

static int64_t run_once(const struct io *io)
{
	switch (io->kind) {
	case IO_OPEN: return openat(io->dir, io->name, io->flags, io->mode);
	case IO_CLOSE: return close(io->fd);
	case IO_WRITE:
		return pwritev(io->fd, io->iov, io->iov_n, (off_t)io->offset);
	case IO_READ:
		return preadv(io->fd, io->iov, io->iov_n, (off_t)io->offset);
	case IO_ALLOCATE:
		return fallocate(io->fd, FALLOC_FL_KEEP_SIZE, (off_t)io->offset,
				 (off_t)io->len);
	case IO_DATASYNC: return fdatasync(io->fd);
	case IO_SYNC: return fsync(io->fd);
	case IO_RENAME:
		return renameat2(io->dir, io->name, io->new_dir, io->new_name,
				 (unsigned int)io->flags);
	case IO_UNLINK: return unlinkat(io->dir, io->name, 0);
	case IO_LOCK: return flock(io->fd, io->flags);
	case IO_NONE:
	case IO_KINDS: break;
	}
	MUST(false); /* nobody can run that */
	return -1;
}

int64_t io_run(const struct io *io)
{
	int64_t result;

	do
		result = run_once(io);
	while (result < 0 && errno == EINTR && io->kind != IO_CLOSE);
	return result < 0 ? -errno : result;
}

const char *io_name(enum io_kind kind)
{
	static const char *const names[IO_KINDS] = {
		[IO_NONE] = "none",          [IO_OPEN] = "openat",
		[IO_CLOSE] = "close",        [IO_WRITE] = "pwritev",
		[IO_READ] = "preadv",        [IO_ALLOCATE] = "fallocate",
		[IO_DATASYNC] = "fdatasync", [IO_SYNC] = "fsync",
		[IO_RENAME] = "renameat2",   [IO_UNLINK] = "unlinkat",
		[IO_LOCK] = "flock",
	};

	return kind < IO_KINDS ? names[kind] : "unknown";
}
