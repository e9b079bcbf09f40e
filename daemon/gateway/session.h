#pragma once

/*
 * session: one client's connection, from accept to close, as a pump: harvest
 * what completed, step the pure cores until they want input or an answer, arm
 * what is wanted and idle. It knows neither how records are made (tls/record.h)
 * nor how SMTP works (smtp/server.h). Memory: this struct, OpenSSL's state, and
 * two buffers only while bytes are in them.
 */

#include "base/prefix.h"
#include "base/wheel.h"
#include "gateway/verifier.h"
#include "ring/loan.h"
#include "ring/op.h"
#include "ring/ring.h"
#include "smtp/server.h"
#include "tls/diag.h"
#include "tls/handshake.h"
#include "tls/record.h"

#define SESSION_ADDRESS_MAX 64

struct message;
struct worker;

/*
 *   HANDSHAKE <--STARTTLS-- OPEN --close wanted--> FLUSHING
 *       \---------done------^                         |
 *   any --peer gone or broken--> DEAD <--output sent--/
 *                 FLUSHING --peer still talks--> LINGERING --> DEAD
 */
enum session_state {
	SESSION_HANDSHAKE,
	SESSION_OPEN,
	SESSION_FLUSHING,  /* the last bytes are on their way out */
	SESSION_LINGERING, /* our side is shut; what comes is dropped */
	SESSION_DEAD,      /* freed as soon as nothing is in flight */
};

/* What the SMTP core has asked and waits for. */
enum session_question {
	SESSION_ASKED_NOTHING,
	SESSION_ASKED_VERIFIER,
	SESSION_ASKED_STORE,
	SESSION_ASKED_FILE, /* by session_splice */
	SESSION_ASKED_COMMIT,
};

/* Handing the records to the kernel: tried while the socket is quiet. */
enum session_offload {
	SESSION_OFFLOAD_SETTLED, /* in clear, or the outcome is final */
	SESSION_OFFLOAD_WANTED,  /* nothing is received before the first try */
	SESSION_OFFLOAD_LATER,   /* mid record: again when it is quiet */
};

/* Where in the queue of handshakes (gateway/handshakes.h). */
enum session_pace {
	SESSION_PACE_NONE, /* no handshake under way */
	SESSION_PACE_IDLE, /* waits for its peer */
	SESSION_PACE_QUEUED,
	SESSION_PACE_ITS_TURN,
};

/* Whether the card makes the records: see session_nic.h. */
enum session_nic {
	SESSION_NIC_SETTLED, /* known, or nobody wants to know */
	SESSION_NIC_ASKED,
	SESSION_NIC_ANSWERED, /* in `makers` */
};

struct session {
	enum session_state state;
	enum session_question asked;
	uint32_t slot;
	uint32_t generation;
	int fd;
	uint64_t id;       /* in the log; unlike any other's */
	uint32_t listener; /* index into the worker's sockets */

	struct op recv;
	struct op send;
	struct wheel_timer timer;

	struct handshake handshake;
	struct record record;
	struct smtp_server smtp;

	struct loan wire; /* bytes as received, not opened yet */
	bool recv_large;  /* `recv` goes into a body's buffer */
	bool gathering;   /* and waits until that is full */
	bool slow;        /* it was not, in time */
	bool crowded;     /* no such buffer was free */
	bool looking;     /* it takes nothing, but tells that bytes came */
	uint8_t look;     /* the kernel's meanwhile */
	size_t unseen; /* bytes moved to the message's file, not yet scanned */
	bool cannot_splice;
	struct record_control *control_in;  /* being received */
	struct record_control *control_out; /* being sent */
	struct buf in;    /* clear bytes; storage while not empty */
	struct buf out;   /* bytes as sent; the kernel's while `send` flies */
	bool peer_closed; /* end of file was read */
	bool last_input;  /* keys changed: nothing more can be opened */
	enum session_offload offload;
	enum session_nic nic;
	struct diag_makers makers;
	bool cancelled; /* what flew when it died */

	struct message *message;
	struct verifier_job *job;
	struct prefix source;  /* its address; family 0: unknown */
	uint32_t prefix_share; /* into the worker's shares */
	uint32_t user_share;

	const char *tls_version; /* static strings, or NULL */
	const char *tls_cipher;
	const char *ended; /* why, for the log */
	char address[SESSION_ADDRESS_MAX];
	uint64_t opened_ms;
	uint64_t bytes_in;
	uint64_t bytes_out;
	uint32_t messages_n;

	struct session *live_next;
	struct session **live_link;
	struct session *touched_next;
	struct session *starved_next;
	struct session *handshake_next;
	enum session_pace pace;
	bool touched;
	bool starved;
};

/*
 * Takes a session for an accepted connection. REPLY_OK, or how it is to be
 * refused; then fd stays the caller's.
 */
enum reply session_open(struct worker *w, uint32_t listener, int fd);

/* Advances as far as possible; may end and free the session. */
void session_pump(struct worker *w, struct session *s);

/* The deadline has passed. */
void session_on_timeout(struct worker *w, struct session *s);

/* The worker drains: between messages the session ends with 421. */
void session_drain(struct worker *w, struct session *s);
/* The session whose timer this is. */
struct session *session_of_timer(struct wheel_timer *t);

/* For the parts of a session (session_smtp, session_auth) and its worker. */

/* The session is over without a further word; the first `why` is kept. */
void session_kill(struct session *s, const char *why);
/* Sends what is in `out`, then ends. */
void session_finish(struct worker *w, struct session *s, const char *why);
void session_set_deadline(struct worker *w, struct session *s,
			  uint64_t after_ms);
/* Begins TLS on the server's side. -ENOMEM. */
int session_begin_handshake(struct worker *w, struct session *s);
