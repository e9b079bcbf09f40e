#pragma once

/*
 * envelope: the envelope of a message in the form in which it is kept, a
 * sequence of typed, length-prefixed fields in a fixed buffer, with what came
 * with MAIL and RCPT (RFC 5321, RFC 3461, RFC 6531). Written once by the
 * gateway while the transaction goes on, read by the relay by walking. Unknown
 * types are skipped by readers, so fields can be added.
 */

#include "base/buf.h"

enum envelope_type {
	ENVELOPE_REVERSE_PATH = 'S', /* without <>; empty: null */
	ENVELOPE_FORWARD_PATH = 'R', /* without <>; begins a recipient */
	ENVELOPE_BODY = 'B',         /* "7BIT" or "8BITMIME" */
	ENVELOPE_SMTPUTF8 = 'u',     /* empty value */
	ENVELOPE_RET = 'r',          /* DSN: "FULL" or "HDRS" */
	ENVELOPE_ENVID = 'i',        /* DSN: xtext as given */
	ENVELOPE_NOTIFY = 'n',       /* DSN, of the recipient before it */
	ENVELOPE_ORCPT = 'o',        /* DSN, of the recipient before it */
	ENVELOPE_USER = 'U',         /* authenticated user */
	ENVELOPE_CLIENT = 'C',       /* address of the client */
	ENVELOPE_HELO = 'H',
	ENVELOPE_ARRIVAL = 'T', /* decimal Unix seconds */
};

/* Appends a field; `values` longer than 65,535 or no room: sticky overflow. */
void envelope_put(struct buf *envelope, enum envelope_type type,
		  struct span value);

struct envelope_field {
	enum envelope_type type;
	struct span value;
};

/*
 * Takes the next field off `rest`. False at the end, and at a malformed field:
 * then rest->len is not 0.
 */
bool envelope_next(struct span *rest, struct envelope_field *ret);

/* First field of that type; false when there is none. */
bool envelope_find(struct span envelope, enum envelope_type type,
		   struct span *ret_value);
