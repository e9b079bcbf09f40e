/*
 * One message: envelope, body, verdict. The states are those of client.c, and
 * so are the invariants that are cited.
 */
#include "smtp/client_inside.h"

#include "base/must.h"

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
	c->body_sent = false;
	c->recipients_n = c->answered_n = c->accepted_n = 0;
	c->body = (struct client_body){ 0 };
	found = obstacle(c);
	if (found != CLIENT_FOUND_NONE)
		client_refuse(c, found);
	else
		client_set_state(c, c->tainted ? CLIENT_STATE_SAY_RSET :
						 CLIENT_STATE_ENVELOPE);
}

enum client_action client_mail_say_rset(struct client *c, struct client_io *io)
{
	return client_say(c, io, "RSET", "");
}

void client_mail_on_rset(struct client *c)
{
	if (c->reply.code / 100 != 2) {
		client_fail(c, CLIENT_FOUND_WRONG_CODE);
		return;
	}
	c->tainted = false;
	client_set_state(c, CLIENT_STATE_ENVELOPE);
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
		client_fail(c, CLIENT_FOUND_WRONG_CODE);
		return CLIENT_AGAIN;
	}
	if (!number) {
		client_judge(c);
		c->mail_refused = c->verdict.outcome != CLIENT_ACCEPTED;
		c->recipients_ended = c->recipients_ended || c->mail_refused;
		c->tainted = !c->mail_refused;
	} else if (!c->mail_refused) {
		client_judge(c);
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
		client_refuse(
			c,
			CLIENT_FOUND_BAD_RECIPIENT); /* none could be given */
	else if (c->accepted_n)
		client_set_state(c, CLIENT_STATE_SAY_BODY);
	else
		client_finish(c, false);
}

/*
 * DATA ends the group of MAIL and RCPT (RFC 2920 3.1). Whether anybody accepts
 * is not known then: see client_mail_step_data. BDAT waits until it is: a peer
 * that refuses it and does not swallow the body (RFC 3030 2) would take what a
 * customer wrote there for our commands.
 */
static bool data_follows_at_once(const struct client *c)
{
	return c->hello.pipelining && !c->hello.chunking && c->recipients_n &&
	       !c->mail_refused;
}

enum client_action client_mail_step_envelope(struct client *c,
					     struct client_io *io)
{
	bool owed = envelope_owed(c);
	enum client_action may;

	if (owed) { /* I4 */
		switch (client_take_reply(c, io)) {
		case CLIENT_TAKEN_REPLY: return on_envelope_reply(c);
		case CLIENT_TAKEN_FAILURE: return CLIENT_AGAIN;
		case CLIENT_TAKEN_NOTHING: break;
		}
		if (c->recipients_ended && data_follows_at_once(c))
			return client_mail_say_body(c, io);
		if (!c->hello.pipelining || c->recipients_ended)
			return CLIENT_NEED_INPUT;
	} else if (c->recipients_ended) {
		end_envelope(c);
		return CLIENT_AGAIN;
	}
	may = client_may_say(c, io, owed);
	if (may != CLIENT_READY)
		return may;
	if (c->mail_sent)
		return CLIENT_NEXT_RECIPIENT;
	put_mail(c, io->out);
	return CLIENT_AGAIN;
}

/* BDAT in one chunk where it is offered: no end mark, no dots, no 354. */
enum client_action client_mail_say_body(struct client *c, struct client_io *io)
{
	enum client_action may = client_may_say(c, io, envelope_owed(c));

	if (may != CLIENT_READY)
		return may;
	client_body_init(&c->body,
			 c->hello.chunking ? CLIENT_COUNTED : CLIENT_DOTTED,
			 c->message->body_bytes, c->message->dots);
	if (!c->hello.chunking) {
		buf_put(io->out, SPAN("DATA\r\n"));
		client_set_state(c, CLIENT_STATE_DATA);
		return CLIENT_AGAIN;
	}
	buf_put_str(io->out, "BDAT ");
	buf_put_u64(io->out, c->message->body_bytes);
	buf_put_str(io->out, " LAST\r\n");
	client_set_state(c, CLIENT_STATE_BODY);
	return CLIENT_AGAIN;
}

/*
 * Where nobody accepted, 354 is answered by a body of nothing (RFC 2920 3.1);
 * a peer that wants one behind a refused MAIL might even deliver that.
 */
static void on_go_ahead(struct client *c)
{
	if (c->mail_refused) {
		client_finish(c, true);
		return;
	}
	if (!c->accepted_n)
		client_body_init(&c->body, CLIENT_DOTTED, 0, NULL);
	client_set_state(c, CLIENT_STATE_BODY);
}

static void on_data(struct client *c)
{
	switch (c->reply.code / 100) {
	case 2: client_fail(c, CLIENT_FOUND_WRONG_CODE); return;
	case 3: on_go_ahead(c); return;
	default: break;
	}
	if (c->accepted_n)
		client_judge(c);
	client_finish(c, false);
}

enum client_action client_mail_step_data(struct client *c, struct client_io *io)
{
	switch (client_take_reply(c, io)) {
	case CLIENT_TAKEN_NOTHING: return CLIENT_NEED_INPUT;
	case CLIENT_TAKEN_FAILURE: return CLIENT_AGAIN;
	case CLIENT_TAKEN_REPLY: break;
	}
	if (envelope_owed(c))
		return on_envelope_reply(c);
	on_data(c);
	return CLIENT_AGAIN;
}

/*
 * A refusal may come before the body is through; then the peer may never read
 * the rest. It is believed, and the connection is given up.
 */
enum client_action client_mail_ask_body(struct client *c, struct client_io *io)
{
	if (!io->in.len)
		return CLIENT_SEND_BODY;
	switch (client_take_reply(c, io)) {
	case CLIENT_TAKEN_NOTHING: return CLIENT_SEND_BODY;
	case CLIENT_TAKEN_FAILURE: return CLIENT_AGAIN;
	case CLIENT_TAKEN_REPLY: break;
	}
	if (c->reply.code < 400) {
		client_fail(c, CLIENT_FOUND_REPLY_UNASKED);
		return CLIENT_AGAIN;
	}
	if (c->accepted_n)
		client_judge(c);
	client_finish(c, true);
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
	c->body_sent = true;
	c->state = CLIENT_STATE_FINAL; /* keeps a reply half read */
}

/* Where nobody accepted, the verdict is that of the envelope. */
void client_mail_on_final(struct client *c)
{
	MUST(c->body_sent); /* I2 */
	if (c->reply.code / 100 == 3) {
		client_fail(c, CLIENT_FOUND_WRONG_CODE);
		return;
	}
	if (c->accepted_n)
		client_judge(c);
	/* A failed BDAT leaves the transaction open (RFC 3030 2). */
	c->tainted = c->reply.code / 100 != 2;
	client_finish(c, false);
}

enum client_action client_mail_end_message(struct client *c,
					   struct client_io *io)
{
	(void)io;
	MUST(c->verdict.outcome != CLIENT_ACCEPTED || c->body_sent); /* I2 */
	c->message = NULL;
	client_set_state(c,
			 c->closing ? CLIENT_STATE_CLOSED : CLIENT_STATE_IDLE);
	return CLIENT_MESSAGE_DONE;
}

uint16_t client_recipient_index(const struct client *c)
{
	return c->index;
}
