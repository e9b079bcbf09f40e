#pragma once

/*
 * folder: the files of a folder as mails in memory, line ends made CRLF, in the
 * order of their names. Sub-folders and hidden files are left out.
 */

#include "base/dots.h"
#include "base/span.h"

#define FOLDER_FILES_MAX 100000

struct folder_file {
	uint8_t *bytes;
	size_t len;
	bool eight_bit;
	bool has_date; /* the field */
	bool has_message_id;
	struct dots dots;
};

struct folder {
	struct folder_file *files;
	size_t n;
};

/* Negative errno; -ENODATA: no file is there. folder_close after failures, too. */
int folder_open(struct folder *f, const char *path);
void folder_close(struct folder *f);

/*
 * A file's bytes, allocated; every line end is CRLF and the last line has one.
 * Negative errno.
 */
int folder_read_mail(int dir, const char *name, struct folder_file *ret);
