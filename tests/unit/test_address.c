/* Mail addresses: RFC 5321 4.1.2 and 4.1.3, RFC 6531 3.3, lengths. */
#include "smtp/address.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static bool good(const char *text)
{
	struct address a;

	return address_parse(span_str(text), &a);
}

static void takes_good_mailboxes(void **state)
{
	static const char *const texts[] = {
		"a@b",
		"first.last@sub.example.org",
		"!#$%&'*+-/=?^_`{|}~@example.org",
		"\"with space\"@example.org",
		"\"quoted \\\" and \\\\ \"@example.org",
		"\"\"@example.org",
		"a@1.2.3.4",
		"a@x-y.example",
		"a@[192.0.2.1]",
		"a@[IPv6:2001:db8::1]",
		"a@[ipv6:::ffff:192.0.2.1]",
		"a@[x-tag:any!thing]",
		"\xc3\xa4\xe2\x82\xac\xf0\x9f\x93\xa7@b\xc3\xbc"
		"cher.example",
		"\"\xc3\xa4 \"@example.org",
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (!good(texts[i]))
			fail_msg("refused: %s", texts[i]);
}

static void refuses_bad_mailboxes(void **state)
{
	static const char *const texts[] = {
		"",
		"a",
		"@b",
		"a@",
		"a@@b",
		"a b@c",
		".a@b",
		"a.@b",
		"a..b@c",
		"a@b.",
		"a@.b",
		"a@b..c",
		"a@-b",
		"a@b-",
		"a@b-.c",
		"a@b_c",
		"a@b c",
		"a@b>",
		"\"a@b",
		"\"a\\\"@b",
		"\"a\"b@c",
		"a\"b\"@c",
		"\"\x01\"@b",
		"\"\x7f\"@b",
		"\"\\\xc3\xa4\"@b",
		"a@[192.0.2]",
		"a@[192.0.2.256]",
		"a@[192.0.2.01]",
		"a@[192.0.2.1",
		"a@[IPv6:]",
		"a@[IPv6:12345::]",
		"a@[IPv6:1:2:3:4:5:6:7]",
		"a@[2001:db8::1",
		"a@[]",
		"a@[x:]",
		"a@[:x]",
		"a@[x-:y]",
		"a@[tag:sp ace]",
		"a@[192.0.2.1]x",
		/* no UTF-8: lone, overlong, surrogate, past the end, cut */
		"\x80@b",
		"\xc0\x80@b",
		"\xe0\x80\x80@b",
		"\xed\xa0\x80@b",
		"\xf4\x90\x80\x80@b",
		"\xf5\x80\x80\x80@b",
		"\xc3@b",
		"a@b\xc3",
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (good(texts[i]))
			fail_msg("taken: %s", texts[i]);
}

/* local@label.label..., of these lengths. */
static bool good_lengths(size_t local, size_t label, size_t labels)
{
	char text[1024];
	size_t n = 0;

	memset(text, 'a', local);
	n = local;
	for (size_t i = 0; i < labels; i++) {
		text[n++] = i ? '.' : '@';
		memset(text + n, 'b', label);
		n += label;
	}
	text[n] = 0;
	return good(text);
}

static void keeps_the_lengths(void **state)
{
	assert_true(good_lengths(64, 3, 2));
	assert_false(good_lengths(65, 3, 2));
	assert_true(good_lengths(1, 63, 2));
	assert_false(good_lengths(1, 64, 2));
	/* The path with its brackets: 64 + 1 + 47 * 4 - 1 + 2 = 254 octets. */
	assert_true(good_lengths(64, 3, 47));
	assert_false(good_lengths(64, 3, 48));
	assert_false(good_lengths(1, 63, 4));
}

static void splits(void **state)
{
	struct address a;

	assert_true(address_parse(SPAN("\"x@y\"@example.org"), &a));
	assert_true(span_equal(a.local, SPAN("\"x@y\"")));
	assert_true(span_equal(a.domain, SPAN("example.org")));
	assert_false(a.non_ascii);
	assert_true(address_parse(SPAN("x@b\xc3\xbc.example"), &a));
	assert_true(a.non_ascii);
}

static void path(const char *text, const char *mailbox, const char *rest)
{
	struct span in = span_str(text);
	struct address a;

	assert_true(address_take_path(&in, &a));
	assert_true(span_equal(a.mailbox, span_str(mailbox)));
	assert_true(span_equal(in, span_str(rest)));
}

static void takes_paths(void **state)
{
	path("<>", "", "");
	path("<> SIZE=1", "", " SIZE=1");
	path("<a@b>", "a@b", "");
	path("<a@b>x", "a@b", "x");
	path("<\"a>b\"@c> x", "\"a>b\"@c", " x");
	path("<@x:a@b>", "a@b", "");
	path("<@x,@[192.0.2.1],@z.example:a@b>", "a@b", "");
	path("<postmaster>", "postmaster", "");
	path("<PostMaster>", "PostMaster", "");
}

static void refuses_bad_paths(void **state)
{
	static const char *const texts[] = {
		"",
		"a@b",
		"<a@b",
		"<",
		"< a@b>",
		"<a@b >",
		"<a>",
		"<@x:>",
		"<@x>",
		"<@x,a@b>",
		"<@:a@b>",
		"<@x,:a@b>",
		"<@x:postmaster>",
		"<@x@y:a@b>",
		"<a@b,c@d>",
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct span in = span_str(texts[i]);
		struct address a;

		if (address_take_path(&in, &a))
			fail_msg("taken: %s", texts[i]);
		assert_true(span_equal(in, span_str(texts[i])));
	}
}

/* RFC 5321 4.5.3.1.3 counts the brackets and the source route. */
static void bounds_paths(void **state)
{
	char text[400] = "<@";
	struct address a;
	struct span in;

	for (size_t i = 0; i < 49; i++)
		memcpy(text + 2 + 5 * i, "abcd.", 5);
	memcpy(text + 246, ":aa@bbbb>", 10);
	in = span_head(span_str(text), 255);
	assert_true(address_take_path(&in, &a));
	memcpy(text + 246, ":aa@bbbbb>", 11);
	in = span_head(span_str(text), 256);
	assert_true(address_take_path(&in, &a));
	memcpy(text + 246, ":aa@bbbbbb>", 12);
	in = span_head(span_str(text), 257);
	assert_false(address_take_path(&in, &a));
}

static void knows_the_postmaster(void **state)
{
	struct span in = SPAN("<POSTMASTER>");
	struct address a;

	assert_true(address_take_path(&in, &a));
	assert_true(address_is_postmaster(&a));
	assert_true(address_parse(SPAN("postmaster@example.org"), &a));
	assert_false(address_is_postmaster(&a));
}

static void measures_utf8(void **state)
{
	assert_int_equal(address_utf8(SPAN("a")), 0);
	assert_int_equal(address_utf8(SPAN("")), 0);
	assert_int_equal(address_utf8(SPAN("\xc2\x80")), 2);
	assert_int_equal(address_utf8(SPAN("\xe0\xa0\x80")), 3);
	assert_int_equal(address_utf8(SPAN("\xed\x9f\xbf")), 3);
	assert_int_equal(address_utf8(SPAN("\xf4\x8f\xbf\xbfx")), 4);
	assert_int_equal(address_utf8(SPAN("\xf0\x8f\xbf\xbf")), 0);
	assert_int_equal(address_utf8(SPAN("\xe2\x82\x28")), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_good_mailboxes),
		cmocka_unit_test(refuses_bad_mailboxes),
		cmocka_unit_test(keeps_the_lengths),
		cmocka_unit_test(splits),
		cmocka_unit_test(takes_paths),
		cmocka_unit_test(refuses_bad_paths),
		cmocka_unit_test(bounds_paths),
		cmocka_unit_test(knows_the_postmaster),
		cmocka_unit_test(measures_utf8),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
