#pragma once

/*
 * splicer: moves what a socket has received into a file without bringing it
 * into this process, and reads it back there: a pipe, which is empty between
 * calls, and a piece of memory, one of each per worker. It never waits for the
 * socket; it may wait for the disk, as any write may.
 */

#include "base/span.h"

struct splicer {
	int read_end; /* 0: not open */
	int write_end;
	uint8_t *memory;
};

/* Most that one splicer_move moves, and that one splicer_read reads. */
#define SPLICER_BYTES 262144

/* Negative errno. */
int splicer_open(struct splicer *p);
void splicer_close(struct splicer *p);

static inline bool splicer_is_open(const struct splicer *p)
{
	return p->memory;
}

struct splicer_moved {
	size_t n;  /* what left the socket */
	int error; /* 0, or why it is not in the file: a negative errno */
};

/*
 * Moves up to n bytes to offset `at` of `file`: as much as is there. The socket
 * is one of kTLS, or O_NONBLOCK. Nothing moved: nothing is there, the stream
 * ends, or it cannot be moved; a receive will tell.
 */
struct splicer_moved splicer_move(struct splicer *p, int socket, int file,
				  uint64_t at, size_t n);

/*
 * Up to n bytes of `file` from offset `at`, valid until the next call. An empty
 * span with *ret_error, a negative errno, when they cannot be read.
 */
struct span splicer_read(struct splicer *p, int file, uint64_t at, size_t n,
			 int *ret_error);

/* As many bytes that mean nothing. */
struct span splicer_nothing(const struct splicer *p, size_t n);
