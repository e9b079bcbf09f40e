/*
 * The server's contract with its pump: which calls may come when, what a
 * payload says, when a session may end. Conversations are in tests/talk.
 */
#include "smtp/server.h"

#include "aborts.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const struct smtp_server_options usual = {
	.hostname = "mx.example.org",
	.auth_mechanisms = "PLAIN LOGIN",
	.starttls = true,
	.message_max = 10000,
	.header_max = 1000,
	.text_line_max = 998,
	.recipients_max = 10,
	.hops_max = 10,
};

static const struct smtp_message_facts facts = { "id", 1000000000 };

/* A session whose input is given in one piece. */
struct fixture {
	struct smtp_server s;
	struct smtp_io io;
	struct buf out, body;
	struct dots dots;
	uint8_t out_bytes[SMTP_OUTPUT_MIN];
	uint8_t body_bytes[SMTP_BODY_MIN];
};

static void fixture_init(struct fixture *f)
{
	*f = (struct fixture){ 0 };
	buf_init(&f->out, f->out_bytes, sizeof(f->out_bytes));
	buf_init(&f->body, f->body_bytes, sizeof(f->body_bytes));
	f->io = (struct smtp_io){ .out = &f->out,
				  .body = &f->body,
				  .dots = &f->dots };
	smtp_server_init(&f->s, &usual,
			 (struct smtp_peer){ .address = "192.0.2.1" });
	smtp_server_tls_started(&f->s, "TLSv1.3", "TLS_AES_128_GCM_SHA256");
}

static enum smtp_action say(struct fixture *f, const char *text)
{
	f->io.in = span_str(text);
	buf_clear(&f->out);
	return smtp_server_step(&f->s, &f->io);
}

static enum smtp_action on(struct fixture *f)
{
	buf_clear(&f->out);
	return smtp_server_step(&f->s, &f->io);
}

static bool said(const struct fixture *f, const char *line)
{
	return span_equal(buf_span(&f->out), span_str(line));
}

#define MAIL "EHLO client.example\r\nMAIL FROM:<a@example.org> SIZE=7\r\n"
#define RCPT "RCPT TO:<b@example.net> NOTIFY=NEVER\r\n"

/* Up to where the server wants to know about a recipient. */
static void to_rcpt(struct fixture *f)
{
	fixture_init(f);
	assert_int_equal(say(f, MAIL RCPT "DATA\r\nhello\r\n.\r\n"),
			 SMTP_CHECK_MAIL);
	smtp_server_checked(&f->s, REPLY_SENDER_OK);
	assert_int_equal(on(f), SMTP_CHECK_RCPT);
}

static void to_open(struct fixture *f)
{
	to_rcpt(f);
	smtp_server_checked(&f->s, REPLY_RECIPIENT_OK);
	assert_int_equal(on(f), SMTP_OPEN_BODY);
}

static void to_commit(struct fixture *f)
{
	to_open(f);
	smtp_server_body_opened(&f->s, REPLY_OK, &facts);
	assert_int_equal(on(f), SMTP_COMMIT);
}

static void stays_small(void **state)
{
	assert_true(sizeof(struct smtp_server) < 900);
}

static void hands_over_payloads(void **state)
{
	struct fixture f;

	fixture_init(&f);
	assert_int_equal(say(&f, MAIL RCPT), SMTP_CHECK_MAIL);
	assert_true(span_equal(f.s.mail.path, SPAN("a@example.org")));
	assert_true(f.s.mail.size == 7);
	assert_string_equal(smtp_server_helo(&f.s), "client.example");
	smtp_server_checked(&f.s, REPLY_SENDER_OK);
	assert_int_equal(on(&f), SMTP_CHECK_RCPT);
	assert_true(span_equal(f.s.rcpt.path, SPAN("b@example.net")));
	assert_true(span_equal(f.s.rcpt.notify, SPAN("NEVER")));
}

static void hands_over_auth(void **state)
{
	struct fixture f;

	fixture_init(&f);
	assert_int_equal(say(&f, "EHLO c\r\nAUTH plain\r\nabc=\r\n"),
			 SMTP_AUTH_STEP);
	assert_true(span_equal(f.s.auth.mechanism, SPAN("plain")));
	assert_false(f.s.auth.has_response);
	smtp_server_auth_continue(&f.s, SPAN("Zm9v"));
	assert_int_equal(on(&f), SMTP_AUTH_STEP);
	assert_true(said(&f, "334 Zm9v\r\n"));
	assert_true(smtp_server_in_auth(&f.s));
	assert_int_equal(f.s.auth.mechanism.len, 0);
	assert_true(f.s.auth.has_response);
	assert_true(span_equal(f.s.auth.response, SPAN("abc=")));
	assert_string_equal(smtp_server_user(&f.s), "");
	smtp_server_auth_done(&f.s, REPLY_AUTH_OK, SPAN("jo"));
	assert_int_equal(on(&f), SMTP_NEED_INPUT);
	assert_string_equal(smtp_server_user(&f.s), "jo");

	fixture_init(&f);
	assert_int_equal(say(&f, "EHLO c\r\nAUTH LOGIN =\r\n*\r\n"),
			 SMTP_AUTH_STEP);
	assert_true(f.s.auth.has_response);
	assert_int_equal(f.s.auth.response.len, 0);
	smtp_server_auth_continue(&f.s, SPAN("Zm9v"));
	assert_true(smtp_server_in_auth(&f.s));
	assert_int_equal(on(&f), SMTP_NEED_INPUT);
	assert_false(smtp_server_in_auth(&f.s));
}

/* Nothing behind a question is looked at before its answer. */
static void reads_nothing_while_it_waits(void **state)
{
	struct fixture f;

	to_commit(&f);
	assert_true(said(&f, "354 end data with <CRLF>.<CRLF>\r\n"));
	f.io.in = SPAN("QUIT\r\n");
	smtp_server_committed(&f.s);
	assert_int_equal(on(&f), SMTP_CLOSE);
	assert_true(span_starts_nocase(buf_span(&f.out),
				       SPAN("250 2.0.0 queued as id\r\n221 ")));
}

/* P1: whatever else is done, 250 comes behind smtp_server_committed alone. */
static void a_failed_commit_is_no_250(void **state)
{
	struct fixture f;

	to_commit(&f);
	smtp_server_commit_failed(&f.s, REPLY_SPOOL_ERROR);
	assert_int_equal(on(&f), SMTP_DISCARD);
	assert_true(span_starts_nocase(buf_span(&f.out), SPAN("451 ")));
	assert_int_equal(smtp_server_last_reply(&f.s), REPLY_SPOOL_ERROR);
	assert_int_equal(on(&f), SMTP_NEED_INPUT);
	assert_int_equal(buf_len(&f.out), 0);
}

static void step_while_waiting(void)
{
	struct fixture f;

	to_rcpt(&f);
	(void)smtp_server_step(&f.s, &f.io);
}

static void commit_too_early(void)
{
	struct fixture f;

	to_open(&f);
	smtp_server_committed(&f.s);
}

static void commit_twice(void)
{
	struct fixture f;

	to_commit(&f);
	smtp_server_committed(&f.s);
	smtp_server_committed(&f.s);
}

static void end_while_committing(void)
{
	struct fixture f;

	to_commit(&f);
	smtp_server_end(&f.s, REPLY_TIMED_OUT);
}

static void refuse_with_success(void)
{
	struct fixture f;

	to_rcpt(&f);
	smtp_server_checked(&f.s, REPLY_SENDER_OK);
}

static void answer_nothing(void)
{
	struct fixture f;

	fixture_init(&f);
	smtp_server_auth_done(&f.s, REPLY_AUTH_OK, SPAN("jo"));
}

static void open_without_emptying(void)
{
	struct fixture f;

	to_open(&f);
	buf_put_str(&f.body, "left over");
	smtp_server_body_opened(&f.s, REPLY_OK, &facts);
	(void)on(&f);
}

static void small_out(void)
{
	struct fixture f;

	fixture_init(&f);
	f.out.cap = SMTP_OUTPUT_MIN - 1;
	(void)on(&f);
}

static void forbids_what_breaks_the_contract(void **state)
{
	assert_true(aborts(step_while_waiting));
	assert_true(aborts(commit_too_early));
	assert_true(aborts(commit_twice));
	assert_true(aborts(end_while_committing));
	assert_true(aborts(refuse_with_success));
	assert_true(aborts(answer_nothing));
	assert_true(aborts(open_without_emptying));
	assert_true(aborts(small_out));
}

static void ends_while_waiting(void **state)
{
	struct fixture f;

	to_open(&f);
	smtp_server_end(&f.s, REPLY_TIMED_OUT);
	assert_int_equal(on(&f), SMTP_DISCARD);
	assert_true(span_starts_nocase(buf_span(&f.out), SPAN("421 4.4.2 ")));
	assert_int_equal(on(&f), SMTP_CLOSE);
	assert_int_equal(on(&f), SMTP_CLOSE);
	assert_int_equal(buf_len(&f.out), 0);
}

/* A durable message is acknowledged, also when the session ends right then. */
static void ends_behind_a_verdict(void **state)
{
	struct fixture f;

	to_commit(&f);
	smtp_server_committed(&f.s);
	smtp_server_end(&f.s, REPLY_SHUTTING_DOWN);
	assert_int_equal(on(&f), SMTP_CLOSE);
	assert_true(span_starts_nocase(buf_span(&f.out),
				       SPAN("250 2.0.0 queued as id\r\n421 ")));
}

static void says_nothing_into_a_handshake(void **state)
{
	struct fixture f;

	fixture_init(&f);
	smtp_server_init(&f.s, &usual,
			 (struct smtp_peer){ .address = "192.0.2.1" });
	assert_int_equal(say(&f, "STARTTLS\r\n"), SMTP_START_TLS);
	smtp_server_end(&f.s, REPLY_TIMED_OUT);
	assert_int_equal(on(&f), SMTP_CLOSE);
	assert_int_equal(buf_len(&f.out), 0);
}

static void wants_output_drained(void **state)
{
	struct fixture f;

	fixture_init(&f);
	f.io.in = SPAN("NOOP\r\n");
	for (int i = 0; i <= SMTP_OUTPUT_STEP_MAX; i++)
		buf_put_byte(&f.out, 'x');
	assert_int_equal(smtp_server_step(&f.s, &f.io), SMTP_NEED_OUTPUT);
	assert_int_equal(f.io.in.len, 6);
	buf_consume(&f.out, 1);
	assert_int_equal(smtp_server_step(&f.s, &f.io), SMTP_NEED_OUTPUT);
	assert_int_equal(f.io.in.len, 6);
	buf_clear(&f.out);
	assert_int_equal(smtp_server_step(&f.s, &f.io), SMTP_NEED_INPUT);
}

/* A turn never writes more than it was promised room for. */
static void a_turn_is_bounded(void **state)
{
	struct smtp_server_options o = usual;
	char hostname[ADDRESS_DOMAIN_MAX + 1];
	struct fixture f;

	memset(hostname, 'h', sizeof(hostname) - 1);
	hostname[sizeof(hostname) - 1] = 0;
	o.hostname = hostname;
	o.messages_max = UINT32_MAX;
	o.recipients_max = UINT32_MAX;
	o.message_max = UINT64_MAX;
	fixture_init(&f);
	smtp_server_init(&f.s, &o, (struct smtp_peer){ .address = "::1" });
	smtp_server_tls_started(&f.s, "TLSv1.3", "x");
	assert_int_equal(say(&f, ""), SMTP_NEED_INPUT);
	assert_int_equal(say(&f, "EHLO client.example\r\n"), SMTP_NEED_INPUT);
	assert_true(buf_len(&f.out) < SMTP_OUTPUT_STEP_MAX);
}

static void tells_where_it_is(void **state)
{
	struct fixture f;

	fixture_init(&f);
	assert_true(smtp_server_between_messages(&f.s));
	assert_false(smtp_server_in_body(&f.s));
	to_open(&f);
	assert_false(smtp_server_between_messages(&f.s));
	f.io.in = SPAN("half");
	smtp_server_body_opened(&f.s, REPLY_OK, &facts);
	assert_int_equal(on(&f), SMTP_NEED_INPUT);
	assert_true(smtp_server_in_body(&f.s));
	to_commit(&f);
	smtp_server_committed(&f.s);
	assert_true(smtp_server_between_messages(&f.s));
	assert_false(smtp_server_in_body(&f.s));
}

static void tells_what_is_left_of_a_chunk(void **state)
{
	struct fixture f;

	fixture_init(&f);
	assert_int_equal(smtp_server_chunk_left(&f.s), 0);
	(void)say(&f, "EHLO c\r\nBDAT 100\r\n12345");
	assert_int_equal(smtp_server_chunk_left(&f.s), 95); /* refused */
	f.io.in = SPAN("67890");
	assert_int_equal(on(&f), SMTP_NEED_INPUT);
	assert_int_equal(smtp_server_chunk_left(&f.s), 90);
	to_open(&f);
	assert_int_equal(smtp_server_chunk_left(&f.s), 0);
}

/* In counted framing, behind the header section, and while nothing is wrong. */
static void tells_what_may_be_stored_unscanned(void **state)
{
	struct fixture f;
	size_t stored;

	to_rcpt(&f);
	smtp_server_checked(&f.s, REPLY_RECIPIENT_OK);
	f.io.in = SPAN("BDAT 100\r\nDate: d\r\n");
	assert_int_equal(on(&f), SMTP_OPEN_BODY);
	smtp_server_body_opened(&f.s, REPLY_OK, &facts);
	assert_int_equal(on(&f), SMTP_NEED_INPUT);
	assert_int_equal(smtp_server_unscanned(&f.s), 0);
	assert_int_equal(say(&f, "\r\nbody\r"), SMTP_NEED_INPUT);
	assert_int_equal(smtp_server_unscanned(&f.s), 84);
	assert_int_equal(smtp_server_held(&f.s), 1);
	assert_int_equal(say(&f, "\nx"), SMTP_NEED_INPUT);
	assert_int_equal(smtp_server_unscanned(&f.s), 82);
	assert_int_equal(smtp_server_held(&f.s), 0);
	stored = buf_len(&f.body);
	smtp_server_body_taken(&f.s, stored);
	buf_clear(&f.body);
	assert_int_equal(say(&f, "\r\n.dot\r\n"), SMTP_NEED_INPUT);
	assert_int_equal(f.dots.at[f.dots.n - 1], stored + 2);
	smtp_server_body_failed(&f.s, REPLY_SPOOL_FULL);
	assert_int_equal(smtp_server_unscanned(&f.s), 0);
	assert_int_equal(smtp_server_chunk_left(&f.s), 74);
	to_open(&f);
	smtp_server_body_opened(&f.s, REPLY_OK, &facts);
	f.io.in = SPAN("Date: d\r\n\r\nbody\r\n");
	assert_int_equal(on(&f), SMTP_NEED_INPUT);
	assert_int_equal(smtp_server_unscanned(&f.s), 0);
}

static void counts(void **state)
{
	struct fixture f;
	struct smtp_counts c;

	fixture_init(&f);
	(void)say(&f, "EHLO c\r\nXXX\r\nRCPT TO:<a@b>\r\nNOOP\r\n");
	c = smtp_server_take_counts(&f.s);
	assert_int_equal(c.commands, 4);
	assert_int_equal(c.replies_5xx, 2);
	assert_int_equal(c.replies_4xx, 0);
	c = smtp_server_take_counts(&f.s);
	assert_int_equal(c.commands, 0);
}

static void says_why_a_body_was_refused(void **state)
{
	struct fixture f;

	to_open(&f);
	f.io.in = SPAN("bare\nlf\r\n.\r\n");
	smtp_server_body_opened(&f.s, REPLY_OK, &facts);
	assert_int_equal(on(&f), SMTP_DISCARD);
	assert_int_equal(smtp_server_last_reply(&f.s), REPLY_BARE_LF);
}

static void writes_the_trace_first(void **state)
{
	struct fixture f;

	to_commit(&f);
	assert_true(span_starts_nocase(
		buf_span(&f.body),
		SPAN("Received: from client.example ([192.0.2.1])\r\n"
		     "\tby mx.example.org with ESMTPS id id "
		     "(TLS version=TLSv1.3\r\n"
		     "\tcipher=TLS_AES_128_GCM_SHA256);\r\n")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stays_small),
		cmocka_unit_test(hands_over_payloads),
		cmocka_unit_test(hands_over_auth),
		cmocka_unit_test(reads_nothing_while_it_waits),
		cmocka_unit_test(a_failed_commit_is_no_250),
		cmocka_unit_test(forbids_what_breaks_the_contract),
		cmocka_unit_test(ends_while_waiting),
		cmocka_unit_test(ends_behind_a_verdict),
		cmocka_unit_test(says_nothing_into_a_handshake),
		cmocka_unit_test(wants_output_drained),
		cmocka_unit_test(a_turn_is_bounded),
		cmocka_unit_test(tells_where_it_is),
		cmocka_unit_test(tells_what_is_left_of_a_chunk),
		cmocka_unit_test(tells_what_may_be_stored_unscanned),
		cmocka_unit_test(counts),
		cmocka_unit_test(says_why_a_body_was_refused),
		cmocka_unit_test(writes_the_trace_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
