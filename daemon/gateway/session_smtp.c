/*
 * The core decides, this file does: each action of the core is one case of
 * act(). Replies of a step are written to a scratch buffer of the worker and
 * sealed into the session's output at once, so a session has no buffer for
 * replies of its own.
 */
#include "gateway/session_smtp.h"

#include "base/clock.h"
#include "gateway/handshakes.h"
#include "gateway/message.h"
#include "gateway/session.h"
#include "gateway/session_auth.h"
#include "gateway/session_splice.h"
#include "gateway/session_wire.h"
#include "gateway/worker.h"

/* Adds what the core counted since the last time. */
void session_smtp_count(struct worker *w, struct session *s)
{
	struct smtp_counts counts = smtp_server_take_counts(&s->smtp);
	struct metric_block *b = w->options->metrics;

	metric_add(b, METRIC_COMMANDS, counts.commands);
	metric_add(b, METRIC_REPLIES_4XX, counts.replies_4xx);
	metric_add(b, METRIC_REPLIES_5XX, counts.replies_5xx);
}

/*
 * The peer changed its keys and the kernel cannot follow: nothing more can be
 * read. Between messages the client is told to come again. True: step again.
 */
static bool no_more_input(struct worker *w, struct session *s)
{
	if (smtp_server_between_messages(&s->smtp)) {
		smtp_server_end(&s->smtp, REPLY_SHUTTING_DOWN);
		return true;
	}
	record_shutdown(&s->record, &s->out);
	session_finish(w, s, "key update that the kernel cannot follow");
	return false;
}

static enum record_result open_records(struct worker *w, struct session *s,
				       struct span *from)
{
	session_wire_borrow(w, &s->in);
	return record_open(&s->record, from, &s->in, &s->out);
}

/* Decrypts what has come into `in`. True when that made new clear bytes. */
static bool more_input(struct worker *w, struct session *s)
{
	size_t before = buf_len(&s->in);
	struct span from = loan_bytes(&s->wire);
	enum record_result result;

	if (s->unseen || (!from.len && !record_pending(&s->record)))
		result = RECORD_OK;
	else
		result = open_records(w, s, &from);
	loan_used(&s->wire, from);
	if (result == RECORD_FAILED) {
		session_finish(w, s, "bad TLS record"); /* with its alert */
		return false;
	}
	if (result == RECORD_CLOSED)
		s->peer_closed = true;
	if (buf_len(&s->in) != before || s->unseen)
		return true;
	if (s->last_input)
		return no_more_input(w, s);
	if (session_splice_prepare(w, s))
		return true;
	if (s->peer_closed && !loan_bytes(&s->wire).len) {
		worker_count(w, METRIC_SESSIONS_BROKEN);
		session_kill(s, "closed by peer");
	}
	return false;
}

void session_smtp_deadline(struct worker *w, struct session *s)
{
	const struct config_timeouts *t = &w->options->config->timeouts;
	uint32_t limit_s = smtp_server_in_body(&s->smtp) ? t->data : t->command;

	session_set_deadline(w, s, limit_s * 1000ull);
}

static enum reply check_mail(struct worker *w, struct session *s)
{
	const struct command_mail *mail = &s->smtp.mail;
	enum reply verdict;

	if (!access_may(w->options->access,
			span_str(smtp_server_user(&s->smtp)), mail->path))
		return REPLY_SENDER_REFUSED;
	if (w->spool_full)
		return REPLY_SPOOL_FULL;
	MUST(!s->message);
	verdict = message_open(w, s, mail->size, &s->message);
	if (verdict != REPLY_OK)
		return verdict;
	return message_add_sender(s->message, mail);
}

static void open_body(struct session *s)
{
	struct smtp_message_facts facts = {
		.id = s->message->id_text,
		.unix_time_s = clock_unix_s(),
	};

	smtp_server_body_opened(&s->smtp, REPLY_OK, &facts);
}

/* The counter of a finding in a body, or METRIC_N. */
static enum metric metric_of(enum reply reply)
{
	static const struct {
		enum reply reply;
		enum metric metric;
	} findings[] = {
		{ REPLY_BARE_LF, METRIC_REJECT_BARE_LF },
		{ REPLY_BARE_CR, METRIC_REJECT_BARE_CR },
		{ REPLY_NUL_BYTE, METRIC_REJECT_NUL },
		{ REPLY_TEXT_LINE_TOO_LONG, METRIC_REJECT_LONG_LINE },
		{ REPLY_HEADER_TOO_BIG, METRIC_REJECT_TOO_BIG },
		{ REPLY_TOO_BIG, METRIC_REJECT_TOO_BIG },
		{ REPLY_LOOP, METRIC_REJECT_LOOP },
	};

	for (size_t i = 0; i < sizeof(findings) / sizeof(findings[0]); i++)
		if (findings[i].reply == reply)
			return findings[i].metric;
	return METRIC_N;
}

/* The message was refused, or reset by the client. */
static void forget_message(struct worker *w, struct session *s)
{
	enum metric finding = metric_of(smtp_server_last_reply(&s->smtp));

	if (!s->message)
		return;
	if (finding != METRIC_N) {
		worker_count(w, finding);
		worker_count(w, METRIC_MESSAGES_REFUSED);
	}
	message_abandon(w, s->message);
	s->message = NULL;
}

void session_smtp_stored(struct worker *w, struct session *s,
			 enum reply verdict)
{
	bool stored = s->asked == SESSION_ASKED_STORE;

	MUST(stored || s->asked == SESSION_ASKED_FILE);
	s->asked = SESSION_ASKED_NOTHING;
	if (stored)
		smtp_server_body_stored(&s->smtp, verdict);
	else if (verdict != REPLY_OK)
		smtp_server_body_failed(&s->smtp, verdict);
	worker_touch(w, s);
}

void session_smtp_commit_ended(struct worker *w, struct session *s,
			       enum reply verdict)
{
	MUST(s->asked == SESSION_ASKED_COMMIT);
	s->asked = SESSION_ASKED_NOTHING;
	if (verdict == REPLY_QUEUED) {
		s->messages_n++;
		smtp_server_committed(&s->smtp);
	} else {
		worker_count(w, METRIC_MESSAGES_REFUSED);
		smtp_server_commit_failed(&s->smtp, verdict);
	}
	session_smtp_deadline(w, s);
	if (w->state == WORKER_DRAINING)
		session_drain(w, s);
	worker_touch(w, s);
}

/*
 * Clear bytes that came behind STARTTLS would be taken for the handshake's or,
 * worse, for commands sent under TLS (RFC 3207, injection).
 */
static void start_tls(struct worker *w, struct session *s)
{
	if (buf_len(&s->in) || loan_bytes(&s->wire).len)
		session_kill(s, "bytes in clear behind STARTTLS");
	else if (session_begin_handshake(w, s))
		session_kill(s, "no memory for TLS");
}

/* True when the core may be stepped again at once. */
static bool act(struct worker *w, struct session *s, enum smtp_action action)
{
	switch (action) {
	case SMTP_NEED_INPUT: return more_input(w, s);
	case SMTP_NEED_OUTPUT: return !buf_len(&s->out);
	case SMTP_START_TLS: start_tls(w, s); return true;
	case SMTP_AUTH_STEP: session_auth_step(w, s); return true;
	case SMTP_CHECK_MAIL:
		smtp_server_checked(&s->smtp, check_mail(w, s));
		return true;
	case SMTP_CHECK_RCPT:
		smtp_server_checked(&s->smtp,
				    message_add_recipient(s->message,
							  &s->smtp.rcpt));
		return true;
	case SMTP_OPEN_BODY: open_body(s); return true;
	case SMTP_STORE_BODY:
		s->asked = SESSION_ASKED_STORE;
		message_store(w, s->message);
		return true;
	case SMTP_COMMIT:
		s->asked = SESSION_ASKED_COMMIT;
		message_commit(w, s->message);
		return true;
	case SMTP_DISCARD: forget_message(w, s); return true;
	case SMTP_CLOSE:
		record_shutdown(&s->record, &s->out);
		session_finish(w, s,
			       reply_name(smtp_server_last_reply(&s->smtp)));
		return false;
	}
	MUST_NOT_REACH("an action the core does not have");
}

static void seal_replies(struct session *s, struct span replies)
{
	while (replies.len) {
		size_t before = replies.len;

		if (record_seal(&s->record, &replies, &s->out) != RECORD_OK) {
			session_kill(s, "TLS cannot send");
			return;
		}
		MUST(replies.len < before); /* room was made sure of */
	}
}

/* What was opened, or what of a body need not be. Commands are always opened:
 * `in` is wiped behind credentials. */
static struct span input(struct worker *w, struct session *s)
{
	if (s->unseen)
		return session_splice_input(w, s);
	if (buf_len(&s->in) || !smtp_server_in_body(&s->smtp))
		return buf_span(&s->in);
	return record_clear(&s->record, loan_bytes(&s->wire));
}

static void consume(struct session *s, size_t before, struct span rest)
{
	if (s->unseen)
		s->unseen -= before - rest.len;
	else if (buf_len(&s->in))
		buf_consume(&s->in, before - rest.len);
	else if (before)
		loan_advance(&s->wire, rest);
}

bool session_smtp_step(struct worker *w, struct session *s)
{
	struct message *m = s->message;
	enum smtp_action action;
	struct smtp_io io;
	struct buf replies;
	size_t before;
	bool again;

	session_wire_borrow(w, &s->out);
	if (buf_room(&s->out) <
	    record_sealed_max(&s->record, WORKER_REPLY_BYTES) + 64)
		return false;
	buf_init(&replies, w->reply, sizeof(w->reply));
	io = (struct smtp_io){
		.in = input(w, s),
		.out = &replies,
		.body = m ? txn_body(&m->txn) : NULL,
		.dots = m ? txn_dots(&m->txn) : NULL,
		.tls_busy = handshakes_full(&w->handshakes),
	};
	before = io.in.len;
	action = smtp_server_step(&s->smtp, &io);
	seal_replies(s, buf_span(&replies));
	if (s->state != SESSION_OPEN)
		return false;
	consume(s, before, io.in);
	if (io.in.len < before)
		session_smtp_deadline(w, s);
	if (s->job && !smtp_server_in_auth(&s->smtp))
		session_auth_drop(w, s); /* cancelled */
	again = act(w, s, action);
	loan_settle(&s->wire); /* the action's payload may lie in it */
	return again;
}
