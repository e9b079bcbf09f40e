/*
 * A log that bodies are appended to, in pieces as they come. With fd -1 there
 * is none and all of this does nothing. A failed write or sync ends the
 * process: nothing was promised yet.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOG_BUFFER (256 * 1024)

struct log {
	int fd;
	size_t len;
	char *buffer;
};

/* FOLDER/NUMBER.log; false with errno. */
bool log_open(struct log *log, const char *folder, int number);

/* Appends a piece, marked with whose it is, so that messages that came at the
 * same time could be told apart. */
void log_append(struct log *log, uint32_t owner, const char *piece, size_t len);

/* Writes what is left and waits until all of it is on the disk. */
void log_sync(struct log *log);
