#include "sink/guest_smtp.h"

#include "base/must.h"
#include "smtp/command.h"

#define RECIPIENTS_MAX 1000

static const struct sink_options *options(const struct host *h)
{
	return h->sink->options;
}

static void say(struct guest *g, const char *text)
{
	buf_put_str(&g->stream.say, text);
}

void guest_smtp_greet(struct host *h, struct guest *g)
{
	(void)h;
	say(g, g->service == SINK_LMTP ? "220 sink.invalid LMTP\r\n" :
					 "220 sink.invalid ESMTP\r\n");
}

static bool is_lmtp(const struct guest *g)
{
	return g->service == SINK_LMTP;
}

/* -- refusals --------------------------------------------------------------------- */

/* The code that the dice choose, or 0: none. */
static uint16_t choose(struct host *h, const struct sink_refusals *r)
{
	double at;

	if (!r->n)
		return 0;
	at = dice_unit(&h->dice);
	for (uint32_t i = 0; i < r->n; i++) {
		if (at < r->at[i].share)
			return r->at[i].code;
		at -= r->at[i].share;
	}
	return 0;
}

static void say_refusal(struct guest *g, uint16_t code)
{
	buf_printf(&g->stream.say, "%u %u.0.0 the sink was told to refuse\r\n",
		   code, code / 100u);
}

/* -- a message's end ---------------------------------------------------------------- */

static void forget_message(struct guest *g)
{
	g->has_mail = g->chunked = false;
	g->recipients_n = 0;
	g->recipients_sum = 0;
}

static bool is_nth(uint64_t number, uint64_t every)
{
	return every && number % every == 0;
}

static void keep_account(struct host *h, struct guest *g)
{
	const struct sink_options *o = options(h);
	struct sink *sink = h->sink;
	uint64_t number = atomic_fetch_add(&sink->accounted, 1) + 1;
	struct account_line line = {
		.id = g->intake.id,
		.hash = hash_value(&g->intake.hash),
		.bytes = g->intake.hashed,
		.recipients = g->recipients_n,
		.recipients_sum = g->recipients_sum,
		.fate = ACCOUNT_GOT,
	};
	bool good = true;

	h->counts.hash += line.hash;
	if (!g->intake.known || is_nth(number, o->lose))
		return;
	if (is_nth(number, o->change))
		line.hash ^= 1;
	h->wrote = true;
	good = account_put(sink->account, &line);
	if (is_nth(number, o->twice))
		good = account_put(sink->account, &line) && good;
	if (!good)
		atomic_store(&sink->account_failed, true);
}

void guest_smtp_reply(struct guest *g)
{
	g->replies_left = is_lmtp(g) ? g->recipients_n : 1;
	g->state = GUEST_REPLYING;
}

static void accept_message(struct host *h, struct guest *g)
{
	h->counts.messages++;
	h->counts.recipients += g->recipients_n;
	h->counts.bytes += g->intake.bytes;
	if (h->sink->account)
		keep_account(h, g);
}

static void end_message(struct host *h, struct guest *g)
{
	const struct sink_options *o = options(h);

	if (dice_share(&h->dice, o->drop)) {
		h->counts.dropped++;
		g->state = GUEST_DEAD;
		return;
	}
	g->final_code = choose(h, &o->refuse_message);
	if (g->final_code)
		h->counts.refused_messages++;
	else
		accept_message(h, g);
	if (!o->delay_ms) {
		guest_smtp_reply(g);
		return;
	}
	g->state = GUEST_DELAYED;
	wheel_set(&h->wheel, &g->timer, h->now_ms + o->delay_ms);
}

static bool step_replying(struct guest *g)
{
	while (g->replies_left && buf_room(&g->stream.say) >= GUEST_REPLY_MAX) {
		if (g->final_code)
			say_refusal(g, g->final_code);
		else
			say(g, "250 2.0.0 ok\r\n");
		g->replies_left--;
	}
	if (g->replies_left)
		return false;
	forget_message(g);
	g->state = GUEST_COMMANDS;
	return true;
}

/* -- commands ------------------------------------------------------------------------- */

static void on_hello(struct host *h, struct guest *g)
{
	const struct sink_options *o = options(h);

	forget_message(g);
	say(g, "250-sink.invalid\r\n");
	if (!o->no_pipelining)
		say(g, "250-PIPELINING\r\n");
	if (!o->no_chunking)
		say(g, "250-CHUNKING\r\n");
	if (!o->no_8bitmime)
		say(g, "250-8BITMIME\r\n");
	if (!o->no_smtputf8)
		say(g, "250-SMTPUTF8\r\n");
	if (h->sink->creds && !g->encrypted)
		say(g, "250-STARTTLS\r\n");
	if (o->auth)
		say(g, "250-AUTH PLAIN\r\n");
	say(g, "250-DSN\r\n250 ENHANCEDSTATUSCODES\r\n");
}

static void on_mail(struct guest *g, struct span argument)
{
	struct command_mail mail;
	struct command_fault fault;

	if (g->has_mail) {
		say(g, "503 5.5.1 one message at a time\r\n");
		return;
	}
	if (!command_parse_mail(argument, &mail, &fault)) {
		reply_put(&g->stream.say, fault.reply, fault.detail);
		return;
	}
	g->has_mail = true;
	say(g, "250 2.1.0 ok\r\n");
}

static void on_rcpt(struct host *h, struct guest *g, struct span argument)
{
	struct command_rcpt rcpt;
	struct command_fault fault;
	uint16_t code;

	if (!g->has_mail || g->chunked) {
		say(g, "503 5.5.1 MAIL first\r\n");
		return;
	}
	if (!command_parse_rcpt(argument, true, &rcpt, &fault)) {
		reply_put(&g->stream.say, fault.reply, fault.detail);
		return;
	}
	if (g->recipients_n == RECIPIENTS_MAX) {
		say(g, "452 4.5.3 too many recipients\r\n");
		return;
	}
	code = choose(h, &options(h)->refuse_recipient);
	if (code) {
		h->counts.refused_recipients++;
		say_refusal(g, code);
		return;
	}
	g->recipients_n++;
	if (h->sink->account)
		g->recipients_sum += account_recipient(rcpt.path);
	say(g, "250 2.1.5 ok\r\n");
}

static void on_data(struct host *h, struct guest *g)
{
	if (!g->has_mail || !g->recipients_n || g->chunked) {
		say(g, "503 5.5.1 MAIL and RCPT first\r\n");
		return;
	}
	say(g, "354 go on\r\n");
	intake_begin(&g->intake, h->sink->account);
	g->state = GUEST_DATA;
}

/* The octets come in any case, and must be taken (RFC 3030 2). */
static void on_bdat(struct host *h, struct guest *g, struct span argument)
{
	struct command_bdat bdat;
	struct command_fault fault;

	if (options(h)->no_chunking ||
	    !command_parse_bdat(argument, &bdat, &fault)) {
		/* Where commands go on nobody knows any more. */
		say(g, "501 5.5.4 no such chunk\r\n");
		g->state = GUEST_SHUTTING;
		return;
	}
	g->chunk_good = g->has_mail && g->recipients_n;
	if (g->chunk_good && !g->chunked)
		intake_begin(&g->intake, h->sink->account);
	g->chunked = g->chunk_good;
	g->chunk_left = bdat.size;
	g->last_chunk = bdat.last;
	g->state = GUEST_CHUNK;
}

static void on_auth(struct host *h, struct guest *g, struct span argument)
{
	struct span mechanism = command_take_word(&argument);

	if (!options(h)->auth || !span_equal_nocase(mechanism, SPAN("PLAIN"))) {
		say(g, "504 5.5.4 no such mechanism\r\n");
		return;
	}
	g->asked_auth = !argument.len;
	say(g, argument.len ? "235 2.7.0 ok\r\n" : "334 \r\n");
}

static void on_starttls(struct host *h, struct guest *g)
{
	if (!h->sink->creds || g->encrypted) {
		say(g, "502 5.5.1 not offered\r\n");
		return;
	}
	say(g, "220 2.0.0 go on\r\n");
	forget_message(g);
	g->starting_tls = true;
}

static void on_quit(struct guest *g)
{
	say(g, "221 2.0.0 bye\r\n");
	g->said_quit = true;
	g->state = GUEST_SHUTTING;
}

/* The verbs with an argument. */
static void on_command(struct host *h, struct guest *g, const struct command *c)
{
	switch ((int)c->verb) {
	case COMMAND_EHLO:
	case COMMAND_HELO: on_hello(h, g); return;
	case COMMAND_MAIL: on_mail(g, c->argument); return;
	case COMMAND_RCPT: on_rcpt(h, g, c->argument); return;
	case COMMAND_BDAT: on_bdat(h, g, c->argument); return;
	case COMMAND_AUTH: on_auth(h, g, c->argument); return;
	case COMMAND_DATA: on_data(h, g); return;
	case COMMAND_STARTTLS: on_starttls(h, g); return;
	case COMMAND_QUIT: on_quit(g); return;
	case COMMAND_RSET: forget_message(g); break;
	case COMMAND_NOOP: break;
	case COMMAND_VRFY: say(g, "252 2.5.1 send and see\r\n"); return;
	default: say(g, "500 5.5.1 what?\r\n"); return;
	}
	say(g, "250 2.0.0 ok\r\n");
}

static bool step_command(struct host *h, struct guest *g, struct span *in)
{
	struct span text;
	struct command c;

	if (buf_room(&g->stream.say) < GUEST_REPLY_MAX)
		return false;
	switch (line_take(&g->line, in, GUEST_LINE_MAX, &text)) {
	case LINE_NONE: return false;
	case LINE_OK: break;
	case LINE_BARE_LF:
	case LINE_CONTROL:
	case LINE_TOO_LONG: say(g, "500 5.5.2 no line\r\n"); return true;
	}
	if (g->asked_auth) {
		g->asked_auth = false;
		say(g, "235 2.7.0 ok\r\n");
		return true;
	}
	c = command_parse(text);
	if (is_lmtp(g) && span_starts_nocase(text, SPAN("LHLO ")))
		c.verb = COMMAND_EHLO;
	else if (is_lmtp(g) &&
		 (c.verb == COMMAND_EHLO || c.verb == COMMAND_HELO))
		c.verb = COMMAND_UNKNOWN; /* RFC 2033 4.1 */
	on_command(h, g, &c);
	return true;
}

static bool step_chunk(struct host *h, struct guest *g, struct span *in)
{
	size_t n = in->len < g->chunk_left ? in->len : (size_t)g->chunk_left;

	if (g->chunk_good)
		intake_counted(&g->intake, span_head(*in, n));
	*in = span_tail(*in, n);
	g->chunk_left -= n;
	if (g->chunk_left)
		return false;
	g->state = GUEST_COMMANDS;
	if (!g->chunk_good)
		say(g, "503 5.5.1 MAIL and RCPT first\r\n");
	else if (!g->last_chunk)
		say(g, "250 2.0.0 ok\r\n");
	else
		end_message(h, g);
	return true;
}

bool guest_smtp_step(struct host *h, struct guest *g, struct span *in)
{
	bool again = true;

	while (again && !g->starting_tls) {
		switch (g->state) {
		case GUEST_COMMANDS: again = step_command(h, g, in); break;
		case GUEST_DATA:
			again = intake_stuffed(&g->intake, in);
			if (again)
				end_message(h, g);
			break;
		case GUEST_CHUNK: again = step_chunk(h, g, in); break;
		case GUEST_REPLYING: again = step_replying(g); break;
		case GUEST_SHUTTING:
		case GUEST_DEAD: return true; /* the pump goes on there */
		case GUEST_DELAYED:
		case GUEST_HANDSHAKE: return false;
		}
	}
	return false;
}
