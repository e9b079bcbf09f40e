#pragma once

/*
 * received: the header fields that this server writes: Received (RFC 5321
 * 4.4, RFC 3848, RFC 6531 3.7.3), and Date and Message-ID for messages that
 * come without (RFC 6409 8.2 and 8.3). Lines are folded under 78 columns where
 * words allow; what the client said is cleaned, so it can break neither the
 * field nor a comment. Times are UTC and come from the caller.
 */

#include "base/buf.h"

/* Strings of the caller, for the length of the call. */
struct received {
	const char *helo;        /* as the client gave it */
	const char *address;     /* "192.0.2.1" or "IPv6:2001:db8::1" */
	const char *hostname;    /* ours */
	const char *id;          /* of the message */
	const char *tls_version; /* NULL: in clear */
	const char *tls_cipher;
	uint64_t unix_time_s;
	bool extended; /* EHLO was used */
	bool authenticated;
	bool smtputf8;
};

/* Most octets that received_put appends, and the other two together. */
#define RECEIVED_FIELD_MAX   1536
#define RECEIVED_MISSING_MAX 512

/* Each appends one field with its CRLF. */
void received_put(struct buf *out, const struct received *r);
void received_put_date(struct buf *out, uint64_t unix_time_s);
void received_put_message_id(struct buf *out, const char *id,
			     const char *hostname);
