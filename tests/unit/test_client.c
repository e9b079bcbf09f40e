/* The client's side of SMTP: what it says, what it believes. */
#include "smtp/client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* A pump without a socket: it answers by fixed rules and keeps a diary. */
struct pump {
	struct client client;
	struct client_options options;
	struct client_message message;
	const char *body;
	uint32_t recipients_n; /* of each message */
	uint32_t messages_left;
	uint32_t given_n; /* recipients of the open message */
	struct buf out;
	struct buf in;
	struct buf said;  /* all that was sent */
	struct buf diary; /* what was decided, one word each */
	uint8_t out_bytes[2 * CLIENT_COMMAND_MAX];
	uint8_t in_bytes[16 * 1024];
	uint8_t said_bytes[64 * 1024];
	uint8_t diary_bytes[16 * 1024];
};

static void pump_init(struct pump *p, enum client_security security)
{
	memset(p, 0, sizeof(*p));
	p->options = (struct client_options){ .hostname = "relay.example",
					      .security = security };
	p->message.reverse_path = SPAN("a@example.org");
	p->body = "Subject: x\r\n\r\n.dot\r\n";
	p->recipients_n = 1;
	p->messages_left = 1;
	buf_init(&p->out, p->out_bytes, sizeof(p->out_bytes));
	buf_init(&p->in, p->in_bytes, sizeof(p->in_bytes));
	buf_init(&p->said, p->said_bytes, sizeof(p->said_bytes));
	buf_init(&p->diary, p->diary_bytes, sizeof(p->diary_bytes));
	client_init(&p->client, &p->options);
}

static void pump_flush(struct pump *p)
{
	buf_put(&p->said, buf_span(&p->out));
	buf_clear(&p->out);
}

static void pump_verdict(struct pump *p, const char *what)
{
	static const char *const outcomes[] = { "accepted", "deferred",
						"refused" };
	const struct client_verdict *v = client_verdict(&p->client);

	buf_printf(&p->diary, "%s:%s:", what, outcomes[v->outcome]);
	if (v->finding != CLIENT_FOUND_NONE)
		buf_put_str(&p->diary, client_finding_name(v->finding));
	else
		buf_put_u64(&p->diary, v->reply.code);
	buf_put_byte(&p->diary, ' ');
}

static void pump_body(struct pump *p)
{
	struct client_body *body = client_body(&p->client);
	struct span stored = span_str(p->body);

	pump_flush(p);
	while (!client_body_done(body)) {
		struct span block = span_tail(stored, client_body_at(body));
		struct client_piece piece = client_body_next(body, block);
		struct span part = piece.literal.len ?
					   piece.literal :
					   span_head(block, piece.stored);

		assert_true(part.len);
		buf_put(&p->said, part);
		client_body_sent(body, part);
	}
	client_body_is_sent(&p->client);
}

static void pump_recipient(struct pump *p)
{
	struct client_recipient r = { .forward_path = SPAN("b@example.net"),
				      .notify = SPAN("NEVER"),
				      .orcpt = SPAN("rfc822;b@example.net") };

	if (p->given_n++ < p->recipients_n)
		client_recipient(&p->client, &r, &p->out);
	else
		client_recipients_end(&p->client);
}

static void pump_ready(struct pump *p)
{
	if (!p->messages_left || !client_takes_more(&p->client)) {
		client_quit(&p->client);
		return;
	}
	p->messages_left--;
	p->given_n = 0;
	p->message.body_bytes = strlen(p->body);
	client_message(&p->client, &p->message);
}

/* One step and its answer; false when there is nothing left to do now. */
static bool pump_step(struct pump *p)
{
	struct client_io io = { buf_span(&p->in), &p->out };
	enum client_action action = client_step(&p->client, &io);

	buf_consume(&p->in, buf_len(&p->in) - io.in.len);
	switch (action) {
	case CLIENT_NEED_INPUT: pump_flush(p); return false;
	case CLIENT_NEED_OUTPUT: pump_flush(p); return true;
	case CLIENT_START_TLS:
		pump_flush(p);
		buf_put_str(&p->diary, "tls ");
		client_tls_started(&p->client);
		return true;
	case CLIENT_READY: pump_ready(p); return true;
	case CLIENT_NEXT_RECIPIENT: pump_recipient(p); return true;
	case CLIENT_RECIPIENT_REFUSED:
		buf_printf(&p->diary,
			   "%u:", client_recipient_index(&p->client));
		pump_verdict(p, "rcpt");
		return true;
	case CLIENT_SEND_BODY: pump_body(p); return true;
	case CLIENT_MESSAGE_DONE: pump_verdict(p, "message"); return true;
	case CLIENT_CLOSE: pump_flush(p); return false;
	case CLIENT_AGAIN: break;
	}
	fail_msg("action %d", (int)action);
	return false;
}

static void hear(struct pump *p, const char *text)
{
	buf_put_str(&p->in, text);
	assert_false(p->in.overflowed);
	while (pump_step(p))
		;
}

/* What was said since the last look. */
static void expect_said(struct pump *p, const char *text)
{
	struct span said = buf_span(&p->said);

	if (!span_equal(said, span_str(text)))
		fail_msg("said `%.*s`, wanted `%s`", (int)said.len,
			 (const char *)said.p, text);
	buf_clear(&p->said);
}

static void expect_diary(struct pump *p, const char *text)
{
	struct span diary = buf_span(&p->diary);

	if (!span_equal(diary, span_str(text)))
		fail_msg("did `%.*s`, wanted `%s`", (int)diary.len,
			 (const char *)diary.p, text);
	buf_clear(&p->diary);
}

/* Up to where MAIL is said, with these lines of EHLO. */
static void greet(struct pump *p, const char *hello)
{
	hear(p, "220-mx.example\r\n220 ESMTP\r\n");
	expect_said(p, "EHLO relay.example\r\n");
	hear(p, hello);
}

static void plain_data(void **state)
{
	struct pump p;

	pump_init(&p, CLIENT_CLEAR);
	greet(&p, "250 mx.example\r\n");
	expect_said(&p, "MAIL FROM:<a@example.org>\r\n");
	hear(&p, "250 ok\r\n");
	expect_said(&p, "RCPT TO:<b@example.net>\r\n");
	hear(&p, "250 ok\r\n");
	expect_said(&p, "DATA\r\n");
	hear(&p, "354 go\r\n");
	expect_said(&p, "Subject: x\r\n\r\n..dot\r\n.\r\n");
	expect_diary(&p, "");
	hear(&p, "250 2.0.0 queued\r\n");
	expect_diary(&p, "message:accepted:250 ");
	expect_said(&p, "QUIT\r\n");
	hear(&p, "221 bye\r\n");
	expect_diary(&p, "");
}

static void pipelined_bdat_with_parameters(void **state)
{
	struct pump p;

	pump_init(&p, CLIENT_CLEAR);
	p.recipients_n = 2;
	p.message.eight_bit = p.message.smtputf8 = true;
	p.message.ret = SPAN("HDRS");
	p.message.envid = SPAN("e+2Bv");
	greet(&p, "250-mx\r\n250-PIPELINING\r\n250-SIZE 1000\r\n"
		  "250-8BITMIME\r\n250-SMTPUTF8\r\n250-DSN\r\n"
		  "250 CHUNKING\r\n");
	expect_said(&p,
		    "MAIL FROM:<a@example.org> SIZE=20 BODY=8BITMIME SMTPUTF8"
		    " RET=HDRS ENVID=e+2Bv\r\n"
		    "RCPT TO:<b@example.net> NOTIFY=NEVER"
		    " ORCPT=rfc822;b@example.net\r\n"
		    "RCPT TO:<b@example.net> NOTIFY=NEVER"
		    " ORCPT=rfc822;b@example.net\r\n");
	hear(&p, "250 ok\r\n250 ok\r\n");
	expect_said(&p, "");
	hear(&p, "250 ok\r\n");
	expect_said(&p, "BDAT 20 LAST\r\nSubject: x\r\n\r\n.dot\r\n");
	hear(&p, "250 ok\r\n");
	expect_diary(&p, "message:accepted:250 ");
}

/* A peer that refuses BDAT might take the body for commands: it gets none. */
static void bdat_waits_for_a_recipient(void **state)
{
	struct pump p;

	pump_init(&p, CLIENT_CLEAR);
	p.body = "RSET\r\nMAIL FROM:<boss@example.org>\r\n";
	greet(&p, "250-mx\r\n250-PIPELINING\r\n250 CHUNKING\r\n");
	expect_said(&p, "MAIL FROM:<a@example.org>\r\n"
			"RCPT TO:<b@example.net>\r\n");
	hear(&p, "250 ok\r\n550 no\r\n");
	expect_diary(&p, "0:rcpt:refused:550 message:refused:550 ");
	expect_said(&p, "QUIT\r\n");
}

static void starttls_forgets_what_was_said(void **state)
{
	struct pump p;

	pump_init(&p, CLIENT_STARTTLS);
	greet(&p, "250-mx\r\n250-CHUNKING\r\n250 STARTTLS\r\n");
	expect_said(&p, "STARTTLS\r\n");
	hear(&p, "220 go\r\n");
	expect_diary(&p, "tls ");
	expect_said(&p, "EHLO relay.example\r\n");
	hear(&p, "250 mx\r\n");
	expect_said(&p, "MAIL FROM:<a@example.org>\r\n");
	hear(&p, "250 ok\r\n");
	hear(&p, "250 ok\r\n");
	expect_said(&p, "RCPT TO:<b@example.net>\r\nDATA\r\n");
}

/* P3: whatever the peer does about TLS, nothing of the message is said. */
static void no_mail_without_tls(void **state)
{
	static const struct {
		const char *hello, *starttls, *diary;
		enum client_finding finding;
	} cases[] = {
		{ "250 mx\r\n", "", "", CLIENT_FOUND_TLS_NOT_OFFERED },
		{ "502 no\r\n", "", "", CLIENT_FOUND_SESSION_REFUSED },
		{ "250-mx\r\n250 STARTTLS\r\n", "454 no\r\n", "",
		  CLIENT_FOUND_TLS_REFUSED },
		{ "250-mx\r\n250 STARTTLS\r\n", "250 ok\r\n", "",
		  CLIENT_FOUND_TLS_REFUSED },
		{ "250-mx\r\n250 STARTTLS\r\n", "220 go\r\n250 mx\r\n", "",
		  CLIENT_FOUND_TLS_CLEAR_BYTES },
		{ "250-mx\r\n250 STARTTLS\r\n", "220 go\r\n2", "",
		  CLIENT_FOUND_TLS_CLEAR_BYTES },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct pump p;

		pump_init(&p, CLIENT_STARTTLS);
		greet(&p, cases[i].hello);
		if (cases[i].starttls[0]) {
			expect_said(&p, "STARTTLS\r\n");
			hear(&p, cases[i].starttls);
		}
		expect_said(&p, "");
		expect_diary(&p, "");
		assert_int_equal(client_verdict(&p.client)->finding,
				 cases[i].finding);
		assert_int_equal(client_verdict(&p.client)->outcome,
				 CLIENT_DEFERRED);
	}
}

static void helo_fallback_in_clear(void **state)
{
	struct pump p;

	pump_init(&p, CLIENT_CLEAR);
	greet(&p, "500 what\r\n");
	expect_said(&p, "HELO relay.example\r\n");
	hear(&p, "250-mx\r\n250 CHUNKING\r\n");
	expect_said(&p, "MAIL FROM:<a@example.org>\r\n");
	hear(&p, "250 ok\r\n");
	hear(&p, "250 ok\r\n");
	expect_said(&p, "RCPT TO:<b@example.net>\r\nDATA\r\n");
}

static void partial_failure(void **state)
{
	struct pump p;

	pump_init(&p, CLIENT_CLEAR);
	p.recipients_n = 4;
	greet(&p, "250-mx\r\n250 PIPELINING\r\n");
	hear(&p, "250 ok\r\n550 5.1.1 no\r\n250 ok\r\n452 4.5.3 later\r\n"
		 "552 too many\r\n");
	expect_diary(&p, "0:rcpt:refused:550 2:rcpt:deferred:452 "
			 "3:rcpt:deferred:552 ");
	hear(&p, "354 go\r\n");
	hear(&p, "250 ok\r\n");
	expect_diary(&p, "message:accepted:250 ");
}

static void all_recipients_refused(void **state)
{
	struct pump p;

	pump_init(&p, CLIENT_CLEAR);
	p.recipients_n = 2;
	p.messages_left = 2;
	greet(&p, "250-mx\r\n250 PIPELINING\r\n");
	buf_clear(&p.said);
	hear(&p, "250 ok\r\n550 no\r\n550 no\r\n");
	expect_diary(&p, "0:rcpt:refused:550 1:rcpt:refused:550 ");
	expect_said(&p, "");
	hear(&p, "503 5.5.1 nobody\r\n");
	expect_diary(&p, "message:refused:550 ");
	expect_said(&p, "RSET\r\n"); /* the peer holds the sender */
	hear(&p, "250 ok\r\n");
	hear(&p, "250 ok\r\n250 ok\r\n250 ok\r\n354 ok\r\n");
	hear(&p, "250 ok\r\n");
	expect_diary(&p, "message:accepted:250 ");
}

/* A peer that takes a body for nobody gets an empty one, and is not believed. */
static void body_for_nobody(void **state)
{
	struct pump p;

	pump_init(&p, CLIENT_CLEAR);
	p.messages_left = 2;
	greet(&p, "250-mx\r\n250 PIPELINING\r\n");
	buf_clear(&p.said);
	hear(&p, "250 ok\r\n450 later\r\n354 go\r\n");
	expect_said(&p, ".\r\n");
	hear(&p, "250 queued\r\n");
	expect_diary(&p, "0:rcpt:deferred:450 message:deferred:450 ");
	expect_said(&p, "MAIL FROM:<a@example.org>\r\n"
			"RCPT TO:<b@example.net>\r\nDATA\r\n");
}

/* Nor one that forgets that it refused the sender. */
static void body_from_nobody(void **state)
{
	struct pump p;

	pump_init(&p, CLIENT_CLEAR);
	greet(&p, "250-mx\r\n250 PIPELINING\r\n");
	buf_clear(&p.said);
	hear(&p, "451 later\r\n250 ok\r\n354 go\r\n");
	expect_diary(&p, "message:deferred:451 ");
	expect_said(&p, "");
	assert_int_equal(client_step(&p.client,
				     &(struct client_io){ SPAN(""), &p.out }),
			 CLIENT_CLOSE);
}

static void refused_mail_is_the_verdict(void **state)
{
	struct pump p;

	pump_init(&p, CLIENT_CLEAR);
	p.messages_left = 2;
	greet(&p, "250-mx\r\n250 PIPELINING\r\n");
	buf_clear(&p.said);
	hear(&p, "451 4.3.0 later\r\n503 need MAIL\r\n503 need MAIL\r\n");
	expect_diary(&p, "message:deferred:451 ");
	expect_said(&p, "MAIL FROM:<a@example.org>\r\n"
			"RCPT TO:<b@example.net>\r\nDATA\r\n");
}

static void failed_bdat_resets(void **state)
{
	struct pump p;

	pump_init(&p, CLIENT_CLEAR);
	p.messages_left = 2;
	greet(&p, "250-mx\r\n250 CHUNKING\r\n");
	hear(&p, "250 ok\r\n");
	hear(&p, "250 ok\r\n");
	buf_clear(&p.said);
	hear(&p, "554 5.6.0 no\r\n");
	expect_diary(&p, "message:refused:554 ");
	expect_said(&p, "RSET\r\n");
}

static void what_the_peer_lacks(void **state)
{
	static const struct {
		const char *hello;
		bool eight_bit, smtputf8;
		const char *diary;
	} cases[] = {
		{ "250 mx\r\n", true, false, "NEEDS_8BITMIME" },
		{ "250-mx\r\n250 8BITMIME\r\n", true, true, "NEEDS_SMTPUTF8" },
		{ "250-mx\r\n250 SIZE 19\r\n", false, false, "TOO_BIG" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct pump p;
		char diary[80];

		pump_init(&p, CLIENT_CLEAR);
		p.message.eight_bit = cases[i].eight_bit;
		p.message.smtputf8 = cases[i].smtputf8;
		greet(&p, cases[i].hello);
		snprintf(diary, sizeof(diary), "message:refused:%s ",
			 cases[i].diary);
		expect_diary(&p, diary);
		expect_said(&p, "QUIT\r\n");
	}
}

static void limits(void **state)
{
	struct pump p;

	pump_init(&p, CLIENT_CLEAR);
	p.recipients_n = 3;
	p.messages_left = 2;
	greet(&p, "250-mx\r\n250-PIPELINING\r\n"
		  "250 LIMITS RCPTMAX=2 MAILMAX=1\r\n");
	assert_int_equal(p.given_n, 2);
	hear(&p, "250 ok\r\n250 ok\r\n250 ok\r\n");
	hear(&p, "354 ok\r\n");
	buf_clear(&p.said);
	hear(&p, "250 ok\r\n");
	expect_said(&p, "QUIT\r\n");
}

/* Each is heard in place of the answer to a lone RCPT. */
static void hostile_replies(void **state)
{
	static char long_line[CLIENT_REPLY_LINE_MAX + 1];
	static char endless[CLIENT_REPLY_LINES_MAX * 8 + 1];
	const struct {
		const char *reply;
		enum client_finding finding;
	} cases[] = {
		{ "250 ok\n", CLIENT_FOUND_BARE_LF },
		{ "\n", CLIENT_FOUND_BARE_LF },
		{ "hello\r\n", CLIENT_FOUND_BAD_REPLY },
		{ "25\r\n", CLIENT_FOUND_BAD_REPLY },
		{ "650 ok\r\n", CLIENT_FOUND_BAD_REPLY },
		{ "2500 ok\r\n", CLIENT_FOUND_BAD_REPLY },
		{ "250-ok\r\n550 no\r\n", CLIENT_FOUND_BAD_REPLY },
		{ long_line, CLIENT_FOUND_LONG_LINE },
		{ endless, CLIENT_FOUND_ENDLESS_REPLY },
		{ "354 go\r\n", CLIENT_FOUND_WRONG_CODE },
		{ "421 bye\r\n", CLIENT_FOUND_CLOSING },
		{ "250 ok\r\n354 go\r\n250 ok\r\n",
		  CLIENT_FOUND_REPLY_UNASKED },
	};

	memset(long_line, '2', sizeof(long_line) - 1);
	for (size_t i = 0; i < CLIENT_REPLY_LINES_MAX; i++)
		memcpy(endless + i * 8, "250-ok\r\n", 8);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct pump p;
		char diary[80];

		pump_init(&p, CLIENT_CLEAR);
		greet(&p, "250 mx\r\n");
		hear(&p, "250 ok\r\n");
		expect_diary(&p, "");
		hear(&p, cases[i].reply);
		snprintf(diary, sizeof(diary), "message:deferred:%s ",
			 client_finding_name(cases[i].finding));
		expect_diary(&p, diary);
	}
}

/* P1: every way to end a message before its 2xx leaves it to be tried again. */
static void lost_connection_is_never_acceptance(void **state)
{
	static const char *const replies[] = { "220 mx\r\n", "250 mx\r\n",
					       "250 ok\r\n", "250 ok\r\n",
					       "354 go\r\n", "250 ok\r\n" };

	for (size_t n = 2; n < 6; n++) {
		struct pump p;

		pump_init(&p, CLIENT_CLEAR);
		for (size_t i = 0; i < n; i++)
			hear(&p, replies[i]);
		expect_diary(&p, "");
		client_lost(&p.client, CLIENT_FOUND_CONNECTION_LOST);
		hear(&p, "");
		expect_diary(&p, "message:deferred:CONNECTION_LOST ");
	}
}

static void reply_before_the_body(void **state)
{
	struct pump p;

	pump_init(&p, CLIENT_CLEAR);
	greet(&p, "250-mx\r\n250 CHUNKING\r\n");
	hear(&p, "250 ok\r\n");
	buf_clear(&p.said);
	hear(&p, "250 ok\r\n250 queued\r\n"); /* the second is a forgery */
	expect_diary(&p, "message:deferred:REPLY_UNASKED ");
	expect_said(&p, "");
}

static void refusal_within_the_body(void **state)
{
	struct pump p;
	struct client_io io = { SPAN("552 5.3.4 enough\r\n"), &p.out };

	pump_init(&p, CLIENT_CLEAR);
	greet(&p, "250 mx\r\n");
	hear(&p, "250 ok\r\n");
	hear(&p, "250 ok\r\n");
	p.body = "";
	buf_put_str(&p.in, "354 go\r\n");
	{
		struct client_io go = { buf_span(&p.in), &p.out };

		assert_int_equal(client_step(&p.client, &go), CLIENT_SEND_BODY);
	}
	assert_int_equal(client_step(&p.client, &io), CLIENT_MESSAGE_DONE);
	assert_int_equal(client_verdict(&p.client)->outcome, CLIENT_REFUSED);
	assert_int_equal(client_step(&p.client, &io), CLIENT_CLOSE);
}

static void verdict_text_is_clean(void **state)
{
	struct pump p;
	const struct client_reply *r;

	pump_init(&p, CLIENT_CLEAR);
	greet(&p, "250 mx\r\n");
	hear(&p, "550-5.7.12 no \x1b[31m\x80\r\n550 5.7.12 go away\r\n");
	r = &client_verdict(&p.client)->reply;
	assert_int_equal(r->class, 5);
	assert_int_equal(r->subject, 7);
	assert_int_equal(r->detail, 12);
	assert_true(
		span_equal(client_reply_text(r), SPAN("no ?[31m? go away")));
}

/* No address can smuggle a command. */
static void arguments_that_do_not_fit(void **state)
{
	struct pump p;

	assert_true(client_argument_fits(SPAN("\"a b\"@example.org")));
	assert_false(client_argument_fits(SPAN("a>\r\nDATA")));
	pump_init(&p, CLIENT_CLEAR);
	p.message.reverse_path = SPAN("a>\r\nRSET\r\n");
	greet(&p, "250 mx\r\n");
	expect_diary(&p, "message:refused:BAD_SENDER ");
	expect_said(&p, "QUIT\r\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_data),
		cmocka_unit_test(pipelined_bdat_with_parameters),
		cmocka_unit_test(bdat_waits_for_a_recipient),
		cmocka_unit_test(starttls_forgets_what_was_said),
		cmocka_unit_test(no_mail_without_tls),
		cmocka_unit_test(helo_fallback_in_clear),
		cmocka_unit_test(partial_failure),
		cmocka_unit_test(all_recipients_refused),
		cmocka_unit_test(body_for_nobody),
		cmocka_unit_test(body_from_nobody),
		cmocka_unit_test(refused_mail_is_the_verdict),
		cmocka_unit_test(failed_bdat_resets),
		cmocka_unit_test(what_the_peer_lacks),
		cmocka_unit_test(limits),
		cmocka_unit_test(hostile_replies),
		cmocka_unit_test(lost_connection_is_never_acceptance),
		cmocka_unit_test(reply_before_the_body),
		cmocka_unit_test(refusal_within_the_body),
		cmocka_unit_test(verdict_text_is_clean),
		cmocka_unit_test(arguments_that_do_not_fit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
