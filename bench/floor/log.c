#include "log.h"

#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct mark {
	uint32_t owner;
	uint32_t len;
};

bool log_open(struct log *log, const char *folder, int number)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/%d.log", folder, number);
	log->len = 0;
	log->buffer = malloc(LOG_BUFFER);
	log->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	return log->buffer && log->fd >= 0;
}

static void flush(struct log *log)
{
	size_t at = 0;

	while (at < log->len) {
		ssize_t done = write(log->fd, log->buffer + at, log->len - at);

		if (done < 0)
			err(1, "write");
		at += (size_t)done;
	}
	log->len = 0;
}

static void put(struct log *log, const char *bytes, size_t len)
{
	memcpy(log->buffer + log->len, bytes, len);
	log->len += len;
}

void log_append(struct log *log, uint32_t owner, const char *piece, size_t len)
{
	struct mark mark = { .owner = owner, .len = (uint32_t)len };

	if (log->fd < 0)
		return;
	if (sizeof(mark) + len > LOG_BUFFER - log->len)
		flush(log);
	put(log, (const char *)&mark, sizeof(mark));
	put(log, piece, len);
}

void log_sync(struct log *log)
{
	if (log->fd < 0)
		return;
	flush(log);
	if (fdatasync(log->fd))
		err(1, "fdatasync");
}
