/* Command lines: ends, limits, and that cuts in the input change nothing. */
#include "smtp/line.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define MAX 10

static void takes_lines(void **state)
{
	struct span in = SPAN("one\r\n\r\ntwo\r\nthr");
	struct line l = { 0 };
	struct span text;

	assert_int_equal(line_take(&l, &in, MAX, &text), LINE_OK);
	assert_true(span_equal(text, SPAN("one")));
	assert_int_equal(line_take(&l, &in, MAX, &text), LINE_OK);
	assert_true(span_equal(text, SPAN("")));
	assert_int_equal(line_take(&l, &in, MAX, &text), LINE_OK);
	assert_true(span_equal(text, SPAN("two")));
	assert_int_equal(line_take(&l, &in, MAX, &text), LINE_NONE);
	assert_true(span_equal(in, SPAN("thr")));
}

static enum line_result judge(struct span in, struct span *ret_text)
{
	struct line l = { 0 };

	return line_take(&l, &in, MAX, ret_text);
}

static void reports_bare_lf_and_controls(void **state)
{
	struct span text;

	assert_int_equal(judge(SPAN("a\nb\r\n"), &text), LINE_BARE_LF);
	assert_true(span_equal(text, SPAN("a")));
	assert_int_equal(judge(SPAN("\n"), &text), LINE_BARE_LF);
	assert_int_equal(judge(SPAN("a\0b\r\n"), &text), LINE_CONTROL);
	assert_int_equal(judge(SPAN("a\rb\r\n"), &text), LINE_CONTROL);
	assert_int_equal(judge(SPAN("a\r\r\n"), &text), LINE_CONTROL);
	assert_int_equal(judge(SPAN("a\x7f\r\n"), &text), LINE_CONTROL);
	assert_int_equal(judge(SPAN("a\tb\xc3\xa4\r\n"), &text), LINE_OK);
}

static void the_limit_counts_the_end(void **state)
{
	struct span text;

	assert_int_equal(judge(SPAN("12345678\r\n"), &text), LINE_OK);
	assert_int_equal(judge(SPAN("123456789\r\n"), &text), LINE_TOO_LONG);
	assert_int_equal(judge(SPAN("123456789\n"), &text), LINE_BARE_LF);
	assert_int_equal(judge(SPAN("123456789"), &text), LINE_NONE);
}

/* A long line ends at CRLF alone: what is behind an LF in it is no command. */
static void skips_a_long_line_to_its_crlf(void **state)
{
	struct span in = SPAN("12345678901\nQUIT\rX\r\r\nnext\r\n");
	struct line l = { 0 };
	struct span text;

	assert_int_equal(line_take(&l, &in, MAX, &text), LINE_TOO_LONG);
	assert_int_equal(text.len, 0);
	assert_int_equal(line_take(&l, &in, MAX, &text), LINE_OK);
	assert_true(span_equal(text, SPAN("next")));
}

/* Skipping keeps nothing but a CR that may be half of the end. */
static void skips_in_constant_memory(void **state)
{
	struct span in = SPAN("123456789012345\r");
	struct line l = { 0 };
	struct span text;

	assert_int_equal(line_take(&l, &in, MAX, &text), LINE_NONE);
	assert_true(span_equal(in, SPAN("\r")));
	in = SPAN("\rxxxx");
	assert_int_equal(line_take(&l, &in, MAX, &text), LINE_NONE);
	assert_int_equal(in.len, 0);
	in = SPAN("\r\nA\r\n");
	assert_int_equal(line_take(&l, &in, MAX, &text), LINE_TOO_LONG);
	assert_int_equal(line_take(&l, &in, MAX, &text), LINE_OK);
	assert_true(span_equal(text, SPAN("A")));
}

/* Results of all lines of `all`, given `step` octets at a time. */
static size_t results(struct span all, size_t step, enum line_result *ret)
{
	struct span in = span_head(all, 0);
	struct line l = { 0 };
	size_t given = 0, n = 0;

	for (;;) {
		struct span text;
		enum line_result r = line_take(&l, &in, MAX, &text);

		if (r != LINE_NONE) {
			ret[n++] = r;
			continue;
		}
		if (given == all.len)
			return n;
		in.len += step < all.len - given ? step : all.len - given;
		given += step < all.len - given ? step : all.len - given;
	}
}

static void cuts_change_nothing(void **state)
{
	struct span all = SPAN("EHLO a\r\n12345678\r\n123456789\r\nx\ny\rz\r\n"
			       "12345678901234567890\r\r\n\r\n0\n\r\n");
	enum line_result whole[16], cut[16];
	size_t n = results(all, all.len, whole);

	assert_int_equal(n, 9);
	for (size_t step = 1; step < all.len; step++) {
		assert_int_equal(results(all, step, cut), n);
		assert_memory_equal(whole, cut, n * sizeof(whole[0]));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_lines),
		cmocka_unit_test(reports_bare_lf_and_controls),
		cmocka_unit_test(the_limit_counts_the_end),
		cmocka_unit_test(skips_a_long_line_to_its_crlf),
		cmocka_unit_test(skips_in_constant_memory),
		cmocka_unit_test(cuts_change_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
