#pragma once

/*
 * client_verdict: how a recipient, a message or a connection ended: accepted,
 * deferred or refused, by the peer's reply or by a finding of ours, in the
 * protocol's own terms. One table names the findings. It never decides what
 * follows from a verdict.
 */

#include "smtp/client_reply.h"

/* What ended a connection or a message, in the protocol's own terms. */
#define CLIENT_FINDING_TABLE(X)                                             \
	X(NONE, 0, 0, "the peer's reply decides")                           \
	X(BARE_LF, 5, 0, "the peer's line does not end in CRLF")            \
	X(LONG_LINE, 5, 0, "the peer's line is too long")                   \
	X(ENDLESS_REPLY, 5, 0, "the peer's reply has too many lines")       \
	X(BAD_REPLY, 5, 0, "the peer sent what is no reply")                \
	X(REPLY_UNASKED, 5, 0, "the peer replied before the command")       \
	X(WRONG_CODE, 5, 0, "the peer's code does not answer the command")  \
	X(SESSION_REFUSED, 3, 2, "the peer refused the session")            \
	X(CLOSING, 3, 2, "the peer is closing the connection")              \
	X(TLS_NOT_OFFERED, 7, 10, "the peer does not offer STARTTLS")       \
	X(TLS_REFUSED, 7, 10, "the peer refused STARTTLS")                  \
	X(TLS_CLEAR_BYTES, 7, 10, "clear bytes behind the peer's STARTTLS") \
	X(TLS_FAILED, 7, 10, "the TLS handshake failed")                    \
	X(KTLS_REQUIRED, 3, 5, "kernel TLS is required, and not to be had") \
	X(NIC_REQUIRED, 3, 5, "TLS offload is required, and not to be had") \
	X(AUTH_NOT_OFFERED, 7, 8, "the peer does not offer AUTH PLAIN")     \
	X(AUTH_REFUSED, 7, 8, "the peer refused the authentication")        \
	X(RESOLVE_FAILED, 4, 3, "the peer's name cannot be resolved")       \
	X(CONNECT_FAILED, 4, 1, "cannot connect to the peer")               \
	X(CONNECTION_LOST, 4, 2, "the connection was lost")                 \
	X(TIMED_OUT, 4, 2, "the peer took too long")                        \
	X(LOCAL, 3, 0, "the message cannot be read now")                    \
	X(NEEDS_8BITMIME, 6, 3, "the peer lacks 8BITMIME")                  \
	X(NEEDS_SMTPUTF8, 6, 7, "the peer lacks SMTPUTF8")                  \
	X(TOO_BIG, 3, 4, "the message is larger than the peer allows")      \
	X(BAD_SENDER, 1, 7, "the sender's address cannot be sent")          \
	X(BAD_RECIPIENT, 1, 3, "the recipient's address cannot be sent")

enum client_finding {
#define CLIENT_FINDING_ENUM(name, subject, detail, text) CLIENT_FOUND_##name,
	CLIENT_FINDING_TABLE(CLIENT_FINDING_ENUM)
#undef CLIENT_FINDING_ENUM
		CLIENT_FINDING_N
};

enum client_outcome {
	CLIENT_ACCEPTED,
	CLIENT_DEFERRED, /* temporary: may be tried again */
	CLIENT_REFUSED,  /* for good */
};

/*
 * With a finding the reply is made here: code 0, an enhanced code and a text,
 * so that logs and reports need not distinguish.
 */
struct client_verdict {
	enum client_outcome outcome;
	enum client_finding finding;
	struct client_reply reply;
};

/* Makes the verdict that a finding of the pump's own gives. */
void client_verdict_of(struct client_verdict *v, enum client_finding finding,
		       enum client_outcome outcome);
/* "REPLY_UNASKED" */
const char *client_finding_name(enum client_finding finding);
