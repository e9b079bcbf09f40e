#pragma once

/*
 * json: writes JSON into a buf. It puts the commas and escapes strings, so that
 * any bytes make a valid document; it does not check that braces match.
 */

#include "base/buf.h"

struct json {
	struct buf *out;
	bool comma; /* wanted before the next value */
};

static inline struct json json_into(struct buf *out)
{
	return (struct json){ .out = out };
}

/* `key` is NULL for an element of an array and for the document itself. */
void json_open(struct json *j, const char *key, char bracket);
void json_close(struct json *j, char bracket);
void json_string(struct json *j, const char *key, const char *value);
void json_number(struct json *j, const char *key, uint64_t value);
/* A finite number with so many decimals. */
void json_decimal(struct json *j, const char *key, double value, int decimals);

/*
 * A string in quotes, escaped. What is not ASCII is shown byte by byte, as
 * \u00xx: the document is valid whatever the bytes are.
 */
void json_quote(struct buf *out, struct span s);
