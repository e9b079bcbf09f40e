#pragma once

/*
 * client: the client's side of SMTP (RFC 5321 and the extensions in
 * client_hello.h), pure: bytes and answers in, bytes and actions out. No
 * socket, no clock, no allocation. One connection carries any number of
 * messages, one after the other.
 *
 * It promises: a message counts as accepted only when the peer answered its
 * whole body with 2xx (P1); with CLIENT_STARTTLS nothing but EHLO and STARTTLS
 * is said in clear (P3); a password is said once and to a peer that offers AUTH
 * PLAIN; a body is ended only by its own end mark (P4). Whatever
 * a peer answers out of turn or out of shape is a finding and a temporary
 * failure, never a guess. It never decides about retries.
 */

#include "base/buf.h"
#include "smtp/client_body.h"
#include "smtp/client_hello.h"
#include "smtp/client_verdict.h"

/* Room that `out` must be able to offer: the longest command. */
#define CLIENT_COMMAND_MAX 4096
/* Longest path, ENVID or ORCPT; together they fit CLIENT_COMMAND_MAX. */
#define CLIENT_ARGUMENT_MAX 1200
/* Recipients of one transaction (RFC 5321 4.5.3.1.8 promises us 100). */
#define CLIENT_RECIPIENTS_MAX 100

enum client_security {
	CLIENT_CLEAR,    /* as it is: in clear, or TLS was there before us */
	CLIENT_STARTTLS, /* no mail before STARTTLS has succeeded */
};

/* Live as long as the client; strings are the caller's. */
struct client_options {
	const char *hostname; /* for EHLO */
	enum client_security security;
	const char *auth_plain; /* RFC 4616, in base64; NULL: no AUTH. Never
				   given with CLIENT_CLEAR where nothing made
				   the connection secure. */
	bool no_pipelining;     /* although the peer offers it */
	bool no_chunking;
};

/* Envelope data without <>; empty spans: not given. Bytes of the caller. */
struct client_message {
	struct span reverse_path;
	struct span ret;   /* "FULL", "HDRS" */
	struct span envid; /* xtext */
	uint64_t body_bytes;
	bool eight_bit; /* BODY=8BITMIME */
	bool smtputf8;
	const struct dots *dots; /* or NULL */
};

struct client_recipient {
	struct span forward_path;
	struct span notify;
	struct span orcpt;
};

enum client_action {
	CLIENT_NEED_INPUT,        /* send `out`, wait for input */
	CLIENT_NEED_OUTPUT,       /* `out` has no room for a command: send */
	CLIENT_START_TLS,         /* send `out`, handshake;
				     answer: client_tls_started */
	CLIENT_READY,             /* no message open; watch for input;
				     answer: client_message or client_quit */
	CLIENT_NEXT_RECIPIENT,    /* answer: client_recipient or
				     client_recipients_end */
	CLIENT_RECIPIENT_REFUSED, /* client_recipient_index, client_verdict;
				     step again */
	CLIENT_SEND_BODY,         /* send `out`, then what client_body() plans;
				     step when input comes;
				     answer: client_body_is_sent */
	CLIENT_MESSAGE_DONE,      /* client_verdict is that of all recipients
				     not refused before; step again */
	CLIENT_CLOSE,             /* client_verdict tells why, unless after
				     client_quit */
	CLIENT_AGAIN,             /* internal, never returned by client_step */
};

/* What one step may use: `in` is advanced past what was consumed. */
struct client_io {
	struct span in;
	struct buf *out;
};

struct client {
	const struct client_options *options;
	const struct client_message *message; /* NULL: none open */
	uint8_t state;                        /* enum in client_inside.h */
	bool secure;                          /* STARTTLS was done */
	bool closing; /* nothing more is said after this message */
	bool tainted; /* the peer may hold a transaction: RSET */
	bool mail_sent;
	bool mail_refused;
	bool recipients_ended;
	bool body_sent;
	uint16_t recipients_n; /* RCPT sent */
	uint16_t answered_n;   /* replies to MAIL and RCPT taken */
	uint16_t accepted_n;   /* recipients accepted */
	uint16_t index;        /* of the recipient just refused */
	uint32_t messages_n;   /* on this connection */
	struct client_hello hello;
	struct client_body body;
	struct client_reply reply; /* being read */
	struct client_verdict verdict;
};

/* Before the first byte of the connection, or behind an implicit handshake. */
void client_init(struct client *c, const struct client_options *options);

/*
 * Advances until something is wanted; the same again until it was answered or
 * input came. CLIENT_NEED_OUTPUT and CLIENT_SEND_BODY do not stop input from
 * being wanted: step whenever some came, or two full pipes block each other.
 */
enum client_action client_step(struct client *c, struct client_io *io);

/* The handshake is done: EHLO follows, nothing said before is believed. */
void client_tls_started(struct client *c);

/* `message` stays the caller's, unchanged, until CLIENT_MESSAGE_DONE. */
void client_message(struct client *c, const struct client_message *message);
void client_quit(struct client *c);

/* True when a path or parameter may stand in a command. */
bool client_argument_fits(struct span s);

/* The recipient's arguments fit; writes RCPT to `out` of the step before. */
void client_recipient(struct client *c, const struct client_recipient *r,
		      struct buf *out);
void client_recipients_end(struct client *c);

/* The plan of the body to send; client_body_done before this answer. */
struct client_body *client_body(struct client *c);
void client_body_is_sent(struct client *c);

/*
 * The connection is gone or of no use (the world failed, a timeout, TLS). The
 * next steps end the open message, then return CLIENT_CLOSE.
 */
void client_lost(struct client *c, enum client_finding finding);

/* Of the last refused recipient, message or connection. */
const struct client_verdict *client_verdict(const struct client *c);
/* Number of the refused recipient among those given for this message. */
uint16_t client_recipient_index(const struct client *c);

/*
 * How long to wait in the present state (RFC 5321 4.5.3.2). For a body it is
 * the time between two blocks; 0: not waiting for the peer.
 */
uint32_t client_timeout_ms(const struct client *c);

/* False when the peer limits messages and has had enough (RFC 9422). */
bool client_takes_more(const struct client *c);
