#pragma once

/*
 * line: finds the next command line in what a client sent. CRLF ends a line.
 * A bare LF ends one too, so that what follows it is never taken for a part of
 * a command, but is reported. A line over the limit is skipped up to its CRLF,
 * over as many calls as that takes, in constant memory. It copies nothing.
 */

#include "base/span.h"

struct line {
	bool skipping; /* in a line that is too long */
};

enum line_result {
	LINE_NONE,     /* unfinished: give the same bytes again, with more */
	LINE_OK,       /* CRLF, and no control character but HTAB */
	LINE_BARE_LF,  /* ended by LF alone */
	LINE_CONTROL,  /* holds NUL, CR or another control character */
	LINE_TOO_LONG, /* longer than max octets; skipped by now */
};

/*
 * Takes a line of at most max octets, its end included, off *in. *ret_text is
 * the line without its end, empty after LINE_TOO_LONG and untouched by
 * LINE_NONE. Results do not depend on how the bytes were cut into calls.
 */
enum line_result line_take(struct line *l, struct span *in, size_t max,
			   struct span *ret_text);
