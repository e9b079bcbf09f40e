#pragma once

/*
 * reply: every reply the server can give, one table: the name, the code (RFC
 * 5321 4.2), the enhanced status code (RFC 3463, RFC 5248) and the text. The
 * conversation tests check that they cover the whole table. A text may hold one
 * %s, filled by the core (hostname, limit). An empty enhanced code means the
 * reply takes none (RFC 2034: 220, 221.. of EHLO, 334, 354).
 */

#include "base/buf.h"

#define REPLY_TABLE(X)                                                         \
	X(READY, 220, "", "%s ESMTP Sluice")                                   \
	X(START_TLS, 220, "2.0.0", "ready to start TLS")                       \
	X(BYE, 221, "2.0.0", "%s closing connection")                          \
	X(AUTH_OK, 235, "2.7.0", "authentication succeeded")                   \
	X(HELO, 250, "", "%s")                                                 \
	X(OK, 250, "2.0.0", "ok")                                              \
	X(SENDER_OK, 250, "2.1.0", "sender ok")                                \
	X(RECIPIENT_OK, 250, "2.1.5", "recipient ok")                          \
	X(CHUNK_OK, 250, "2.0.0", "%s octets received")                        \
	X(QUEUED, 250, "2.0.0", "queued as %s")                                \
	X(VRFY, 252, "2.5.1", "cannot verify, send mail and see")              \
	X(HELP, 214, "2.0.0", "see RFC 5321 and RFC 6409")                     \
	X(AUTH_CONTINUE, 334, "", "%s")                                        \
	X(SEND_DATA, 354, "", "end data with <CRLF>.<CRLF>")                   \
	X(SHUTTING_DOWN, 421, "4.3.2", "%s shutting down, try again later")    \
	X(TIMED_OUT, 421, "4.4.2", "%s timed out waiting for you")             \
	X(TOO_MANY_ERRORS, 421, "4.7.0", "%s too many errors")                 \
	X(TOO_MANY_IDLE, 421, "4.7.0", "%s too many commands without mail")    \
	X(OVERLOADED, 421, "4.3.2", "%s too busy, try again later")            \
	X(KTLS_REQUIRED, 421, "4.7.0",                                         \
	  "%s requires kernel TLS, which this session cannot have")            \
	X(NIC_REQUIRED, 421, "4.7.0",                                          \
	  "%s requires TLS offload, which this session cannot have")           \
	X(TOO_MANY_CONNECTIONS, 421, "4.7.0",                                  \
	  "%s too many connections of yours, try again later")                 \
	X(SPOOL_ERROR, 451, "4.3.0",                                           \
	  "cannot store the message, try again later")                         \
	X(LOCAL_ERROR, 451, "4.3.0", "local error, try again later")           \
	X(SPOOL_FULL, 452, "4.3.1",                                            \
	  "no room for the message, try again later")                          \
	X(TOO_MUCH_AT_ONCE, 452, "4.7.0",                                      \
	  "too much mail of yours is under way, try again later")              \
	X(TOO_MANY_RECIPIENTS, 452, "4.5.3", "too many recipients")            \
	X(TOO_MANY_MESSAGES, 452, "4.5.3", "too many messages, reconnect")     \
	X(AUTH_TEMPORARY, 454, "4.7.0",                                        \
	  "cannot check credentials now, try again later")                     \
	X(TLS_BUSY, 454, "4.3.2", "too busy for TLS now, try again later")     \
	X(LINE_TOO_LONG, 500, "5.5.6", "line too long")                        \
	X(UNKNOWN_COMMAND, 500, "5.5.1", "command not recognized")             \
	X(BARE_LF_COMMAND, 500, "5.5.2", "lines end in CRLF")                  \
	X(SYNTAX, 501, "5.5.4", "syntax: %s")                                  \
	X(BAD_ADDRESS_FROM, 501, "5.1.7", "bad sender address syntax")         \
	X(BAD_ADDRESS_TO, 501, "5.1.3", "bad recipient address syntax")        \
	X(AUTH_CANCELLED, 501, "5.7.0", "authentication cancelled")            \
	X(AUTH_BAD_BASE64, 501, "5.5.2", "cannot decode that response")        \
	X(NOT_IMPLEMENTED, 502, "5.5.1", "command not implemented")            \
	X(BAD_SEQUENCE, 503, "5.5.1", "bad sequence of commands: %s")          \
	X(AUTH_MECHANISM, 504, "5.5.4", "mechanism not supported")             \
	X(TLS_REQUIRED, 530, "5.7.0", "must issue a STARTTLS command first")   \
	X(AUTH_REQUIRED, 530, "5.7.0", "authentication required")              \
	X(AUTH_FAILED, 535, "5.7.8", "authentication credentials invalid")     \
	X(UTF8_NEEDED, 553, "5.6.7", "address needs SMTPUTF8")                 \
	X(SENDER_REFUSED, 550, "5.7.1",                                        \
	  "sender address not allowed for this user")                          \
	X(RECIPIENT_REFUSED, 550, "5.7.1", "recipient not allowed")            \
	X(BARE_LF, 550, "5.6.0", "bare LF in message, see RFC 5321 2.3.8")     \
	X(BARE_CR, 550, "5.6.0", "bare CR in message, see RFC 5321 2.3.8")     \
	X(NUL_BYTE, 550, "5.6.0", "NUL in message")                            \
	X(TEXT_LINE_TOO_LONG, 550, "5.6.0", "text line longer than %s octets") \
	X(HEADER_TOO_BIG, 552, "5.3.4",                                        \
	  "header section larger than %s octets")                              \
	X(TOO_BIG, 552, "5.3.4", "message larger than %s octets")              \
	X(LOOP, 554, "5.4.6", "too many hops (Received fields)")               \
	X(PIPELINED_TLS, 554, "5.5.1", "commands pipelined behind STARTTLS")   \
	X(NOT_HTTP, 554, "5.5.1", "this is not an HTTP server")                \
	X(NO_RECIPIENTS, 554, "5.5.1", "no valid recipients")                  \
	X(BAD_PARAMETER, 555, "5.5.4", "parameter not supported: %s")

enum reply {
#define REPLY_ENUM(name, code, enhanced, text) REPLY_##name,
	REPLY_TABLE(REPLY_ENUM)
#undef REPLY_ENUM
		REPLY_N
};

/* Longest line reply_put writes, CRLF included (RFC 5321 4.5.3.1.5). */
#define REPLY_LINE_MAX 512

/*
 * Appends the reply as one line; `argument` fills %s (empty when none). It is
 * cut where the line would pass REPLY_LINE_MAX, and what is neither printable
 * ASCII nor UTF-8 in it becomes `?`: nobody can forge a second line.
 */
void reply_put(struct buf *out, enum reply reply, struct span argument);

int reply_code(enum reply reply);
const char *reply_name(enum reply reply);
