/* What the sink makes of a message, however its bytes are cut. */
#include "sink/intake.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define FIELD "X-Sluice-Load: 0000002a-000000000007\r\n"

/* Feeds `text` in pieces of `cut` bytes; returns what is left behind the end. */
static struct span feed(struct intake *i, const char *text, size_t cut)
{
	struct span all = span_str(text);

	intake_begin(i, true);
	while (all.len) {
		struct span piece =
			span_head(all, cut < all.len ? cut : all.len);
		size_t len = piece.len;

		if (intake_stuffed(i, &piece))
			return span_tail(all, len - piece.len);
		assert_int_equal(piece.len, 0);
		all = span_tail(all, len);
	}
	fail_msg("no end was found");
	return all;
}

struct stuffed {
	const char *sent;
	const char *message;
	const char *behind;
};

/* CRLF.CRLF alone ends a message; one dot of a line that begins with it goes. */
static void ends_at_the_dot_alone(void **state)
{
	static const struct stuffed cases[] = {
		{ ".\r\n", "", "" },
		{ "a\r\n.\r\nQUIT\r\n", "a\r\n", "QUIT\r\n" },
		{ "..\r\n...\r\n.\r\n", ".\r\n..\r\n", "" },
		{ "a.\r\n.\r\n", "a.\r\n", "" },
		{ "\n.\r\n\r\n.\r\n", "\n.\r\n\r\n", "" },
		{ "a\n.\n\r\n.\r\n", "a\n.\n\r\n", "" },
		{ "a\r.\r\n.\r\n", "a\r.\r\n", "" },
		{ "a\r\n.\n\r\n.\r\n", "a\r\n\n\r\n", "" },
		{ "a\r\n.\r\r\n.\r\n", "a\r\n\r\r\n", "" },
		{ "a\r\r\n.\r\n", "a\r\r\n", "" },
		{ "\r\n\r\n.\r\n", "\r\n\r\n", "" },
		{ "\r\n.b\r\n.\r\n.\r\n", "\r\nb\r\n", ".\r\n" },
	};

	for (size_t k = 0; k < sizeof(cases) / sizeof(*cases); k++) {
		const struct stuffed *c = &cases[k];

		for (size_t cut = 1; cut <= strlen(c->sent); cut++) {
			struct intake i;
			struct span rest = feed(&i, c->sent, cut);

			assert_int_equal(i.bytes, strlen(c->message));
			assert_true(hash_value(&i.hash) ==
				    hash_of(span_str(c->message), 0));
			assert_true(span_equal(rest, span_str(c->behind)));
		}
	}
}

/* Trace fields above ours change nothing. */
static void hashes_from_our_field_on(void **state)
{
	static const char rest[] = FIELD "Subject: x\r\n\r\n" FIELD "end\r\n";
	static const char *const above[] = {
		"",
		"Received: here\r\n",
		"X-Sluice-Load: none\r\n",
		"Received: a very long line that is longer than what is kept of "
		"a line of the header section, which is sixty-four octets\r\n",
	};

	for (size_t k = 0; k < sizeof(above) / sizeof(*above); k++) {
		char text[512];

		(void)snprintf(text, sizeof(text), "%s%s.\r\n", above[k], rest);
		for (size_t cut = 1; cut <= strlen(text); cut++) {
			struct intake i;

			(void)feed(&i, text, cut);
			assert_true(i.known);
			assert_int_equal(i.id.run, 0x2a);
			assert_int_equal(i.id.number, 7);
			assert_int_equal(i.hashed, strlen(rest));
			assert_true(hash_value(&i.hash) ==
				    hash_of(span_str(rest), 0));
		}
	}
}

/* A field in the body names nothing. */
static void knows_no_field_in_the_body(void **state)
{
	struct intake i;

	(void)feed(&i, "Subject: x\r\n\r\n" FIELD ".\r\n", 100);
	assert_false(i.known);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ends_at_the_dot_alone),
		cmocka_unit_test(hashes_from_our_field_on),
		cmocka_unit_test(knows_no_field_in_the_body),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
