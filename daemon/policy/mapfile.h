#pragma once

/*
 * mapfile: the line format that the files of users and of senders share:
 * `name: value`, one a line, `#` at the start of a line begins a comment, blank
 * lines mean nothing. It cuts the text into lines and gathers one message per
 * mistake, with file and line; it reads nothing itself.
 */

#include "base/buf.h"

struct mapfile {
	const char *file; /* for messages */
	struct span rest;
	unsigned int line;
	unsigned int mistakes;
	struct buf *errors; /* lines ending in '\n'; overflow drops the rest */
};

struct mapfile_line {
	unsigned int number;
	struct span name;  /* before the first colon, trimmed; never empty */
	struct span value; /* behind it, trimmed */
};

void mapfile_init(struct mapfile *m, const char *file, struct span text,
		  struct buf *errors);

/*
 * The next line that says something. Lines without a colon or a name, with
 * control characters, or longer than MAPFILE_LINE_MAX are mistakes and passed
 * over. False at the end.
 */
#define MAPFILE_LINE_MAX 4096
bool mapfile_next(struct mapfile *m, struct mapfile_line *ret);

/* Counts a mistake and appends "file:line: text". */
__attribute__((format(printf, 3, 4))) void
mapfile_mistake(struct mapfile *m, unsigned int line, const char *format, ...);
