#pragma once

/*
 * textfile: reads a small file whole, for things that are read at start:
 * configuration, certificates, users. The text may be secret: it is wiped when
 * it is closed.
 */

#include "base/span.h"

#define TEXTFILE_MAX (16u << 20)

struct textfile {
	char *text; /* NUL-terminated */
	size_t len;
};

/* Negative errno; -EFBIG over TEXTFILE_MAX, -EISDIR, -ENOENT, ... */
int textfile_open(const char *path, struct textfile *ret);
/* Wipes and frees; harmless on a zeroed one. */
void textfile_close(struct textfile *t);

static inline struct span textfile_span(const struct textfile *t)
{
	return span_of((const uint8_t *)t->text, t->len);
}
