#include "smtp/server.h"

#include "base/must.h"
#include "smtp/server_auth.h"
#include "smtp/server_body.h"
#include "smtp/server_command.h"
#include "smtp/server_hello.h"
#include "smtp/server_mail.h"
#include "smtp/server_reply.h"

/*
 * The loop that drives the server, and the pump's answers. What a command does
 * is in server_hello, server_auth, server_mail and server_body.
 *
 * I1  REPLY_QUEUED is written only behind smtp_server_committed (P1).
 * I2  A transaction that the pump opened ends with exactly one of COMMIT that
 *     succeeded and DISCARD.
 * I3  One turn writes at most SMTP_OUTPUT_STEP_MAX octets.
 * I4  While an answer is awaited no octet of input is looked at.
 */

_Static_assert(sizeof(struct smtp_server) < 900, "a session is kept small");

void smtp_server_init(struct smtp_server *s,
		      const struct smtp_server_options *options,
		      struct smtp_peer peer)
{
	MUST(strlen(options->hostname) <= ADDRESS_DOMAIN_MAX);
	MUST(options->message_max && options->recipients_max);
	*s = (struct smtp_server){
		.options = options,
		.peer = peer,
		.state = SMTP_GREETING,
		.verdict = REPLY_OK,
		.last_reply = REPLY_OK,
		.ending = REPLY_OK,
	};
}

static bool server_read_line(struct smtp_server *s, struct smtp_io *io)
{
	bool exchange = s->state == SMTP_AUTH_READING;
	bool auth = exchange || span_starts_nocase(io->in, SPAN("AUTH"));
	enum line_result result;
	struct span text;

	result = line_take(&s->line, &io->in,
			   auth ? SMTP_AUTH_LINE_MAX : SMTP_LINE_MAX, &text);
	if (result == LINE_NONE)
		return true;
	if (exchange)
		server_auth_line(s, io, result, text);
	else
		server_command_line(s, io, result, text);
	return false;
}

/* Reads a command, unless there were too many errors before. */
static bool server_read(struct smtp_server *s, struct smtp_io *io)
{
	if (s->options->errors_max && s->errors >= s->options->errors_max) {
		server_reply_put(s, io->out, REPLY_TOO_MANY_ERRORS);
		server_mail_close(s);
		return false;
	}
	return server_read_line(s, io);
}

static void server_greet(struct smtp_server *s, struct smtp_io *io)
{
	server_state_set(s, SMTP_READING);
	server_reply_put(s, io->out, REPLY_READY);
}

/* Writes the verdict of the answer that came. */
static void server_answer(struct smtp_server *s, struct smtp_io *io)
{
	bool refusing = s->state == SMTP_REFUSING;

	server_state_set(s, s->verdict == REPLY_AUTH_CONTINUE ?
				    SMTP_AUTH_READING :
				    SMTP_READING);
	server_reply_put(s, io->out, s->verdict);
	if (refusing)
		server_mail_drop(s);
}

/* True when the session ends now: a verdict that is due comes before. */
static bool server_ends(const struct smtp_server *s)
{
	return s->ending != REPLY_OK && s->state != SMTP_REPLYING &&
	       s->state != SMTP_REFUSING;
}

static void server_end(struct smtp_server *s, struct smtp_io *io)
{
	if (s->state != SMTP_STARTING_TLS)
		server_reply_put(s, io->out, s->ending);
	s->ending = REPLY_OK;
	server_mail_close(s);
}

/* One thing done. True when there is nothing to do without more input. */
static bool server_turn(struct smtp_server *s, struct smtp_io *io)
{
	if (server_ends(s)) {
		server_end(s, io);
		return false;
	}
	switch (s->state) {
	case SMTP_GREETING: server_greet(s, io); return false;
	case SMTP_READING: return server_read(s, io);
	case SMTP_AUTH_READING: return server_read_line(s, io);
	case SMTP_TRACING: server_body_trace(s, io); return false;
	case SMTP_RECEIVING: return server_body_receive(s, io);
	case SMTP_SKIPPING: return server_body_skip(s, io);
	case SMTP_REPLYING:
	case SMTP_REFUSING: server_answer(s, io); return false;
	case SMTP_STARTING_TLS:
	case SMTP_AUTHENTICATING:
	case SMTP_CHECKING_MAIL:
	case SMTP_CHECKING_RCPT:
	case SMTP_OPENING:
	case SMTP_STORING:
	case SMTP_COMMITTING:
	case SMTP_CLOSING: break;
	}
	MUST(false); /* I4 */
	return true;
}

static enum smtp_action server_question(enum smtp_state state)
{
	static const enum smtp_action questions[] = {
		[SMTP_STARTING_TLS] = SMTP_START_TLS,
		[SMTP_AUTHENTICATING] = SMTP_AUTH_STEP,
		[SMTP_CHECKING_MAIL] = SMTP_CHECK_MAIL,
		[SMTP_CHECKING_RCPT] = SMTP_CHECK_RCPT,
		[SMTP_OPENING] = SMTP_OPEN_BODY,
		[SMTP_STORING] = SMTP_STORE_BODY,
		[SMTP_COMMITTING] = SMTP_COMMIT,
	};

	return questions[state];
}

enum smtp_action smtp_server_step(struct smtp_server *s, struct smtp_io *io)
{
	MUST(io->out->cap >= SMTP_OUTPUT_MIN);
	MUST(!server_state_asks(s->state) || server_ends(s)); /* I4 */
	for (;;) {
		if (s->discard) {
			s->discard = false;
			return SMTP_DISCARD; /* I2 */
		}
		if (s->state == SMTP_CLOSING)
			return SMTP_CLOSE;
		if (buf_room(io->out) < SMTP_OUTPUT_STEP_MAX)
			return SMTP_NEED_OUTPUT; /* I3 */
		if (server_turn(s, io))
			return SMTP_NEED_INPUT;
		MUST(!io->out->overflowed);
		if (server_state_asks(s->state))
			return server_question(s->state);
	}
}

static void server_verdict(struct smtp_server *s, enum reply verdict)
{
	s->verdict = verdict;
	server_state_set(s, SMTP_REPLYING);
}

void smtp_server_tls_started(struct smtp_server *s, const char *version,
			     const char *cipher)
{
	MUST(version && cipher && !s->tls_version && !s->mail_open);
	s->tls_version = version;
	s->tls_cipher = cipher;
	server_hello_forget(s);
	if (s->state != SMTP_GREETING)
		server_state_set(s, SMTP_READING);
}

void smtp_server_auth_continue(struct smtp_server *s, struct span challenge)
{
	MUST(s->state == SMTP_AUTHENTICATING);
	MUST(challenge.len < sizeof(s->user));
	if (challenge.len)
		memcpy(s->user, challenge.p, challenge.len);
	s->user[challenge.len] = 0;
	server_verdict(s, REPLY_AUTH_CONTINUE);
}

void smtp_server_auth_done(struct smtp_server *s, enum reply verdict,
			   struct span user)
{
	MUST(s->state == SMTP_AUTHENTICATING);
	s->user[0] = 0;
	if (verdict == REPLY_AUTH_OK) {
		MUST(user.len && user.len < sizeof(s->user));
		memcpy(s->user, user.p, user.len);
		s->user[user.len] = 0;
		s->authenticated = true;
		s->idle_commands = 0;
	} else {
		MUST(reply_code(verdict) >= 400);
	}
	server_verdict(s, verdict);
}

void smtp_server_checked(struct smtp_server *s, enum reply verdict)
{
	bool mail = s->state == SMTP_CHECKING_MAIL;

	MUST(mail || s->state == SMTP_CHECKING_RCPT);
	if (verdict == (mail ? REPLY_SENDER_OK : REPLY_RECIPIENT_OK)) {
		if (mail)
			server_mail_taken(s);
		else
			server_mail_recipient_taken(s);
	} else {
		MUST(reply_code(verdict) >= 400);
	}
	server_verdict(s, verdict);
}

void smtp_server_body_opened(struct smtp_server *s, enum reply verdict,
			     const struct smtp_message_facts *facts)
{
	MUST(s->state == SMTP_OPENING);
	MUST(verdict == REPLY_OK || reply_code(verdict) >= 400);
	server_body_opened(s, verdict, facts);
}

void smtp_server_body_stored(struct smtp_server *s, enum reply verdict)
{
	MUST(s->state == SMTP_STORING);
	MUST(verdict == REPLY_OK || reply_code(verdict) >= 400);
	if (verdict != REPLY_OK)
		body_fail(&s->body, verdict);
	server_state_set(s, SMTP_RECEIVING);
}

void smtp_server_committed(struct smtp_server *s)
{
	MUST(s->state == SMTP_COMMITTING);
	server_mail_done(s);
	s->idle_commands = 0;
	server_verdict(s, REPLY_QUEUED); /* I1 */
}

void smtp_server_commit_failed(struct smtp_server *s, enum reply verdict)
{
	MUST(s->state == SMTP_COMMITTING && reply_code(verdict) >= 400);
	s->verdict = verdict;
	server_state_set(s, SMTP_REFUSING);
}

void smtp_server_end(struct smtp_server *s, enum reply reply)
{
	MUST(s->state != SMTP_COMMITTING && reply_code(reply) == 421);
	if (s->state != SMTP_CLOSING)
		s->ending = reply;
}

bool smtp_server_between_messages(const struct smtp_server *s)
{
	return !s->mail_open && s->state != SMTP_CHECKING_MAIL;
}

bool smtp_server_in_body(const struct smtp_server *s)
{
	return s->chunked || s->state == SMTP_TRACING ||
	       s->state == SMTP_RECEIVING || s->state == SMTP_STORING ||
	       s->state == SMTP_SKIPPING;
}

uint64_t smtp_server_chunk_left(const struct smtp_server *s)
{
	return s->chunk_left;
}

uint64_t smtp_server_unscanned(const struct smtp_server *s)
{
	return s->state == SMTP_RECEIVING && s->chunked &&
			       body_is_plain(&s->body) ?
		       s->chunk_left :
		       0;
}

uint32_t smtp_server_held(const struct smtp_server *s)
{
	return s->chunked && s->body.at == BODY_AT_CR;
}

void smtp_server_body_taken(struct smtp_server *s, size_t n)
{
	MUST(s->state == SMTP_RECEIVING);
	body_taken(&s->body, n);
}

void smtp_server_body_failed(struct smtp_server *s, enum reply verdict)
{
	MUST(s->state == SMTP_RECEIVING && reply_code(verdict) >= 400);
	body_fail(&s->body, verdict);
}

bool smtp_server_in_auth(const struct smtp_server *s)
{
	return s->state == SMTP_AUTHENTICATING ||
	       s->state == SMTP_AUTH_READING ||
	       (s->state == SMTP_REPLYING && s->verdict == REPLY_AUTH_CONTINUE);
}

const char *smtp_server_user(const struct smtp_server *s)
{
	return s->authenticated ? s->user : "";
}

const char *smtp_server_helo(const struct smtp_server *s)
{
	return s->helo;
}

enum reply smtp_server_last_reply(const struct smtp_server *s)
{
	return s->last_reply;
}

struct smtp_counts smtp_server_take_counts(struct smtp_server *s)
{
	struct smtp_counts counts = s->counts;

	s->counts = (struct smtp_counts){ 0 };
	return counts;
}
