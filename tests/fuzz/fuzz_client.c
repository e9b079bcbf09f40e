/*
 * The client against a peer that says anything. Properties: it never breaks an
 * assertion; it accepts nothing after a bad reply; any split of the peer's
 * bytes gives the same words and the same verdicts, unless the talk ended with
 * bytes that came too early (REPLY_UNASKED, TLS_CLEAR_BYTES, 421): that alone
 * depends on when they came, and then all before it is the same.
 *
 * The first byte chooses how the pump answers, the second seeds the splits; the
 * rest is what the peer says, turn by turn.
 */
#include "smtp/client.h"

#include <stdlib.h>
#include <string.h>

#define TURN      1 /* byte that no peer sends */
#define STEPS_MAX 100000
#define DIARY_MAX (256 * 1024)

struct run {
	struct client client;
	struct client_options options;
	struct client_message message;
	struct dots dots;
	uint32_t messages_left;
	uint32_t recipients_n;
	uint32_t given_n;
	bool closed;
	bool early;       /* bytes came before they were due */
	size_t certain_n; /* length of the diary before that */
	struct buf out;
	struct buf diary; /* words and verdicts in their order */
	uint8_t out_bytes[2 * CLIENT_COMMAND_MAX];
	uint8_t diary_bytes[DIARY_MAX];
};

#define BODY "Subject: x\r\n\r\n.\r\n..\r\nend"

static void run_init(struct run *r, uint8_t choice)
{
	r->options.hostname = "relay.example";
	r->options.security = choice & 1 ? CLIENT_STARTTLS : CLIENT_CLEAR;
	r->options.auth_plain = choice & 64 ? "AGEAYg==" : NULL;
	r->options.no_chunking = choice & 128;
	r->message = (struct client_message){
		.reverse_path = SPAN("a@example.org"),
		.envid = SPAN("e"),
		.body_bytes = sizeof(BODY) - 1,
		.eight_bit = choice & 2,
		.dots = choice & 4 ? &r->dots : NULL,
	};
	dots_clear(&r->dots);
	dots_add(&r->dots, 14);
	dots_add(&r->dots, 17);
	r->recipients_n = choice & 8 ? CLIENT_RECIPIENTS_MAX + 1 : 2;
	r->messages_left = 1 + (choice >> 4 & 3);
	r->given_n = 0;
	r->closed = false;
	r->early = false;
	buf_init(&r->out, r->out_bytes, sizeof(r->out_bytes));
	buf_init(&r->diary, r->diary_bytes, sizeof(r->diary_bytes));
	client_init(&r->client, &r->options);
}

static void run_flush(struct run *r)
{
	buf_put(&r->diary, buf_span(&r->out));
	buf_clear(&r->out);
}

/* Whether a verdict may be due to when bytes came, not to what they are. */
static bool came_early(const struct run *r)
{
	enum client_finding finding = client_verdict(&r->client)->finding;

	return finding == CLIENT_FOUND_REPLY_UNASKED ||
	       finding == CLIENT_FOUND_TLS_CLEAR_BYTES ||
	       finding == CLIENT_FOUND_CLOSING ||
	       !client_body_done(&r->client.body);
}

static void run_verdict(struct run *r, char what)
{
	const struct client_verdict *v = client_verdict(&r->client);

	run_flush(r);
	if (!r->early && came_early(r)) {
		r->early = true;
		r->certain_n = buf_len(&r->diary);
	}
	buf_printf(&r->diary, "[%c %u %d %d %d]", what, r->client.index,
		   (int)v->outcome, (int)v->finding, v->reply.code);
	buf_put(&r->diary, client_reply_text(&v->reply));
	if (v->outcome == CLIENT_ACCEPTED && v->reply.code / 100 != 2)
		abort();
}

static void run_body(struct run *r)
{
	struct client_body *b = client_body(&r->client);

	run_flush(r);
	while (!client_body_done(b)) {
		struct span block = span_tail(SPAN(BODY), client_body_at(b));
		struct client_piece piece = client_body_next(b, block);
		struct span part = piece.literal;

		if (!part.len)
			part = span_head(block, piece.stored);
		if (!part.len)
			abort();
		buf_put(&r->diary, part);
		client_body_sent(b, part);
	}
	client_body_is_sent(&r->client);
}

static void run_recipient(struct run *r)
{
	struct client_recipient recipient = { SPAN("b@example.net"),
					      SPAN("NEVER"),
					      { 0 } };

	if (r->given_n++ < r->recipients_n)
		client_recipient(&r->client, &recipient, &r->out);
	else
		client_recipients_end(&r->client);
}

static void run_ready(struct run *r)
{
	if (!r->messages_left-- || !client_takes_more(&r->client)) {
		r->messages_left = 0;
		client_quit(&r->client);
		return;
	}
	r->given_n = 0;
	client_message(&r->client, &r->message);
}

/* One step; false when it waits for input or has closed. */
static bool run_step(struct run *r, struct span *in)
{
	struct client_io io = { *in, &r->out };
	enum client_action action = client_step(&r->client, &io);

	*in = io.in;
	switch (action) {
	case CLIENT_NEED_INPUT: run_flush(r); return false;
	case CLIENT_NEED_OUTPUT: run_flush(r); return true;
	case CLIENT_START_TLS:
		run_flush(r);
		client_tls_started(&r->client);
		return true;
	case CLIENT_READY: run_ready(r); return true;
	case CLIENT_NEXT_RECIPIENT: run_recipient(r); return true;
	case CLIENT_RECIPIENT_REFUSED: run_verdict(r, 'R'); return true;
	case CLIENT_SEND_BODY: run_body(r); return true;
	case CLIENT_MESSAGE_DONE: run_verdict(r, 'M'); return true;
	case CLIENT_CLOSE:
		run_verdict(r, 'C');
		r->closed = true;
		return false;
	case CLIENT_AGAIN: break;
	}
	abort();
}

static void run_steps(struct run *r, struct span *in)
{
	uint32_t steps = 0;

	while (run_step(r, in))
		if (++steps > STEPS_MAX)
			abort();
}

/* Shows what the peer says in one turn, in pieces; seed 0: all at once. */
static void run_turn(struct run *r, struct span *in, size_t turn, uint32_t seed)
{
	size_t hidden = turn;

	while (hidden && !r->closed) {
		size_t piece = seed ? 1 + (seed >> 16) % 9 : hidden;
		struct span part;

		hidden -= piece < hidden ? piece : hidden;
		part = span_head(*in, in->len - hidden);
		run_steps(r, &part);
		*in = (struct span){ part.p, part.len + hidden };
		seed = seed ? (seed * 1103515245u + 12345u) | 1 : 0;
	}
}

/*
 * TURN ends a turn: the peer goes on only when the client waits for it. What
 * is left of a turn stays in front of the next one.
 */
static void run_all(struct run *r, const uint8_t *p, size_t len, uint32_t seed)
{
	static uint8_t heard[64 * 1024];
	struct span in = { heard, 0 };

	run_steps(r, &in);
	while (len && !r->closed) {
		size_t turn = span_find(span_of(p, len), TURN);

		if (in.len + turn > sizeof(heard))
			break;
		memmove(heard, in.p, in.len);
		memcpy(heard + in.len, p, turn);
		in = span_of(heard, in.len + turn);
		run_turn(r, &in, turn, seed);
		p += turn + (turn < len);
		len -= turn + (turn < len);
	}
	if (!r->closed) {
		in.len = 0;
		client_lost(&r->client, CLIENT_FOUND_CONNECTION_LOST);
		run_steps(r, &in);
	}
}

/* The part of the diary that cannot depend on when bytes came. */
static struct span certain(const struct run *r)
{
	return span_head(buf_span(&r->diary),
			 r->early ? r->certain_n : buf_len(&r->diary));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct run whole, split;
	struct span a, b;
	size_t n;

	if (size < 2)
		return 0;
	run_init(&whole, data[0]);
	run_init(&split, data[0]);
	run_all(&whole, data + 2, size - 2, 0);
	run_all(&split, data + 2, size - 2, data[1] * 65537u + 1);
	a = certain(&whole);
	b = certain(&split);
	n = a.len < b.len ? a.len : b.len;
	if (!span_equal(span_head(a, n), span_head(b, n)))
		abort();
	if (!whole.early && !split.early && a.len != b.len)
		abort();
	return 0;
}
