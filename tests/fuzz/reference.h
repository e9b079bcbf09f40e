#pragma once

/*
 * reference: a decoder of DATA and BDAT that is slow and obviously right, to
 * hold smtp/body against. It has the whole message before it and looks at one
 * rule at a time, so it knows every rule that is broken but not which of them
 * a reader of octets meets first.
 */

#include "smtp/body.h"

/* Stand-ins for the fields that the server adds. */
#define REFERENCE_DATE "Date: added\r\n"
#define REFERENCE_ID   "Message-ID: added\r\n"

/* One bit per reply. */
typedef uint64_t reference_set;

static inline reference_set reference_bit(enum reply reply)
{
	return (reference_set)1 << reply;
}

/*
 * Octets of `in` that are the message in stuffed framing, its end included; 0
 * when it has no end.
 */
size_t reference_end(struct span in);

/*
 * Decodes a whole message, without the end that DATA has. The result is the set
 * of rules that it breaks; when that is empty `out` holds what has to be
 * stored. `work` is scratch of the message's size and more.
 */
reference_set reference_decode(struct span message, enum body_framing framing,
			       const struct body_limits *limits,
			       struct buf *work, struct buf *out);
