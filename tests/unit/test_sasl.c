/* SASL exchanges: PLAIN and LOGIN, with and without initial response. */
#include "policy/sasl.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static enum sasl_result respond(struct sasl *s, const char *response,
				struct span *ret_challenge)
{
	struct span text = span_str(response);

	return sasl_step(s, &text, ret_challenge);
}

static enum sasl_result plain(struct sasl *s, const char *response)
{
	struct span challenge;

	assert_true(sasl_begin(s, SPAN("PLAIN")));
	return respond(s, response, &challenge);
}

static void knows_its_mechanisms(void **state)
{
	struct sasl s;

	assert_true(sasl_begin(&s, SPAN("PLAIN")));
	assert_true(sasl_begin(&s, SPAN("login")));
	assert_false(sasl_begin(&s, SPAN("CRAM-MD5")));
	assert_false(sasl_begin(&s, SPAN("")));
}

static void takes_plain(void **state)
{
	struct sasl s;

	assert_int_equal(plain(&s, "AGpvAHNlc3NhbWU="), SASL_CREDENTIALS);
	assert_string_equal(s.user, "jo");
	assert_true(span_equal(secret_span(&s.password), SPAN("sessame")));
	/* The authzid may name the same user, no other (RFC 4616 2). */
	assert_int_equal(plain(&s, "am8Aam8AeA=="), SASL_CREDENTIALS);
	assert_int_equal(plain(&s, "YWwAam8AeA=="), SASL_REFUSED);
}

static void takes_plain_when_asked(void **state)
{
	struct span challenge = SPAN("x");
	struct sasl s;

	assert_true(sasl_begin(&s, SPAN("PLAIN")));
	assert_int_equal(sasl_step(&s, NULL, &challenge), SASL_CONTINUE);
	assert_int_equal(challenge.len, 0);
	assert_int_equal(respond(&s, "AGpvAHg=", &challenge), SASL_CREDENTIALS);
}

static void takes_login(void **state)
{
	struct span challenge;
	struct sasl s;

	assert_true(sasl_begin(&s, SPAN("LOGIN")));
	assert_int_equal(sasl_step(&s, NULL, &challenge), SASL_CONTINUE);
	assert_true(span_equal(challenge, SPAN("VXNlcm5hbWU6")));
	assert_int_equal(respond(&s, "am8=", &challenge), SASL_CONTINUE);
	assert_true(span_equal(challenge, SPAN("UGFzc3dvcmQ6")));
	assert_int_equal(respond(&s, "eA==", &challenge), SASL_CREDENTIALS);
	assert_string_equal(s.user, "jo");
	assert_true(span_equal(secret_span(&s.password), SPAN("x")));

	assert_true(sasl_begin(&s, SPAN("LOGIN")));
	assert_int_equal(respond(&s, "am8=", &challenge), SASL_CONTINUE);
	assert_true(span_equal(challenge, SPAN("UGFzc3dvcmQ6")));
	assert_int_equal(respond(&s, "", &challenge), SASL_REFUSED);
}

static void refuses_malformed_messages(void **state)
{
	struct sasl s;

	assert_int_equal(plain(&s, ""), SASL_REFUSED);         /* nothing */
	assert_int_equal(plain(&s, "am8="), SASL_REFUSED);     /* no NUL */
	assert_int_equal(plain(&s, "AGpv"), SASL_REFUSED);     /* one NUL */
	assert_int_equal(plain(&s, "AABqbw=="), SASL_REFUSED); /* no user */
	assert_int_equal(plain(&s, "AGpvAA=="), SASL_REFUSED); /* no password */
	/* A NUL in the password, a control character in the name. */
	assert_int_equal(plain(&s, "AGpvAHgAeA=="), SASL_REFUSED);
	assert_int_equal(plain(&s, "AGoKbwB4"), SASL_REFUSED);
}

static void tells_bad_base64(void **state)
{
	struct sasl s;

	assert_int_equal(plain(&s, "AGpvAHg"), SASL_BAD_BASE64);
	assert_int_equal(plain(&s, "*"), SASL_BAD_BASE64);
}

/* Four octets of NUL for each "AAAA": far more than any credentials. */
static void refuses_what_is_too_long(void **state)
{
	char text[8001];
	struct sasl s;

	memset(text, 'A', sizeof(text) - 1);
	text[sizeof(text) - 1] = 0;
	assert_int_equal(plain(&s, text), SASL_REFUSED);
	for (size_t i = 0; i < 344; i += 4)
		memcpy(text + i, "YWFh", 4);
	text[344] = 0; /* a name of 258 octets */
	assert_true(sasl_begin(&s, SPAN("LOGIN")));
	assert_int_equal(respond(&s, text, &(struct span){ 0 }), SASL_REFUSED);
	text[340] = 0; /* and one of 255 */
	assert_true(sasl_begin(&s, SPAN("LOGIN")));
	assert_int_equal(respond(&s, text, &(struct span){ 0 }), SASL_CONTINUE);
}

static void leaves_nothing(void **state)
{
	static const struct sasl nothing;
	struct span challenge;
	struct sasl s;

	assert_int_equal(plain(&s, "AGpvAHNlc3NhbWU="), SASL_CREDENTIALS);
	sasl_wipe(&s);
	assert_memory_equal(&s, &nothing, sizeof(s));
	assert_int_equal(respond(&s, "AGpvAHg=", &challenge), SASL_REFUSED);

	/* A refusal wipes by itself, what a step before had learnt too. */
	assert_true(sasl_begin(&s, SPAN("LOGIN")));
	assert_int_equal(respond(&s, "am8=", &challenge), SASL_CONTINUE);
	assert_int_equal(respond(&s, "!", &challenge), SASL_BAD_BASE64);
	assert_memory_equal(&s, &nothing, sizeof(s));
}

/* After its end an exchange takes no further message. */
static void ends_once(void **state)
{
	struct span challenge;
	struct sasl s;

	assert_int_equal(plain(&s, "AGpvAHg="), SASL_CREDENTIALS);
	assert_int_equal(respond(&s, "AGFsAHg=", &challenge), SASL_REFUSED);
	assert_int_equal(sasl_step(&s, NULL, &challenge), SASL_REFUSED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(knows_its_mechanisms),
		cmocka_unit_test(takes_plain),
		cmocka_unit_test(takes_plain_when_asked),
		cmocka_unit_test(takes_login),
		cmocka_unit_test(refuses_malformed_messages),
		cmocka_unit_test(tells_bad_base64),
		cmocka_unit_test(refuses_what_is_too_long),
		cmocka_unit_test(leaves_nothing),
		cmocka_unit_test(ends_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
