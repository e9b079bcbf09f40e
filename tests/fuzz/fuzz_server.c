/*
 * fuzz_server: the whole server core. The first octets choose options, answers
 * and cuts, the rest is what a client sends. Properties: the actions, the
 * replies and what is stored do not depend on how input and output are cut, and
 * the promises of smtp/server.h hold at each action.
 */

#include "base/must.h"
#include "fuzz/input.h"
#include "smtp/server.h"

#define INPUT_MAX 4096
#define TRACE_MAX (512 * 1024)

/* A session as a pump sees it, and all that happened. */
struct session {
	struct smtp_server server;
	struct smtp_io io;
	struct buf out;
	struct buf body;
	struct dots dots;
	struct buf trace; /* actions, and the text of the replies */
	uint32_t answers; /* state of the sequence that answers */
	uint32_t cuts;    /* state of the sequence that cuts; 0: no cuts */
	uint32_t questions_left;
	uint32_t commits;
	uint32_t queued;
	bool tls, authenticated, mail, body_open;
	uint32_t recipients;
	uint8_t out_bytes[SMTP_OUTPUT_MIN];
	uint8_t body_bytes[SMTP_BODY_MIN];
	uint8_t trace_bytes[TRACE_MAX];
};

static enum reply fuzz_choose(struct session *s, enum reply good,
			      enum reply bad)
{
	return input_next(&s->answers) % 4 ? good : bad;
}

/* Takes replies off `out`: each line is whole and short. */
static void fuzz_drain(struct session *s, size_t keep)
{
	while (buf_len(&s->out) > keep) {
		struct span line = buf_span(&s->out);
		size_t end = span_find(line, '\n');

		MUST(end < line.len && end >= 4 && line.p[end - 1] == '\r');
		MUST(end + 1 <= REPLY_LINE_MAX);
		line = span_head(line, end + 1);
		for (size_t i = 0; i + 2 < line.len; i++)
			MUST(line.p[i] >= ' ');
		s->queued +=
			span_starts_nocase(line, SPAN("250 2.0.0 queued as"));
		MUST(s->queued <= s->commits);
		buf_put(&s->trace, line);
		buf_consume(&s->out, line.len);
	}
}

static void fuzz_keep_body(struct session *s)
{
	buf_put(&s->trace, buf_span(&s->body));
	buf_clear(&s->body);
}

static void fuzz_forget(struct session *s)
{
	s->mail = s->body_open = false;
	s->recipients = 0;
	s->io.body = NULL;
	s->io.dots = NULL;
}

static void fuzz_auth(struct session *s)
{
	uint32_t choice = input_next(&s->answers) % 4;

	MUST(s->tls && !s->authenticated && !s->mail);
	if (choice == 0)
		smtp_server_auth_continue(&s->server, SPAN("VXNlcm5hbWU6"));
	else if (choice == 1)
		smtp_server_auth_done(&s->server, REPLY_AUTH_FAILED, SPAN(""));
	else
		smtp_server_auth_done(&s->server, REPLY_AUTH_OK, SPAN("user"));
	s->authenticated = choice > 1;
	MUST(!!smtp_server_user(&s->server)[0] == s->authenticated);
}

static void fuzz_mail(struct session *s)
{
	enum reply verdict =
		fuzz_choose(s, REPLY_SENDER_OK, REPLY_SENDER_REFUSED);

	MUST(s->tls && !s->mail);
	MUST(s->authenticated || !s->server.options->require_auth);
	MUST(s->server.mail.path.len <= ADDRESS_PATH_MAX);
	s->mail = verdict == REPLY_SENDER_OK;
	smtp_server_checked(&s->server, verdict);
}

static void fuzz_rcpt(struct session *s)
{
	enum reply verdict =
		fuzz_choose(s, REPLY_RECIPIENT_OK, REPLY_RECIPIENT_REFUSED);

	MUST(s->mail && !s->body_open && s->server.rcpt.path.len);
	s->recipients += verdict == REPLY_RECIPIENT_OK;
	smtp_server_checked(&s->server, verdict);
}

static void fuzz_open(struct session *s)
{
	static const struct smtp_message_facts facts = { .id = "id" };
	enum reply verdict = fuzz_choose(s, REPLY_OK, REPLY_SPOOL_FULL);

	MUST(s->mail && s->recipients && !s->body_open);
	if (verdict == REPLY_OK) {
		buf_clear(&s->body);
		s->body_open = true;
		s->io.body = &s->body;
		s->io.dots = &s->dots;
	}
	smtp_server_body_opened(&s->server, verdict, &facts);
}

static void fuzz_commit(struct session *s)
{
	MUST(s->body_open && s->recipients);
	fuzz_keep_body(s);
	if (fuzz_choose(s, REPLY_OK, REPLY_SPOOL_ERROR) == REPLY_OK) {
		fuzz_forget(s);
		s->commits++;
		smtp_server_committed(&s->server);
	} else {
		smtp_server_commit_failed(&s->server, REPLY_SPOOL_ERROR);
	}
}

static void fuzz_tls(struct session *s)
{
	MUST(!s->tls && !s->io.in.len);
	s->tls = true;
	smtp_server_tls_started(&s->server, "TLSv1.3",
				"TLS_AES_128_GCM_SHA256");
}

static void fuzz_store(struct session *s)
{
	MUST(s->body_open && buf_len(&s->body));
	fuzz_keep_body(s);
	smtp_server_body_stored(&s->server,
				fuzz_choose(s, REPLY_OK, REPLY_SPOOL_ERROR));
}

/* Answers a question, or ends the session instead. */
static void fuzz_answer(struct session *s, enum smtp_action action)
{
	if (!s->questions_left && action != SMTP_COMMIT) {
		smtp_server_end(&s->server, REPLY_SHUTTING_DOWN);
		return;
	}
	s->questions_left -= !!s->questions_left;
	switch (action) {
	case SMTP_START_TLS: fuzz_tls(s); break;
	case SMTP_AUTH_STEP: fuzz_auth(s); break;
	case SMTP_CHECK_MAIL: fuzz_mail(s); break;
	case SMTP_CHECK_RCPT: fuzz_rcpt(s); break;
	case SMTP_OPEN_BODY: fuzz_open(s); break;
	case SMTP_STORE_BODY: fuzz_store(s); break;
	case SMTP_COMMIT: fuzz_commit(s); break;
	case SMTP_NEED_INPUT:
	case SMTP_NEED_OUTPUT:
	case SMTP_DISCARD:
	case SMTP_CLOSE: MUST(false);
	}
}

static bool fuzz_feed(struct session *s, size_t *left)
{
	size_t n = *left;

	if (!n)
		return false;
	if (s->cuts && n > 1)
		n = 1 + input_next(&s->cuts) % (n < 30 ? n : 30);
	*left -= n;
	s->io.in.len += n;
	return true;
}

static void fuzz_run(struct session *s, struct span in)
{
	size_t left = in.len;

	s->io.in = span_head(in, 0);
	for (;;) {
		enum smtp_action action = smtp_server_step(&s->server, &s->io);

		if (s->cuts && input_next(&s->cuts) % 2)
			fuzz_drain(s, 0);
		if (action == SMTP_NEED_INPUT) {
			if (!fuzz_feed(s, &left))
				break;
			continue;
		}
		fuzz_drain(s, action == SMTP_NEED_OUTPUT ? s->out.cap / 2 : 0);
		if (action == SMTP_NEED_OUTPUT)
			continue;
		buf_printf(&s->trace, "action %d\n", (int)action);
		if (action == SMTP_CLOSE)
			break;
		if (action != SMTP_DISCARD) {
			fuzz_answer(s, action);
			continue;
		}
		MUST(s->mail);
		fuzz_forget(s);
	}
	fuzz_drain(s, 0);
	MUST(s->queued == s->commits);
	MUST(!s->trace.overflowed);
	MUST(smtp_server_between_messages(&s->server) == !s->mail);
}

static void fuzz_start(struct session *s,
		       const struct smtp_server_options *options,
		       uint32_t answers, uint32_t cuts)
{
	buf_init(&s->out, s->out_bytes, sizeof(s->out_bytes));
	buf_init(&s->body, s->body_bytes, sizeof(s->body_bytes));
	buf_init(&s->trace, s->trace_bytes, sizeof(s->trace_bytes));
	s->io = (struct smtp_io){ .out = &s->out };
	s->answers = answers;
	s->questions_left = answers % 64 + 1;
	s->cuts = cuts;
	s->commits = s->queued = s->recipients = 0;
	s->tls = s->authenticated = s->mail = s->body_open = false;
	smtp_server_init(&s->server, options,
			 (struct smtp_peer){ .address = "192.0.2.1" });
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct session whole, cut;
	struct span in = span_of(data, size);
	uint8_t choice = input_byte(&in);
	uint32_t answers = input_byte(&in);
	uint32_t cuts = input_byte(&in) + 1U;
	const struct smtp_server_options options = {
		.hostname = "mx.example.org",
		.auth_mechanisms = "PLAIN LOGIN",
		.starttls = !(choice & 2),
		.require_auth = choice & 4,
		.bare_lf = choice & 8 ? SMTP_BARE_LF_NORMALISE :
					SMTP_BARE_LF_REFUSE,
		.message_max = choice & 16 ? 40 : 100000,
		.header_max = choice & 32 ? 30 : 10000,
		.text_line_max = 998,
		.recipients_max = 2,
		.messages_max = choice & 64 ? 2 : 0,
		.hops_max = 2,
		.errors_max = choice & 128 ? 3 : 0,
		.idle_commands_max = choice & 128 ? 3 : 0,
	};

	if (in.len > INPUT_MAX)
		return 0;
	fuzz_start(&whole, &options, answers, 0);
	fuzz_start(&cut, &options, answers, cuts);
	if (!(choice & 1)) {
		fuzz_tls(&whole);
		fuzz_tls(&cut);
	}
	fuzz_run(&whole, in);
	fuzz_run(&cut, in);
	/* What is pipelined behind STARTTLS can only be seen when it is there. */
	MUST(choice & 1 ||
	     span_equal(buf_span(&whole.trace), buf_span(&cut.trace)));
	return 0;
}
