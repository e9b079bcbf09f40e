/*
 * GREETING -> SAY_HELLO -> HELLO -> (AUTH ->) IDLE -> (RSET ->) ENVELOPE
 *                ^  \-> SAY_STARTTLS -> STARTTLS -> TLS -\
 *                \--------------------------------------/
 * ENVELOPE -> SAY_BODY -> (DATA ->) BODY -> FINAL -> DONE -> IDLE
 * IDLE -> SAY_QUIT -> QUIT -> CLOSED; any state -> (DONE ->) CLOSED
 *
 * One row per state: SAY_X is a function that writes a command and moves on to
 * X; X is a function that judges the reply. Those that wait for the pump's
 * answer say what is wanted. With PIPELINING, DATA may be reached with replies to
 * the envelope still owed; it takes these first.
 *
 * I1  Replies are counted: bytes that come while none is owed are a finding
 *     (REPLY_UNASKED), so an answer injected ahead of its command is not taken
 *     for the answer. The one exception is 421, which may come at any time.
 * I2  A message ends as ACCEPTED only by a 2xx in FINAL, and FINAL is reached
 *     only through client_body_is_sent with the plan of the body done (P1).
 * I3  AUTH and MAIL are written only when secure or security is CLIENT_CLEAR
 *     (P3).
 * I4  Replies to the envelope are taken before commands are written, and need no
 *     room in `out`: neither side can block the other (RFC 2920 3.1).
 */
#include "smtp/client.h"

#include "base/must.h"
#include "smtp/client_inside.h"

#define MINUTE_MS 60000u
#define QUIT_MS   10000u

void client_set_state(struct client *c, enum client_state state)
{
	c->state = (uint8_t)state;
	client_reply_clear(&c->reply);
}

void client_init(struct client *c, const struct client_options *options)
{
	*c = (struct client){ .options = options,
			      .state = CLIENT_STATE_GREETING };
}

/* Ends the open message, or the connection, with the verdict that is set. */
void client_finish(struct client *c, bool closing)
{
	c->closing = c->closing || closing;
	client_set_state(c,
			 c->message ? CLIENT_STATE_DONE : CLIENT_STATE_CLOSED);
}

void client_fail(struct client *c, enum client_finding finding)
{
	client_verdict_of(&c->verdict, finding, CLIENT_DEFERRED);
	client_finish(c, true);
}

void client_refuse(struct client *c, enum client_finding finding)
{
	client_verdict_of(&c->verdict, finding, CLIENT_REFUSED);
	client_finish(c, false);
}

/* The reply just read becomes the verdict. */
void client_judge(struct client *c)
{
	c->verdict.finding = CLIENT_FOUND_NONE;
	c->verdict.reply = c->reply;
	if (c->reply.code < 300)
		c->verdict.outcome = CLIENT_ACCEPTED;
	else if (c->reply.code < 500)
		c->verdict.outcome = CLIENT_DEFERRED;
	else
		c->verdict.outcome = CLIENT_REFUSED;
}

/* A refusal of the session says nothing about the message: it is deferred. */
static void fail_by_reply(struct client *c, enum client_finding finding)
{
	client_judge(c);
	c->verdict.outcome = CLIENT_DEFERRED;
	c->verdict.finding = finding;
	client_finish(c, true);
}

static enum client_finding finding_of(enum client_reply_result result)
{
	switch (result) {
	case CLIENT_REPLY_BARE_LF: return CLIENT_FOUND_BARE_LF;
	case CLIENT_REPLY_LONG: return CLIENT_FOUND_LONG_LINE;
	case CLIENT_REPLY_ENDLESS: return CLIENT_FOUND_ENDLESS_REPLY;
	case CLIENT_REPLY_BAD: return CLIENT_FOUND_BAD_REPLY;
	case CLIENT_REPLY_MORE:
	case CLIENT_REPLY_LINE:
	case CLIENT_REPLY_END: break;
	}
	return CLIENT_FOUND_NONE;
}

/*
 * Takes the reply that is owed. A 421 ends everything wherever it comes (RFC
 * 5321 3.8), so no state needs to know it. Lines of EHLO's answer behind the
 * first are read on the way.
 */
enum client_taken client_take_reply(struct client *c, struct client_io *io)
{
	enum client_reply_result result;
	struct span line;

	do {
		bool first = !c->reply.code;

		line = (struct span){ 0 };
		result = client_reply_consume(&c->reply, &io->in, &line);
		if (c->state == CLIENT_STATE_HELLO && !first && line.len)
			client_hello_line(&c->hello, line);
	} while (result == CLIENT_REPLY_LINE);
	if (result == CLIENT_REPLY_MORE)
		return CLIENT_TAKEN_NOTHING;
	if (result != CLIENT_REPLY_END) {
		client_fail(c, finding_of(result));
		return CLIENT_TAKEN_FAILURE;
	}
	if (c->reply.code == 421) {
		fail_by_reply(c, CLIENT_FOUND_CLOSING);
		return CLIENT_TAKEN_FAILURE;
	}
	return CLIENT_TAKEN_REPLY;
}

/* I1: what lies in `in` while no reply is owed. True: that ended the talk. */
static bool unasked(struct client *c, struct client_io *io)
{
	if (!io->in.len)
		return false;
	(void)client_take_reply(c, io);
	if (c->verdict.finding != CLIENT_FOUND_CLOSING)
		client_fail(c, CLIENT_FOUND_REPLY_UNASKED);
	return true;
}

/* READY: a command may be written. While replies are owed, input is theirs. */
enum client_action client_may_say(struct client *c, struct client_io *io,
				  bool owed)
{
	if (!owed && unasked(c, io))
		return CLIENT_AGAIN;
	if (buf_room(io->out) < CLIENT_COMMAND_MAX)
		return CLIENT_NEED_OUTPUT;
	return CLIENT_READY;
}

enum client_action client_say(struct client *c, struct client_io *io,
			      const char *verb, const char *argument)
{
	enum client_action may = client_may_say(c, io, false);

	if (may != CLIENT_READY)
		return may;
	buf_put_str(io->out, verb);
	buf_put_str(io->out, argument);
	buf_put(io->out, SPAN("\r\n"));
	MUST(!io->out->overflowed);
	client_set_state(c, (enum client_state)(c->state + 1)); /* SAY_X -> X */
	return CLIENT_AGAIN;
}

static void on_greeting(struct client *c)
{
	switch (c->reply.code / 100) {
	case 2: client_set_state(c, CLIENT_STATE_SAY_HELLO); break;
	case 3: client_fail(c, CLIENT_FOUND_WRONG_CODE); break;
	default: fail_by_reply(c, CLIENT_FOUND_SESSION_REFUSED); break;
	}
}

static enum client_action say_hello(struct client *c, struct client_io *io)
{
	c->hello = (struct client_hello){ 0 };
	return client_say(c, io, "EHLO ", c->options->hostname);
}

static void begin_auth(struct client *c)
{
	if (!c->options->auth_plain)
		client_set_state(c, CLIENT_STATE_IDLE);
	else if (c->hello.auth_plain)
		client_set_state(c, CLIENT_STATE_SAY_AUTH);
	else
		client_fail(c, CLIENT_FOUND_AUTH_NOT_OFFERED);
}

/* I3: TLS comes before anything else, and before any other way to go on. */
static void on_hello_accepted(struct client *c)
{
	c->hello.pipelining = c->hello.pipelining && !c->options->no_pipelining;
	c->hello.chunking = c->hello.chunking && !c->options->no_chunking;
	if (c->options->security == CLIENT_CLEAR || c->secure)
		begin_auth(c);
	else if (c->hello.starttls)
		client_set_state(c, CLIENT_STATE_SAY_STARTTLS);
	else
		client_fail(c, CLIENT_FOUND_TLS_NOT_OFFERED);
}

static void on_hello(struct client *c)
{
	int class = c->reply.code / 100;

	if (class == 2)
		on_hello_accepted(c);
	else if (class == 3)
		client_fail(c, CLIENT_FOUND_WRONG_CODE);
	else if (class == 5 && c->options->security == CLIENT_CLEAR &&
		 !c->options->auth_plain)
		client_set_state(c, CLIENT_STATE_SAY_HELO);
	else
		fail_by_reply(c, CLIENT_FOUND_SESSION_REFUSED);
}

static enum client_action say_helo(struct client *c, struct client_io *io)
{
	return client_say(c, io, "HELO ", c->options->hostname);
}

static void on_helo(struct client *c)
{
	c->hello = (struct client_hello){ 0 };
	if (c->reply.code / 100 == 2)
		client_set_state(c, CLIENT_STATE_IDLE);
	else
		fail_by_reply(c, CLIENT_FOUND_SESSION_REFUSED);
}

static enum client_action say_starttls(struct client *c, struct client_io *io)
{
	return client_say(c, io, "STARTTLS", "");
}

static void on_starttls(struct client *c)
{
	if (c->reply.code == 220)
		client_set_state(c, CLIENT_STATE_TLS);
	else
		fail_by_reply(c, CLIENT_FOUND_TLS_REFUSED);
}

/* What lies behind the 220 was said in clear and might pass for a reply. */
static enum client_action ask_tls(struct client *c, struct client_io *io)
{
	if (!io->in.len)
		return CLIENT_START_TLS;
	client_fail(c, CLIENT_FOUND_TLS_CLEAR_BYTES);
	return CLIENT_AGAIN;
}

void client_tls_started(struct client *c)
{
	MUST(c->state == CLIENT_STATE_TLS);
	c->secure = true;
	client_set_state(c, CLIENT_STATE_SAY_HELLO);
}

static enum client_action say_auth(struct client *c, struct client_io *io)
{
	MUST(c->secure || c->options->security == CLIENT_CLEAR); /* I3 */
	return client_say(c, io, "AUTH PLAIN ", c->options->auth_plain);
}

static void on_auth(struct client *c)
{
	if (c->reply.code == 235)
		client_set_state(c, CLIENT_STATE_IDLE);
	else if (c->reply.code / 100 < 4)
		client_fail(c, CLIENT_FOUND_WRONG_CODE);
	else
		fail_by_reply(c, CLIENT_FOUND_AUTH_REFUSED);
}

static enum client_action ask_message(struct client *c, struct client_io *io)
{
	return unasked(c, io) ? CLIENT_AGAIN : CLIENT_READY;
}

void client_quit(struct client *c)
{
	MUST(c->state == CLIENT_STATE_IDLE);
	client_set_state(c, CLIENT_STATE_SAY_QUIT);
}

static enum client_action say_quit(struct client *c, struct client_io *io)
{
	return client_say(c, io, "QUIT", "");
}

static void on_quit(struct client *c)
{
	client_set_state(c, CLIENT_STATE_CLOSED);
}

static enum client_action ask_close(struct client *c, struct client_io *io)
{
	(void)c;
	(void)io;
	return CLIENT_CLOSE;
}

/* `step` for states that say or ask, `on_reply` for those that wait. */
struct state_row {
	enum client_action (*step)(struct client *c, struct client_io *io);
	void (*on_reply)(struct client *c);
	uint32_t timeout_ms;
};

static const struct state_row rows[CLIENT_STATES] = {
	[CLIENT_STATE_GREETING] = { NULL, on_greeting, 5 * MINUTE_MS },
	[CLIENT_STATE_SAY_HELLO] = { say_hello, NULL, 5 * MINUTE_MS },
	[CLIENT_STATE_HELLO] = { NULL, on_hello, 5 * MINUTE_MS },
	[CLIENT_STATE_SAY_HELO] = { say_helo, NULL, 5 * MINUTE_MS },
	[CLIENT_STATE_HELO] = { NULL, on_helo, 5 * MINUTE_MS },
	[CLIENT_STATE_SAY_STARTTLS] = { say_starttls, NULL, 5 * MINUTE_MS },
	[CLIENT_STATE_STARTTLS] = { NULL, on_starttls, 5 * MINUTE_MS },
	[CLIENT_STATE_TLS] = { ask_tls, NULL, 5 * MINUTE_MS },
	[CLIENT_STATE_SAY_AUTH] = { say_auth, NULL, 5 * MINUTE_MS },
	[CLIENT_STATE_AUTH] = { NULL, on_auth, 5 * MINUTE_MS },
	[CLIENT_STATE_IDLE] = { ask_message, NULL, 0 },
	[CLIENT_STATE_SAY_RSET] = { client_mail_say_rset, NULL, 5 * MINUTE_MS },
	[CLIENT_STATE_RSET] = { NULL, client_mail_on_rset, 5 * MINUTE_MS },
	[CLIENT_STATE_ENVELOPE] = { client_mail_step_envelope, NULL,
				    5 * MINUTE_MS },
	[CLIENT_STATE_SAY_BODY] = { client_mail_say_body, NULL, 5 * MINUTE_MS },
	[CLIENT_STATE_DATA] = { client_mail_step_data, NULL, 2 * MINUTE_MS },
	[CLIENT_STATE_BODY] = { client_mail_ask_body, NULL, 3 * MINUTE_MS },
	[CLIENT_STATE_FINAL] = { NULL, client_mail_on_final, 10 * MINUTE_MS },
	[CLIENT_STATE_DONE] = { client_mail_end_message, NULL, 0 },
	[CLIENT_STATE_SAY_QUIT] = { say_quit, NULL, QUIT_MS },
	[CLIENT_STATE_QUIT] = { NULL, on_quit, QUIT_MS },
	[CLIENT_STATE_CLOSED] = { ask_close, NULL, 0 },
};

enum client_action client_step(struct client *c, struct client_io *io)
{
	enum client_action action = CLIENT_AGAIN;

	do {
		const struct state_row *row = &rows[c->state];

		if (row->step) {
			action = row->step(c, io);
			continue;
		}
		switch (client_take_reply(c, io)) {
		case CLIENT_TAKEN_NOTHING: action = CLIENT_NEED_INPUT; break;
		case CLIENT_TAKEN_REPLY: row->on_reply(c); break;
		case CLIENT_TAKEN_FAILURE: break;
		}
	} while (action == CLIENT_AGAIN);
	return action;
}

uint32_t client_timeout_ms(const struct client *c)
{
	return rows[c->state].timeout_ms;
}

void client_lost(struct client *c, enum client_finding finding)
{
	if (c->state == CLIENT_STATE_SAY_QUIT || c->state == CLIENT_STATE_QUIT)
		client_set_state(c, CLIENT_STATE_CLOSED);
	else if (c->state == CLIENT_STATE_DONE)
		c->closing = true; /* the verdict stands */
	else if (c->state != CLIENT_STATE_CLOSED)
		client_fail(c, finding);
}

const struct client_verdict *client_verdict(const struct client *c)
{
	return &c->verdict;
}

bool client_takes_more(const struct client *c)
{
	return !c->closing &&
	       (!c->hello.mail_max || c->messages_n < c->hello.mail_max);
}
