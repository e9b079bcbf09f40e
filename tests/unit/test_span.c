/* Borrowed bytes: cutting, comparing, and numbers. */
#include "base/span.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const struct span nothing = { NULL, 0 };

static void makes_spans(void **state)
{
	const uint8_t bytes[] = { 'a', 0, 'b' };

	assert_int_equal(SPAN("").len, 0);
	assert_int_equal(SPAN("a\0b").len, 3);
	assert_true(span_equal(SPAN("a\0b"), span_of(bytes, 3)));
	assert_true(span_equal(span_str("abc"), SPAN("abc")));
	assert_int_equal(span_str("a\0b").len, 1);
}

static void cuts_anywhere(void **state)
{
	struct span s = SPAN("abc");

	for (size_t n = 0; n <= s.len; n++) {
		assert_int_equal(span_head(s, n).len, n);
		assert_int_equal(span_tail(s, n).len, s.len - n);
		assert_ptr_equal(span_head(s, n).p, s.p);
		assert_ptr_equal(span_tail(s, n).p, s.p + n);
	}
	assert_int_equal(span_head(nothing, 0).len, 0);
	assert_int_equal(span_tail(nothing, 0).len, 0);
}

static void compares_bytes(void **state)
{
	assert_true(span_equal(SPAN("abc"), SPAN("abc")));
	assert_false(span_equal(SPAN("abc"), SPAN("abC")));
	assert_false(span_equal(SPAN("abc"), SPAN("ab")));
	assert_false(span_equal(SPAN("a\0b"), SPAN("a\0c")));
	assert_true(span_equal(nothing, SPAN("")));
	assert_true(span_equal(nothing, nothing));
	assert_false(span_equal(nothing, SPAN("a")));
}

static void finds_a_byte(void **state)
{
	assert_int_equal(span_find(SPAN("abab"), 'b'), 1);
	assert_int_equal(span_find(SPAN("ab"), 'b'), 1);
	assert_int_equal(span_find(SPAN("ab"), 'c'), 2);
	assert_int_equal(span_find(SPAN("ab\0"), 0), 2);
	assert_int_equal(span_find(SPAN("\xff"), 0xff), 0);
	assert_int_equal(span_find(span_head(SPAN("ab"), 1), 'b'), 1);
	assert_int_equal(span_find(nothing, 'a'), 0);
}

/* Only the 26 letters fold: neither their neighbours nor Latin-1's. */
static void folds_ascii_letters_only(void **state)
{
	for (unsigned int i = 0; i < 256; i++) {
		const uint8_t c = (uint8_t)i;
		bool upper = c >= 'A' && c <= 'Z';

		assert_int_equal(ascii_lower(c), upper ? c + 32 : c);
	}
	assert_true(span_equal_nocase(SPAN("EhLo"), SPAN("eHlO")));
	assert_false(span_equal_nocase(SPAN("EHLO"), SPAN("EHL")));
	assert_false(span_equal_nocase(SPAN("@"), SPAN("`")));
	assert_false(span_equal_nocase(SPAN("["), SPAN("{")));
	assert_false(span_equal_nocase(SPAN("\xc4"), SPAN("\xe4")));
	assert_true(span_equal_nocase(nothing, SPAN("")));
}

static void knows_prefixes(void **state)
{
	assert_true(span_starts_nocase(SPAN("mail from:<>"), SPAN("MAIL ")));
	assert_true(span_starts_nocase(SPAN("MAIL"), SPAN("mail")));
	assert_true(span_starts_nocase(SPAN("MAIL"), nothing));
	assert_true(span_starts_nocase(nothing, nothing));
	assert_false(span_starts_nocase(SPAN("MAI"), SPAN("mail")));
	assert_false(span_starts_nocase(SPAN("xMAIL"), SPAN("mail")));
}

static void reads_numbers(void **state)
{
	static const struct {
		const char *text;
		uint64_t value;
	} good[] = {
		{ "0", 0 },
		{ "7", 7 },
		{ "0010", 10 },
		{ "00000000000000000009", 9 },
		{ "4294967296", 4294967296 },
		{ "18446744073709551615", UINT64_MAX },
	};

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		uint64_t value = 1;

		assert_true(span_to_u64(span_str(good[i].text), &value));
		assert_true(value == good[i].value);
	}
}

static void refuses_what_is_no_number(void **state)
{
	static const struct span bad[] = {
		SPAN(""),
		SPAN("+1"),
		SPAN("-1"),
		SPAN(" 1"),
		SPAN("1 "),
		SPAN("1\0"),
		SPAN("0x1"),
		SPAN("1/"),
		SPAN("1:"),
		SPAN("18446744073709551616"),
		SPAN("18446744073709551625"),
		SPAN("99999999999999999999"),
		SPAN("000000000000000000001"),
		{ NULL, 0 },
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		uint64_t value = 4711;

		assert_false(span_to_u64(bad[i], &value));
		assert_true(value == 4711);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(makes_spans),
		cmocka_unit_test(cuts_anywhere),
		cmocka_unit_test(compares_bytes),
		cmocka_unit_test(finds_a_byte),
		cmocka_unit_test(folds_ascii_letters_only),
		cmocka_unit_test(knows_prefixes),
		cmocka_unit_test(reads_numbers),
		cmocka_unit_test(refuses_what_is_no_number),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
