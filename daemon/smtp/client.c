/*
 * GREETING -> SAY_HELLO -> HELLO -> IDLE -> (RSET ->) ENVELOPE
 *                ^  \-> SAY_STARTTLS -> STARTTLS -> TLS -\
 *                \--------------------------------------/
 * ENVELOPE -> SAY_BODY -> (DATA ->) BODY -> FINAL -> DONE -> IDLE
 * IDLE -> SAY_QUIT -> QUIT -> CLOSED; any state -> (DONE ->) CLOSED
 *
 * One row per state: SAY_X is a function that writes a command and moves on to
 * X; X is a function that judges the reply. Those that wait for the pump's
 * answer say what is wanted.
 *
 * I1  Replies are counted: bytes that come while none is owed are a finding
 *     (REPLY_UNASKED), so an answer injected ahead of its command is not taken
 *     for the answer. The one exception is 421, which may come at any time.
 * I2  ACCEPTED is set in one place, by a 2xx in FINAL, and FINAL is reached
 *     only through client_body_is_sent with the plan of the body done (P1).
 * I3  MAIL is written only when secure or security is CLIENT_CLEAR (P3).
 * I4  Replies in ENVELOPE are taken before commands are written, and need no
 *     room in `out`: neither side can block the other (RFC 2920 3.1).
 */
#include "smtp/client.h"

#include "base/must.h"

enum client_state {
	CLIENT_STATE_GREETING,
	CLIENT_STATE_SAY_HELLO,
	CLIENT_STATE_HELLO,
	CLIENT_STATE_SAY_HELO, /* a peer that knows no EHLO */
	CLIENT_STATE_HELO,
	CLIENT_STATE_SAY_STARTTLS,
	CLIENT_STATE_STARTTLS,
	CLIENT_STATE_TLS,
	CLIENT_STATE_IDLE,
	CLIENT_STATE_SAY_RSET,
	CLIENT_STATE_RSET,
	CLIENT_STATE_ENVELOPE,
	CLIENT_STATE_SAY_BODY,
	CLIENT_STATE_DATA,
	CLIENT_STATE_BODY,
	CLIENT_STATE_FINAL,
	CLIENT_STATE_DONE,
	CLIENT_STATE_SAY_QUIT,
	CLIENT_STATE_QUIT,
	CLIENT_STATE_CLOSED,
	CLIENT_STATES
};

#define MINUTE_MS 60000u
#define QUIT_MS   10000u

static void set_state(struct client *c, enum client_state state)
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
static void finish(struct client *c, bool closing)
{
	c->closing = c->closing || closing;
	set_state(c, c->message ? CLIENT_STATE_DONE : CLIENT_STATE_CLOSED);
}

static void fail(struct client *c, enum client_finding finding)
{
	client_verdict_of(&c->verdict, finding, CLIENT_DEFERRED);
	finish(c, true);
}

static void refuse(struct client *c, enum client_finding finding)
{
	client_verdict_of(&c->verdict, finding, CLIENT_REFUSED);
	finish(c, false);
}

/* The reply just read becomes the verdict. */
static void judge(struct client *c)
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
	judge(c);
	c->verdict.outcome = CLIENT_DEFERRED;
	c->verdict.finding = finding;
	finish(c, true);
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

enum taken { TAKEN_NOTHING, TAKEN_REPLY, TAKEN_FAILURE };

/*
 * Takes the reply that is owed. A 421 ends everything wherever it comes (RFC
 * 5321 3.8), so no state needs to know it. Lines of EHLO's answer behind the
 * first are read on the way.
 */
static enum taken take_reply(struct client *c, struct client_io *io)
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
		return TAKEN_NOTHING;
	if (result != CLIENT_REPLY_END) {
		fail(c, finding_of(result));
		return TAKEN_FAILURE;
	}
	if (c->reply.code == 421) {
		fail_by_reply(c, CLIENT_FOUND_CLOSING);
		return TAKEN_FAILURE;
	}
	return TAKEN_REPLY;
}

/* I1: what lies in `in` while no reply is owed. True: that ended the talk. */
static bool unasked(struct client *c, struct client_io *io)
{
	if (!io->in.len)
		return false;
	(void)take_reply(c, io);
	if (c->verdict.finding != CLIENT_FOUND_CLOSING)
		fail(c, CLIENT_FOUND_REPLY_UNASKED);
	return true;
}

/* READY: a command may be written. While replies are owed, input is theirs. */
static enum client_action may_say(struct client *c, struct client_io *io,
				  bool owed)
{
	if (!owed && unasked(c, io))
		return CLIENT_AGAIN;
	if (buf_room(io->out) < CLIENT_COMMAND_MAX)
		return CLIENT_NEED_OUTPUT;
	return CLIENT_READY;
}

static enum client_action say(struct client *c, struct client_io *io,
			      const char *verb, const char *argument)
{
	enum client_action may = may_say(c, io, false);

	if (may != CLIENT_READY)
		return may;
	buf_put_str(io->out, verb);
	buf_put_str(io->out, argument);
	buf_put(io->out, SPAN("\r\n"));
	MUST(!io->out->overflowed);
	set_state(c, (enum client_state)(c->state + 1)); /* SAY_X -> X */
	return CLIENT_AGAIN;
}

static void on_greeting(struct client *c)
{
	switch (c->reply.code / 100) {
	case 2: set_state(c, CLIENT_STATE_SAY_HELLO); break;
	case 3: fail(c, CLIENT_FOUND_WRONG_CODE); break;
	default: fail_by_reply(c, CLIENT_FOUND_SESSION_REFUSED); break;
	}
}

static enum client_action say_hello(struct client *c, struct client_io *io)
{
	c->hello = (struct client_hello){ 0 };
	return say(c, io, "EHLO ", c->options->hostname);
}

/* I3: TLS comes before anything else, and before any other way to go on. */
static void on_hello_accepted(struct client *c)
{
	if (c->options->security == CLIENT_CLEAR || c->secure)
		set_state(c, CLIENT_STATE_IDLE);
	else if (c->hello.starttls)
		set_state(c, CLIENT_STATE_SAY_STARTTLS);
	else
		fail(c, CLIENT_FOUND_TLS_NOT_OFFERED);
}

static void on_hello(struct client *c)
{
	int class = c->reply.code / 100;

	if (class == 2)
		on_hello_accepted(c);
	else if (class == 3)
		fail(c, CLIENT_FOUND_WRONG_CODE);
	else if (class == 5 && c->options->security == CLIENT_CLEAR)
		set_state(c, CLIENT_STATE_SAY_HELO);
	else
		fail_by_reply(c, CLIENT_FOUND_SESSION_REFUSED);
}

static enum client_action say_helo(struct client *c, struct client_io *io)
{
	return say(c, io, "HELO ", c->options->hostname);
}

static void on_helo(struct client *c)
{
	c->hello = (struct client_hello){ 0 };
	if (c->reply.code / 100 == 2)
		set_state(c, CLIENT_STATE_IDLE);
	else
		fail_by_reply(c, CLIENT_FOUND_SESSION_REFUSED);
}

static enum client_action say_starttls(struct client *c, struct client_io *io)
{
	return say(c, io, "STARTTLS", "");
}

static void on_starttls(struct client *c)
{
	if (c->reply.code == 220)
		set_state(c, CLIENT_STATE_TLS);
	else
		fail_by_reply(c, CLIENT_FOUND_TLS_REFUSED);
}

/* What lies behind the 220 was said in clear and might pass for a reply. */
static enum client_action ask_tls(struct client *c, struct client_io *io)
{
	if (!io->in.len)
		return CLIENT_START_TLS;
	fail(c, CLIENT_FOUND_TLS_CLEAR_BYTES);
	return CLIENT_AGAIN;
}

void client_tls_started(struct client *c)
{
	MUST(c->state == CLIENT_STATE_TLS);
	c->secure = true;
	set_state(c, CLIENT_STATE_SAY_HELLO);
}

static enum client_action ask_message(struct client *c, struct client_io *io)
{
	return unasked(c, io) ? CLIENT_AGAIN : CLIENT_READY;
}

/* What the peer lacks for this message, or NONE. */
static enum client_finding obstacle(const struct client *c)
{
	const struct client_message *m = c->message;
	const struct client_hello *h = &c->hello;

	if (!client_argument_fits(m->reverse_path) ||
	    !client_argument_fits(m->envid) || !client_argument_fits(m->ret))
		return CLIENT_FOUND_BAD_SENDER;
	if (m->smtputf8 && !h->smtputf8)
		return CLIENT_FOUND_NEEDS_SMTPUTF8;
	if (m->eight_bit && !h->eight_bit)
		return CLIENT_FOUND_NEEDS_8BITMIME;
	if (h->size_max && m->body_bytes > h->size_max)
		return CLIENT_FOUND_TOO_BIG;
	return CLIENT_FOUND_NONE;
}

void client_message(struct client *c, const struct client_message *message)
{
	enum client_finding found;

	MUST(c->state == CLIENT_STATE_IDLE && client_takes_more(c));
	c->message = message;
	c->messages_n++;
	c->mail_sent = c->mail_refused = c->recipients_ended = false;
	c->recipients_n = c->answered_n = c->accepted_n = 0;
	c->body = (struct client_body){ 0 };
	found = obstacle(c);
	if (found != CLIENT_FOUND_NONE)
		refuse(c, found);
	else
		set_state(c, c->tainted ? CLIENT_STATE_SAY_RSET :
					  CLIENT_STATE_ENVELOPE);
}

void client_quit(struct client *c)
{
	MUST(c->state == CLIENT_STATE_IDLE);
	set_state(c, CLIENT_STATE_SAY_QUIT);
}

static enum client_action say_rset(struct client *c, struct client_io *io)
{
	return say(c, io, "RSET", "");
}

static void on_rset(struct client *c)
{
	if (c->reply.code / 100 != 2) {
		fail(c, CLIENT_FOUND_WRONG_CODE);
		return;
	}
	c->tainted = false;
	set_state(c, CLIENT_STATE_ENVELOPE);
}

static void put_parameter(struct buf *out, const char *name, struct span value)
{
	if (!value.len)
		return;
	buf_put_byte(out, ' ');
	buf_put_str(out, name);
	buf_put(out, value);
}

static void put_mail(struct client *c, struct buf *out)
{
	const struct client_message *m = c->message;

	MUST(c->secure || c->options->security == CLIENT_CLEAR); /* I3 */
	buf_put_str(out, "MAIL FROM:<");
	buf_put(out, m->reverse_path);
	buf_put_byte(out, '>');
	if (c->hello.size) {
		buf_put_str(out, " SIZE=");
		buf_put_u64(out, m->body_bytes);
	}
	if (m->eight_bit)
		buf_put_str(out, " BODY=8BITMIME");
	if (m->smtputf8)
		buf_put_str(out, " SMTPUTF8");
	if (c->hello.dsn) {
		put_parameter(out, "RET=", m->ret);
		put_parameter(out, "ENVID=", m->envid);
	}
	buf_put(out, SPAN("\r\n"));
	MUST(!out->overflowed);
	c->mail_sent = true;
}

bool client_argument_fits(struct span s)
{
	if (s.len > CLIENT_ARGUMENT_MAX)
		return false;
	for (size_t i = 0; i < s.len; i++)
		if (s.p[i] < ' ' || s.p[i] == 0x7f)
			return false;
	return true;
}

void client_recipient(struct client *c, const struct client_recipient *r,
		      struct buf *out)
{
	MUST(c->state == CLIENT_STATE_ENVELOPE && !c->recipients_ended);
	MUST(client_argument_fits(r->forward_path) &&
	     client_argument_fits(r->notify) && client_argument_fits(r->orcpt));
	buf_put_str(out, "RCPT TO:<");
	buf_put(out, r->forward_path);
	buf_put_byte(out, '>');
	if (c->hello.dsn) {
		put_parameter(out, "NOTIFY=", r->notify);
		put_parameter(out, "ORCPT=", r->orcpt);
	}
	buf_put(out, SPAN("\r\n"));
	MUST(!out->overflowed);
	c->recipients_n++;
	if (c->recipients_n == CLIENT_RECIPIENTS_MAX ||
	    c->recipients_n == c->hello.recipients_max)
		c->recipients_ended = true;
}

void client_recipients_end(struct client *c)
{
	MUST(c->state == CLIENT_STATE_ENVELOPE);
	c->recipients_ended = true;
}

static uint16_t envelope_owed(const struct client *c)
{
	return (uint16_t)(c->mail_sent + c->recipients_n - c->answered_n);
}

/*
 * A reply to MAIL or RCPT; after a refused MAIL those to RCPT say nothing new.
 * 552 to RCPT means too many recipients, come again (RFC 5321 4.5.3.1.10).
 */
static enum client_action on_envelope_reply(struct client *c)
{
	uint16_t number = c->answered_n++;
	bool refused = false;

	if (c->reply.code / 100 == 3) {
		fail(c, CLIENT_FOUND_WRONG_CODE);
		return CLIENT_AGAIN;
	}
	if (!number) {
		judge(c);
		c->mail_refused = c->verdict.outcome != CLIENT_ACCEPTED;
		c->recipients_ended = c->recipients_ended || c->mail_refused;
		c->tainted = !c->mail_refused;
	} else if (!c->mail_refused) {
		judge(c);
		refused = c->verdict.outcome != CLIENT_ACCEPTED;
		if (c->reply.code == 552)
			c->verdict.outcome = CLIENT_DEFERRED;
		if (!refused)
			c->accepted_n++;
		c->index = (uint16_t)(number - 1);
	}
	client_reply_clear(&c->reply);
	return refused ? CLIENT_RECIPIENT_REFUSED : CLIENT_AGAIN;
}

static void end_envelope(struct client *c)
{
	if (!c->mail_refused && !c->recipients_n)
		refuse(c, CLIENT_FOUND_BAD_RECIPIENT); /* none could be given */
	else if (c->accepted_n)
		set_state(c, CLIENT_STATE_SAY_BODY);
	else
		finish(c, false);
}

static enum client_action step_envelope(struct client *c, struct client_io *io)
{
	bool owed = envelope_owed(c);
	enum client_action may;

	if (owed) { /* I4 */
		switch (take_reply(c, io)) {
		case TAKEN_REPLY: return on_envelope_reply(c);
		case TAKEN_FAILURE: return CLIENT_AGAIN;
		case TAKEN_NOTHING: break;
		}
		if (!c->hello.pipelining || c->recipients_ended)
			return CLIENT_NEED_INPUT;
	} else if (c->recipients_ended) {
		end_envelope(c);
		return CLIENT_AGAIN;
	}
	may = may_say(c, io, owed);
	if (may != CLIENT_READY)
		return may;
	if (c->mail_sent)
		return CLIENT_NEXT_RECIPIENT;
	put_mail(c, io->out);
	return CLIENT_AGAIN;
}

/* BDAT in one chunk where it is offered: no end mark, no dots, no 354. */
static enum client_action say_body(struct client *c, struct client_io *io)
{
	enum client_action may = may_say(c, io, false);

	if (may != CLIENT_READY)
		return may;
	client_body_init(&c->body,
			 c->hello.chunking ? CLIENT_COUNTED : CLIENT_DOTTED,
			 c->message->body_bytes, c->message->dots);
	if (!c->hello.chunking) {
		buf_put(io->out, SPAN("DATA\r\n"));
		set_state(c, CLIENT_STATE_DATA);
		return CLIENT_AGAIN;
	}
	buf_put_str(io->out, "BDAT ");
	buf_put_u64(io->out, c->message->body_bytes);
	buf_put_str(io->out, " LAST\r\n");
	set_state(c, CLIENT_STATE_BODY);
	return CLIENT_AGAIN;
}

static void on_data(struct client *c)
{
	int class = c->reply.code / 100;

	if (class == 3) {
		set_state(c, CLIENT_STATE_BODY);
	} else if (class == 2) {
		fail(c, CLIENT_FOUND_WRONG_CODE);
	} else {
		judge(c);
		finish(c, false);
	}
}

/*
 * A refusal may come before the body is through; then the peer may never read
 * the rest. It is believed, and the connection is given up.
 */
static enum client_action ask_body(struct client *c, struct client_io *io)
{
	if (!io->in.len)
		return CLIENT_SEND_BODY;
	switch (take_reply(c, io)) {
	case TAKEN_NOTHING: return CLIENT_SEND_BODY;
	case TAKEN_FAILURE: return CLIENT_AGAIN;
	case TAKEN_REPLY: break;
	}
	if (c->reply.code < 400) {
		fail(c, CLIENT_FOUND_REPLY_UNASKED);
	} else {
		judge(c);
		finish(c, true);
	}
	return CLIENT_AGAIN;
}

struct client_body *client_body(struct client *c)
{
	MUST(c->state == CLIENT_STATE_BODY);
	return &c->body;
}

void client_body_is_sent(struct client *c)
{
	MUST(c->state == CLIENT_STATE_BODY && client_body_done(&c->body));
	c->state = CLIENT_STATE_FINAL; /* keeps a reply half read */
}

static void on_final(struct client *c)
{
	MUST(client_body_done(&c->body)); /* I2 */
	if (c->reply.code / 100 == 3) {
		fail(c, CLIENT_FOUND_WRONG_CODE);
		return;
	}
	judge(c);
	/* A failed BDAT leaves the transaction open (RFC 3030 2). */
	c->tainted = c->verdict.outcome != CLIENT_ACCEPTED;
	finish(c, false);
}

static enum client_action end_message(struct client *c, struct client_io *io)
{
	(void)io;
	c->message = NULL;
	set_state(c, c->closing ? CLIENT_STATE_CLOSED : CLIENT_STATE_IDLE);
	return CLIENT_MESSAGE_DONE;
}

static enum client_action say_quit(struct client *c, struct client_io *io)
{
	return say(c, io, "QUIT", "");
}

static void on_quit(struct client *c)
{
	set_state(c, CLIENT_STATE_CLOSED);
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
	[CLIENT_STATE_IDLE] = { ask_message, NULL, 0 },
	[CLIENT_STATE_SAY_RSET] = { say_rset, NULL, 5 * MINUTE_MS },
	[CLIENT_STATE_RSET] = { NULL, on_rset, 5 * MINUTE_MS },
	[CLIENT_STATE_ENVELOPE] = { step_envelope, NULL, 5 * MINUTE_MS },
	[CLIENT_STATE_SAY_BODY] = { say_body, NULL, 5 * MINUTE_MS },
	[CLIENT_STATE_DATA] = { NULL, on_data, 2 * MINUTE_MS },
	[CLIENT_STATE_BODY] = { ask_body, NULL, 3 * MINUTE_MS },
	[CLIENT_STATE_FINAL] = { NULL, on_final, 10 * MINUTE_MS },
	[CLIENT_STATE_DONE] = { end_message, NULL, 0 },
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
		switch (take_reply(c, io)) {
		case TAKEN_NOTHING: action = CLIENT_NEED_INPUT; break;
		case TAKEN_REPLY: row->on_reply(c); break;
		case TAKEN_FAILURE: break;
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
		set_state(c, CLIENT_STATE_CLOSED);
	else if (c->state == CLIENT_STATE_DONE)
		c->closing = true; /* the verdict stands */
	else if (c->state != CLIENT_STATE_CLOSED)
		fail(c, finding);
}

const struct client_verdict *client_verdict(const struct client *c)
{
	return &c->verdict;
}

uint16_t client_recipient_index(const struct client *c)
{
	return c->index;
}

bool client_takes_more(const struct client *c)
{
	return !c->closing &&
	       (!c->hello.mail_max || c->messages_n < c->hello.mail_max);
}
