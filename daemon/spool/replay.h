#pragma once

/*
 * replay: reads a journal file and applies its changes to the index, after the
 * segments that exist were added and before they are scanned. Applying a change
 * twice does no harm. Changes are checked one by one: a torn end is passed over,
 * and so is a rotten change in the middle. Yields reads and never does them.
 */

#include "base/io.h"
#include "base/span.h"
#include "spool/index.h"

#define REPLAY_BUFFER_MIN 4096

struct replay {
	int fd;
	uint64_t sequence;
	struct index *index;
	struct span_mut buffer;
	size_t have;
	uint64_t at; /* offset in the file of buffer's first byte */
	uint64_t bad_run;
	bool ended;
	int error;
	uint64_t applied; /* changes */
	uint64_t bad;     /* unreadable ones with readable ones behind them */
	uint64_t no_room; /* changes the index could not take */
	struct iovec iov;
};

/* `fd` and `buffer` stay the caller's; `sequence` is the file's, by name. */
void replay_init(struct replay *r, int fd, uint64_t sequence,
		 struct span_mut buffer, struct index *index);

/* The next read; false: ended, well or with replay_error. */
bool replay_next(struct replay *r, struct io *ret_io);
void replay_done(struct replay *r, int64_t result);
int replay_error(const struct replay *r);
