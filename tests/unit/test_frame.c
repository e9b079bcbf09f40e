/* The forms on disk: names, frames, changes. They must never change silently. */
#include "spool/change.h"
#include "spool/frame.h"
#include "spool/layout.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define SEGMENT     0x0102030405060708
#define HEADER_HASH 0x1eb753a4a83d3c14

static const struct frame example = {
	.type = FRAME_MESSAGE,
	.recipients_n = 2,
	.segment = SEGMENT,
	.offset = 112,
	.synced = 112,
	.id = 0xa0a1a2a3a4a5a6a7,
	.arrival_s = 1700000000,
	.envelope_len = 13,
	.dots_n = 1,
	.body_len = 5,
};

static void parts_lie_where_they_should(void **state)
{
	assert_int_equal(frame_envelope_at(&example), 208);
	assert_int_equal(frame_dots_at(&example), 224);
	assert_int_equal(frame_body_at(&example), 232);
	assert_int_equal(frame_trailer_at(&example), 240);
	assert_int_equal(frame_end(&example), 256);
}

/* The first bytes and the checksum of a known header, computed once. */
static void header_has_this_form(void **state)
{
	static const uint8_t head[] = { 0x8b, 'S', 'l', 'u', 'i', 'c', 'e',
					'\n', 1,   0,   2,   0,   2,   0,
					0,    0,   8,   7,   6,   5,   4,
					3,    2,   1,   112, 0 };
	uint8_t bytes[FRAME_HEADER_BYTES];
	struct frame f;

	assert_int_equal(frame_put_header(bytes, &example), HEADER_HASH);
	assert_memory_equal(bytes, head, sizeof(head));
	assert_true(frame_get_header(bytes, SEGMENT, 112, &f));
	assert_int_equal(f.id, example.id);
	assert_int_equal(f.arrival_s, example.arrival_s);
	assert_int_equal(f.envelope_len, 13);
	assert_int_equal(f.body_len, 5);
	assert_int_equal(f.recipients_n, 2);
}

static void header_is_of_its_place_only(void **state)
{
	uint8_t bytes[FRAME_HEADER_BYTES];
	struct frame f;

	(void)frame_put_header(bytes, &example);
	assert_false(frame_get_header(bytes, SEGMENT + 1, 112, &f));
	assert_false(frame_get_header(bytes, SEGMENT, 120, &f));
	for (size_t n = 0; n < sizeof(bytes); n++) {
		bytes[n] ^= 0x10;
		assert_false(frame_get_header(bytes, SEGMENT, 112, &f));
		bytes[n] ^= 0x10;
	}
	assert_true(frame_get_header(bytes, SEGMENT, 112, &f));
}

static void impossible_lengths_are_refused(void **state)
{
	uint8_t bytes[FRAME_HEADER_BYTES];
	struct frame bad = example, f;

	bad.dots_n = 65;
	(void)frame_put_header(bytes, &bad);
	assert_false(frame_get_header(bytes, SEGMENT, 112, &f));
	bad = example;
	bad.body_len = FRAME_PAYLOAD_MAX + 1;
	(void)frame_put_header(bytes, &bad);
	assert_false(frame_get_header(bytes, SEGMENT, 112, &f));
	bad = example;
	bad.synced = 120; /* more than lay before it */
	(void)frame_put_header(bytes, &bad);
	assert_false(frame_get_header(bytes, SEGMENT, 112, &f));
}

static void change_is_of_its_place_only(void **state)
{
	struct change c = { .kind = CHANGE_DEFERRED,
			    .segment = SEGMENT,
			    .offset = 112,
			    .due_s = 5,
			    .first_failure_s = 6,
			    .attempts = 7,
			    .code = 8,
			    .word = 9,
			    .bits = 10 };
	uint8_t bytes[CHANGE_BYTES];
	struct change back;

	change_put(bytes, &c, 3, 96);
	assert_true(change_get(bytes, 3, 96, &back));
	assert_int_equal(back.kind, CHANGE_DEFERRED);
	assert_int_equal(back.due_s, 5);
	assert_int_equal(back.first_failure_s, 6);
	assert_int_equal(back.attempts, 7);
	assert_int_equal(back.code, 8);
	assert_int_equal(back.word, 9);
	assert_int_equal(back.bits, 10);
	assert_false(change_get(bytes, 4, 96, &back));
	assert_false(change_get(bytes, 3, 144, &back));
	for (size_t n = 0; n < sizeof(bytes); n++) {
		bytes[n] ^= 1;
		assert_false(change_get(bytes, 3, 96, &back));
		bytes[n] ^= 1;
	}
}

static void names_go_both_ways(void **state)
{
	char name[LAYOUT_NAME_MAX];
	uint64_t number = 0;

	layout_name(name, LAYOUT_SEGMENT, 0xabc);
	assert_string_equal(name, "0000000000000abc.seg");
	assert_true(layout_number(name, LAYOUT_SEGMENT, &number));
	assert_int_equal(number, 0xabc);
	assert_false(layout_number(name, LAYOUT_BODY, &number));
	layout_name(name, LAYOUT_TEMPORARY, UINT64_MAX);
	assert_string_equal(name, ".tmp-ffffffffffffffff");
	assert_true(layout_number(name, LAYOUT_TEMPORARY, &number));
	assert_int_equal(number, UINT64_MAX);
	assert_false(layout_number("abc.seg", LAYOUT_SEGMENT, &number));
	assert_false(
		layout_number("0000000000000ABC.seg", LAYOUT_SEGMENT, &number));
	assert_false(layout_number("0000000000000abc.segx", LAYOUT_SEGMENT,
				   &number));
	assert_false(layout_number("", LAYOUT_JOURNAL, &number));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parts_lie_where_they_should),
		cmocka_unit_test(header_has_this_form),
		cmocka_unit_test(header_is_of_its_place_only),
		cmocka_unit_test(impossible_lengths_are_refused),
		cmocka_unit_test(change_is_of_its_place_only),
		cmocka_unit_test(names_go_both_ways),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
