/* Stretches against a reader of octets, and the two ways to mark a block. */
#include "smtp/stretch.h"

#include "aborts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define TEXT_MAX 1024
#define ROUNDS   20000

static uint32_t seed = 1;

static uint32_t draw(uint32_t below)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % below;
}

/* Octets that are good to store, one by one, and the length of the line in
 * which they end: as far as a stretch may go at most. */
static size_t reader(struct span text, uint64_t line_max, uint64_t line_len,
		     uint64_t *ret_line_len)
{
	size_t good = 0;

	*ret_line_len = line_len;
	for (size_t i = 0; i < text.len; i++) {
		uint8_t c = text.p[i];
		bool crlf = c == '\r' && i + 1 < text.len &&
			    text.p[i + 1] == '\n';

		if (crlf) {
			line_len = 0;
			i++;
		} else if (c == '\r' || c == '\n' || !c ||
			   (c == '.' && !line_len) || line_len == line_max) {
			break;
		} else {
			line_len++;
		}
		good = i + 1;
		*ret_line_len = line_len;
	}
	return good;
}

/* Text whose lines end as they should, but for one octet in so many. */
static struct span make_text(uint8_t *p, uint32_t line, uint32_t odd)
{
	static const uint8_t odds[] = { '\r', '\n', 0, '.', 'x' };
	size_t n = draw(TEXT_MAX), column = 0;

	for (size_t i = 0; i < n; i++) {
		p[i] = (uint8_t)('a' + draw(26));
		if (column >= line && i + 1 < n) {
			p[i++] = '\r';
			p[i] = '\n';
			column = draw(line);
		}
		column++;
		if (odd && !draw(odd))
			p[i] = odds[draw(sizeof(odds))];
	}
	return span_of(p, n);
}

/* It never goes too far, and not short by more than it may. */
static void check(struct span text, uint64_t line_max, uint64_t before)
{
	uint64_t len = before, most_len, less_len;
	size_t most = reader(text, line_max, before, &most_len);
	size_t n = stretch_of(text, line_max, &len);

	assert_true(n <= most);
	assert_int_equal(
		reader(span_head(text, n), line_max, before, &less_len), n);
	assert_int_equal(len, less_len);
	assert_true(n + 2 * STRETCH_BLOCK + line_max > most);
	if (most_len < line_max && before + text.len < line_max)
		assert_true(n + 2 * STRETCH_BLOCK > most);
}

static void goes_as_far_as_a_reader(void **state)
{
	uint8_t bytes[TEXT_MAX];

	for (int i = 0; i < ROUNDS; i++) {
		uint64_t max = STRETCH_BLOCK + draw(200);
		struct span text = make_text(bytes, 1 + draw(150),
					     draw(2) ? 1 + draw(900) : 0);

		check(text, max, draw(2) ? draw((uint32_t)max + 1) : 0);
		check(text, TEXT_MAX, 0);
	}
}

/* Every pair of octets that matter, at every place of two blocks. */
static void finds_what_is_wrong_wherever_it_is(void **state)
{
	static const char *const wrongs[] = { "\rx", "\nx", "x\n", "\r\r" };
	uint8_t bytes[4 * STRETCH_BLOCK];

	for (size_t w = 0; w < 4; w++)
		for (size_t at = 0; at < 3 * STRETCH_BLOCK; at++) {
			uint64_t len = 0;
			size_t n;

			memset(bytes, 'a', sizeof(bytes));
			memcpy(bytes + at, wrongs[w], 2);
			n = stretch_of(span_of(bytes, sizeof(bytes)), 1000,
				       &len);
			assert_int_equal(n, at + (wrongs[w][0] == 'x'));
			assert_int_equal(len, n);
		}
}

static void stops_before_dots_that_begin_a_line(void **state)
{
	uint8_t bytes[4 * STRETCH_BLOCK];

	for (size_t at = 0; at < 3 * STRETCH_BLOCK; at++) {
		uint64_t len = 0;

		memset(bytes, 'a', sizeof(bytes));
		memcpy(bytes + at, "\r\n.", 3);
		assert_int_equal(stretch_of(span_of(bytes, sizeof(bytes)), 1000,
					    &len),
				 at + 2);
		assert_int_equal(len, 0);
	}
	memset(bytes, '.', sizeof(bytes));
	for (uint64_t len = 0; len < 2; len++) {
		uint64_t after = len;

		assert_int_equal(stretch_of(span_of(bytes, sizeof(bytes)), 1000,
					    &after),
				 len ? sizeof(bytes) : 0);
	}
}

static void holds_lines_to_their_limit(void **state)
{
	uint8_t bytes[8 * STRETCH_BLOCK];

	memset(bytes, 'a', sizeof(bytes));
	memcpy(bytes + 300, "\r\n", 2);
	for (uint64_t before = 0; before < 100; before++) {
		uint64_t len = before;
		size_t n = stretch_of(span_of(bytes, sizeof(bytes)), 350, &len);

		if (before <= 50)
			assert_int_equal(n, sizeof(bytes));
		else
			assert_true(n <= 350 - before);
	}
}

static void both_ways_mark_alike(void **state)
{
	uint8_t bytes[STRETCH_BLOCK];

	for (int i = 0; i < ROUNDS; i++) {
		struct stretch_marks a, b;

		for (size_t k = 0; k < sizeof(bytes); k++)
			bytes[k] = (uint8_t)(draw(3) ? draw(256) : draw(15));
		if (i % 2)
			bytes[draw(STRETCH_BLOCK)] = '.';
		a = stretch_marks(bytes);
		b = stretch_marks_plain(bytes);
		assert_memory_equal(&a, &b, sizeof(a));
	}
}

static void short_input_is_none(void **state)
{
	uint8_t bytes[STRETCH_BLOCK - 1];
	uint64_t len = 7;

	memset(bytes, 'a', sizeof(bytes));
	assert_int_equal(stretch_of(span_of(bytes, sizeof(bytes)), 1000, &len),
			 0);
	assert_int_equal(len, 7);
	assert_int_equal(stretch_of(span_of(NULL, 0), 1000, &len), 0);
}

static void line_too_long_already(void)
{
	uint64_t len = 1001;

	(void)stretch_of(span_of(NULL, 0), 1000, &len);
}

static void forbids_lines_over_the_limit(void **state)
{
	assert_true(aborts(line_too_long_already));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(goes_as_far_as_a_reader),
		cmocka_unit_test(finds_what_is_wrong_wherever_it_is),
		cmocka_unit_test(stops_before_dots_that_begin_a_line),
		cmocka_unit_test(holds_lines_to_their_limit),
		cmocka_unit_test(both_ways_mark_alike),
		cmocka_unit_test(short_input_is_none),
		cmocka_unit_test(forbids_lines_over_the_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
