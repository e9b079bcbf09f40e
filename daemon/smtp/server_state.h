#pragma once

/*
 * server_state: the layout of struct smtp_server, visible because a session
 * embeds it, and its states. Of the fields only the payload of an action is for
 * the pump to read; all others belong to the modules server and server_*.
 */

#include "smtp/body.h"
#include "smtp/command.h"
#include "smtp/line.h"

#define SMTP_HELO_MAX 256
#define SMTP_USER_MAX 256
#define SMTP_ID_MAX   24

/* Who speaks, for the Received field; strings of the caller. */
struct smtp_peer {
	const char *address; /* "192.0.2.1" or "IPv6:2001:db8::1" */
};

/*
 * Payload of SMTP_AUTH_STEP. The first step of an exchange names a mechanism,
 * one of options->auth_mechanisms in any case; later ones do not. "=" has
 * become an empty response, which is not the same as none.
 */
struct smtp_auth {
	struct span mechanism;
	bool has_response;
	struct span response; /* base64, not checked */
};

struct smtp_server_options;

/* What the server does or waits for; server_state.c draws the edges. */
enum smtp_state {
	SMTP_GREETING,
	SMTP_READING, /* a command */
	SMTP_STARTING_TLS,
	SMTP_AUTH_READING, /* a client's response in the SASL exchange */
	SMTP_AUTHENTICATING,
	SMTP_CHECKING_MAIL,
	SMTP_CHECKING_RCPT,
	SMTP_OPENING,
	SMTP_TRACING, /* the Received field comes first */
	SMTP_RECEIVING,
	SMTP_STORING,
	SMTP_SKIPPING, /* a chunk that was refused */
	SMTP_COMMITTING,
	SMTP_REPLYING, /* the verdict of an answer, then READING */
	SMTP_REFUSING, /* the same, and the message is given up */
	SMTP_CLOSING
};

/* Totals since the pump last took them. */
struct smtp_counts {
	uint32_t commands;
	uint32_t replies_4xx;
	uint32_t replies_5xx;
};

struct smtp_server {
	/*
	 * Payload of the action returned last. Spans point into what was given
	 * as `in`: those bytes must stay where they are until the answer.
	 */
	union {
		struct smtp_auth auth;
		struct command_mail mail;
		struct command_rcpt rcpt;
	};

	/* The rest is the server's own. */
	const struct smtp_server_options *options;
	struct smtp_peer peer;
	const char *tls_version; /* NULL: in clear */
	const char *tls_cipher;
	uint64_t unix_time_s;
	uint64_t chunk_size;
	uint64_t chunk_left;
	struct body body;
	struct line line;
	struct smtp_counts counts;
	uint32_t errors;
	uint32_t idle_commands;
	uint32_t mails;      /* MAIL commands taken */
	uint32_t recipients; /* of this message */
	enum smtp_state state : 8;
	enum reply verdict : 8; /* of the last answer, or of a refused chunk */
	enum reply last_reply : 8;
	enum reply ending : 8; /* the pump's wish, or REPLY_OK */
	bool greeted : 1;      /* HELO or EHLO was said */
	bool extended : 1;     /* it was EHLO */
	bool authenticated : 1;
	bool mail_open : 1; /* a MAIL was taken */
	bool smtputf8 : 1;  /* and it said SMTPUTF8 */
	bool chunked : 1;   /* a BDAT sequence has begun */
	bool chunk_last : 1;
	bool discard : 1; /* the pump must be told to forget */
	char helo[SMTP_HELO_MAX];
	char user[SMTP_USER_MAX]; /* or the challenge, before */
	char id[SMTP_ID_MAX];
};

/* The only writer of the state. An edge that server_state.c lacks is a bug. */
void server_state_set(struct smtp_server *s, enum smtp_state next);

/* True when the server waits for an answer of the pump. */
bool server_state_asks(enum smtp_state state);
