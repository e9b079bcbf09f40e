#pragma once

/*
 * server: the server's side of SMTP submission (RFC 5321, RFC 6409 and the
 * extensions listed in EHLO), pure: bytes and answers in, bytes and actions
 * out. No socket, no clock, no allocation. After an action that asks something
 * it reads no further input until the matching answer was called; so
 * back-pressure and PIPELINING need no code of their own.
 *
 * It promises: no AUTH and no mail before TLS, no mail before AUTH (P3); only
 * CRLF.CRLF or the counted end of BDAT ends a message (P4); the final 250 is
 * written by smtp_server_committed() and nowhere else (P1).
 */

#include "smtp/server_options.h"
#include "smtp/server_state.h"

enum smtp_action {
	SMTP_NEED_INPUT,  /* `in` is used up but for an unfinished line */
	SMTP_NEED_OUTPUT, /* drain `out` to at most half, then step again */
	SMTP_START_TLS,   /* send `out`, drop clear input, handshake;
			     answer: smtp_server_tls_started */
	SMTP_AUTH_STEP,   /* run the SASL exchange on `auth`;
			     answer: smtp_server_auth_* */
	SMTP_CHECK_MAIL,  /* may the user send as `mail`? open the envelope;
			     answer: smtp_server_checked */
	SMTP_CHECK_RCPT,  /* add `rcpt` to the envelope;
			     answer: smtp_server_checked */
	SMTP_OPEN_BODY,   /* ready `body` and `dots`;
			     answer: smtp_server_body_opened */
	SMTP_STORE_BODY,  /* `body` is full: store and empty it;
			     answer: smtp_server_body_stored */
	SMTP_COMMIT,      /* `body` holds the rest; make it all durable;
			     answer: smtp_server_committed / _commit_failed */
	SMTP_DISCARD,     /* forget envelope and body; step again. Ends each
			     MAIL that was taken but not committed */
	SMTP_CLOSE,       /* send `out`, then close; every later step says so */
};

/* What one step may use: `in` is advanced past what was consumed. */
struct smtp_io {
	struct span in;
	struct buf *out;
	struct buf *body;  /* storage of the open message, or NULL */
	struct dots *dots; /* of the open message, or NULL */
	bool tls_busy;     /* no handshake can begin: STARTTLS is put off */
};

/* Facts the pump adds when a message is opened. */
struct smtp_message_facts {
	const char *id; /* "queued as" and Received; < SMTP_ID_MAX */
	uint64_t unix_time_s;
};

/* Begins with the banner. On implicit TLS call smtp_server_tls_started next. */
void smtp_server_init(struct smtp_server *s,
		      const struct smtp_server_options *options,
		      struct smtp_peer peer);

/* Advances until something is wanted. An answer that is due comes first. */
enum smtp_action smtp_server_step(struct smtp_server *s, struct smtp_io *io);

/*
 * The handshake is done: everything said before is forgotten (RFC 3207 4.2).
 * Also called before the first step on implicit TLS. Both strings must live as
 * long as the session ("TLSv1.3", "TLS_AES_128_GCM_SHA256").
 */
void smtp_server_tls_started(struct smtp_server *s, const char *version,
			     const char *cipher);

/* 334 with this challenge, already in base64, shorter than SMTP_USER_MAX. */
void smtp_server_auth_continue(struct smtp_server *s, struct span challenge);
/* Ends the exchange: REPLY_AUTH_OK (with the user's name) or a refusal. */
void smtp_server_auth_done(struct smtp_server *s, enum reply verdict,
			   struct span user);

/* REPLY_SENDER_OK / REPLY_RECIPIENT_OK, or a 4xx / 5xx reply of the table. */
void smtp_server_checked(struct smtp_server *s, enum reply verdict);

/* REPLY_OK, or the 4xx / 5xx with which the message is refused. */
void smtp_server_body_opened(struct smtp_server *s, enum reply verdict,
			     const struct smtp_message_facts *facts);
/* REPLY_OK, or a 4xx: the rest is read and dropped, then so answered. */
void smtp_server_body_stored(struct smtp_server *s, enum reply verdict);

/* The message is durable: writes the final 250. The only place that does. */
void smtp_server_committed(struct smtp_server *s);
void smtp_server_commit_failed(struct smtp_server *s, enum reply verdict);

/*
 * The pump wants the session to end (REPLY_TIMED_OUT, REPLY_SHUTTING_DOWN, any
 * 421 that is none of the core's own): the next step writes it and returns SMTP_CLOSE, preceded
 * by SMTP_DISCARD when a message is open. May be called while an answer is
 * awaited (which must not come any more), except between SMTP_COMMIT and its
 * answer. During a handshake nothing is written: it could not be read.
 */
void smtp_server_end(struct smtp_server *s, enum reply reply);

/* True between messages: ending now costs the client nothing. */
bool smtp_server_between_messages(const struct smtp_server *s);
/* True while a body is being received: the pump's data timeout applies. */
bool smtp_server_in_body(const struct smtp_server *s);

/* Octets of a BDAT chunk that the client still has to send; 0: no chunk. */
uint64_t smtp_server_chunk_left(const struct smtp_server *s);

/*
 * Octets of a chunk still to come whose only use is to be stored as they are:
 * the scan of them, which must follow, finds faults but changes nothing. 0: in
 * any other place, and behind a finding. smtp_server_held: of those scanned so
 * many (a CR) are not in `body` yet.
 */
uint64_t smtp_server_unscanned(const struct smtp_server *s);
uint32_t smtp_server_held(const struct smtp_server *s);
/* The pump emptied `body`, of n octets, without being asked to. */
void smtp_server_body_taken(struct smtp_server *s, size_t n);
/* A failure of the world while a body is received; as if storing had failed. */
void smtp_server_body_failed(struct smtp_server *s, enum reply verdict);

/* True from AUTH to its final reply: when false, no exchange is going on. */
bool smtp_server_in_auth(const struct smtp_server *s);

/* Name of the authenticated user, "" when there is none. */
const char *smtp_server_user(const struct smtp_server *s);
/* Name the client gave with HELO or EHLO, "" before. */
const char *smtp_server_helo(const struct smtp_server *s);

/*
 * The reply written last. At SMTP_DISCARD it is the one that ended the message:
 * for a refused body its finding, REPLY_BARE_LF and the like.
 */
enum reply smtp_server_last_reply(const struct smtp_server *s);

/* Commands and refusals since the last call; they begin at 0 again. */
struct smtp_counts smtp_server_take_counts(struct smtp_server *s);
