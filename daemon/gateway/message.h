#pragma once

/*
 * message: one message being received: the transaction of the spool, its
 * storage, and what the log line tells. It belongs to a session while that
 * lives, but ends on its own: a commit in flight is finished although the
 * client has gone, and a broken-off body removes its file.
 */

#include "ring/op.h"
#include "ring/ring.h"
#include "smtp/reply.h"
#include "smtp/server.h"
#include "spool/envelope.h"
#include "spool/txn.h"

struct session;
struct worker;

struct message {
	struct txn txn;
	struct op op;              /* the step in flight for its own file */
	uint8_t *envelope_storage; /* of the worker's slabs */
	uint8_t *body_storage;
	uint32_t session; /* slot and generation of the owner */
	uint32_t generation;
	bool orphan; /* the owner has gone or forgot it */
	uint64_t id;
	uint64_t session_id; /* in the log */
	char id_text[SMTP_ID_MAX];
	uint64_t opened_ms;
	uint64_t commit_ms;
	uint32_t recipients_n;
	uint32_t prefix_share; /* into the worker's shares */
	uint32_t user_share;
	uint64_t share_bytes; /* counted there */
};

/*
 * Takes a message and its storage for `s` and writes the envelope's head (who,
 * whence, when). REPLY_OK, or why there can be none now.
 */
enum reply message_open(struct worker *w, const struct session *s,
			uint64_t declared_bytes, struct message **ret);

/* Adds MAIL's or RCPT's facts to the envelope; the verdict for the client. */
enum reply message_add_sender(struct message *m,
			      const struct command_mail *mail);
enum reply message_add_recipient(struct message *m,
				 const struct command_rcpt *rcpt);

/* The body buffer is full: writes it out. The session is touched afterwards. */
void message_store(struct worker *w, struct message *m);
/* All of the body is there. The session is touched when the commit has ended. */
void message_commit(struct worker *w, struct message *m);
/* The owner forgets it: an unfinished one is discarded, a commit goes on. */
void message_abandon(struct worker *w, struct message *m);

/* Records a completion, then advances the transaction's own file. */
void message_on_cqe(struct worker *w, const struct ring_completion *c);

/* Lets the store work and answers the sessions whose commits ended. */
void message_pump_store(struct worker *w);

/* The reply for a failed operation of the spool: the one table of errno. */
enum reply message_reply_for(int error);
