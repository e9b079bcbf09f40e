/* The client that logs in, and the one that does without extensions. */
#include "smtp/client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define PLAIN "AGEAYg=="

struct talk {
	struct client client;
	struct client_options options;
	struct client_message message;
	struct buf out;
	uint8_t out_bytes[2 * CLIENT_COMMAND_MAX];
};

static void talk_init(struct talk *t, enum client_security security)
{
	memset(t, 0, sizeof(*t));
	t->options = (struct client_options){ .hostname = "load.example",
					      .security = security,
					      .auth_plain = PLAIN };
	t->message =
		(struct client_message){ .reverse_path = SPAN("a@b.example"),
					 .body_bytes = 4 };
	buf_init(&t->out, t->out_bytes, sizeof(t->out_bytes));
	client_init(&t->client, &t->options);
}

/* The peer says that; what the client says then is `said`. */
static enum client_action hear(struct talk *t, const char *text,
			       const char *said)
{
	struct client_io io = { span_str(text), &t->out };
	enum client_action action = client_step(&t->client, &io);

	assert_int_equal(io.in.len, 0);
	assert_int_equal(buf_len(&t->out), strlen(said));
	assert_memory_equal(buf_span(&t->out).p, said, strlen(said));
	buf_clear(&t->out);
	return action;
}

static void gives_up(struct talk *t, const char *text,
		     enum client_finding finding)
{
	assert_int_equal(hear(t, text, ""), CLIENT_CLOSE);
	assert_int_equal(client_verdict(&t->client)->finding, finding);
}

static void logs_in_before_mail(void **state)
{
	struct talk t;

	talk_init(&t, CLIENT_CLEAR);
	assert_int_equal(hear(&t, "220 hello\r\n", "EHLO load.example\r\n"),
			 CLIENT_NEED_INPUT);
	assert_int_equal(hear(&t, "250-x\r\n250 AUTH LOGIN plain\r\n",
			      "AUTH PLAIN " PLAIN "\r\n"),
			 CLIENT_NEED_INPUT);
	assert_int_equal(hear(&t, "235 2.7.0 ok\r\n", ""), CLIENT_READY);
}

/* P3: an AUTH that was offered in clear is not believed. */
static void says_nothing_before_starttls(void **state)
{
	struct talk t;

	talk_init(&t, CLIENT_STARTTLS);
	(void)hear(&t, "220 hello\r\n", "EHLO load.example\r\n");
	assert_int_equal(hear(&t, "250-x\r\n250-AUTH PLAIN\r\n250 STARTTLS\r\n",
			      "STARTTLS\r\n"),
			 CLIENT_NEED_INPUT);
	assert_int_equal(hear(&t, "220 go\r\n", ""), CLIENT_START_TLS);
	client_tls_started(&t.client);
	assert_int_equal(hear(&t, "", "EHLO load.example\r\n"),
			 CLIENT_NEED_INPUT);
	gives_up(&t, "250 x\r\n", CLIENT_FOUND_AUTH_NOT_OFFERED);
}

static void gives_up_without_auth(void **state)
{
	static const char *const answers[] = { "250 x\r\n",
					       "250-x\r\n250 AUTH LOGIN\r\n",
					       "250-x\r\n250 AUTHPLAIN\r\n" };

	for (size_t i = 0; i < sizeof(answers) / sizeof(*answers); i++) {
		struct talk t;

		talk_init(&t, CLIENT_CLEAR);
		(void)hear(&t, "220 hello\r\n", "EHLO load.example\r\n");
		gives_up(&t, answers[i], CLIENT_FOUND_AUTH_NOT_OFFERED);
	}
}

/* HELO knows no AUTH. */
static void does_not_fall_back_to_helo(void **state)
{
	struct talk t;

	talk_init(&t, CLIENT_CLEAR);
	(void)hear(&t, "220 hello\r\n", "EHLO load.example\r\n");
	gives_up(&t, "502 what?\r\n", CLIENT_FOUND_SESSION_REFUSED);
}

static void tells_a_refusal(void **state)
{
	static const struct {
		const char *reply;
		enum client_finding finding;
		uint16_t code;
	} cases[] = {
		{ "535 5.7.8 no\r\n", CLIENT_FOUND_AUTH_REFUSED, 535 },
		{ "454 4.7.0 later\r\n", CLIENT_FOUND_AUTH_REFUSED, 454 },
		{ "334 \r\n", CLIENT_FOUND_WRONG_CODE, 0 },
		{ "250 ok\r\n", CLIENT_FOUND_WRONG_CODE, 0 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct talk t;

		talk_init(&t, CLIENT_CLEAR);
		(void)hear(&t, "220 hello\r\n", "EHLO load.example\r\n");
		(void)hear(&t, "250-x\r\n250 AUTH PLAIN\r\n",
			   "AUTH PLAIN " PLAIN "\r\n");
		gives_up(&t, cases[i].reply, cases[i].finding);
		assert_int_equal(client_verdict(&t.client)->reply.code,
				 cases[i].code);
	}
}

/* An offer that we were told not to take. */
static void does_without_extensions(void **state)
{
	struct client_recipient r = { .forward_path = SPAN("c@d.example") };
	struct talk t;

	talk_init(&t, CLIENT_CLEAR);
	t.options.auth_plain = NULL;
	t.options.no_chunking = t.options.no_pipelining = true;
	(void)hear(&t, "220 hello\r\n", "EHLO load.example\r\n");
	assert_int_equal(hear(&t, "250-x\r\n250-PIPELINING\r\n250 CHUNKING\r\n",
			      ""),
			 CLIENT_READY);
	client_message(&t.client, &t.message);
	assert_int_equal(hear(&t, "", "MAIL FROM:<a@b.example>\r\n"),
			 CLIENT_NEED_INPUT);
	assert_int_equal(hear(&t, "250 ok\r\n", ""), CLIENT_NEXT_RECIPIENT);
	client_recipient(&t.client, &r, &t.out);
	assert_int_equal(hear(&t, "", "RCPT TO:<c@d.example>\r\n"),
			 CLIENT_NEED_INPUT);
	assert_int_equal(hear(&t, "250 ok\r\n", ""), CLIENT_NEXT_RECIPIENT);
	client_recipients_end(&t.client);
	assert_int_equal(hear(&t, "", "DATA\r\n"), CLIENT_NEED_INPUT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(logs_in_before_mail),
		cmocka_unit_test(says_nothing_before_starttls),
		cmocka_unit_test(gives_up_without_auth),
		cmocka_unit_test(does_not_fall_back_to_helo),
		cmocka_unit_test(tells_a_refusal),
		cmocka_unit_test(does_without_extensions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
