/* Replies: one clean line each, whatever the argument. */
#include "smtp/reply.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

struct fixture {
	struct buf out;
	uint8_t storage[2 * REPLY_LINE_MAX];
};

static struct span put(struct fixture *f, enum reply reply,
		       struct span argument)
{
	buf_init(&f->out, f->storage, sizeof(f->storage));
	reply_put(&f->out, reply, argument);
	return buf_span(&f->out);
}

static void writes_the_table(void **state)
{
	struct fixture f;

	assert_true(span_equal(put(&f, REPLY_OK, SPAN("")),
			       SPAN("250 2.0.0 ok\r\n")));
	assert_true(span_equal(put(&f, REPLY_READY, SPAN("mx.example")),
			       SPAN("220 mx.example ESMTP Sluice\r\n")));
	assert_true(span_equal(put(&f, REPLY_AUTH_CONTINUE, SPAN("")),
			       SPAN("334 \r\n")));
	assert_true(span_equal(put(&f, REPLY_CHUNK_OK, SPAN("12")),
			       SPAN("250 2.0.0 12 octets received\r\n")));
	assert_int_equal(reply_code(REPLY_LOOP), 554);
	assert_string_equal(reply_name(REPLY_LOOP), "LOOP");
}

/* Enhanced codes agree with the codes (RFC 2034 4). */
static void classes_agree(void **state)
{
	for (int i = 0; i < REPLY_N; i++) {
		struct fixture f;
		struct span line = put(&f, (enum reply)i, SPAN("x"));

		assert_int_equal(reply_code((enum reply)i) / 100,
				 line.p[0] - '0');
		if (line.p[5] == '.')
			assert_int_equal(line.p[4], line.p[0]);
		else
			assert_true(reply_code((enum reply)i) < 400);
	}
}

static void nobody_forges_a_line(void **state)
{
	struct fixture f;

	assert_true(span_equal(put(&f, REPLY_SYNTAX,
				   SPAN("a\r\n250 ok\0\x7f\x1b[m")),
			       SPAN("501 5.5.4 syntax: a??250 ok???[m\r\n")));
}

static void long_arguments_are_cut(void **state)
{
	uint8_t argument[3 * REPLY_LINE_MAX];

	memset(argument, 'x', sizeof(argument));
	for (int i = 0; i < REPLY_N; i++) {
		struct fixture f;
		struct span line = put(&f, (enum reply)i,
				       span_of(argument, sizeof(argument)));

		assert_true(line.len <= REPLY_LINE_MAX);
		assert_true(span_equal(span_tail(line, line.len - 2),
				       SPAN("\r\n")));
	}
}

/* The text behind the argument is never cut, nor a character in it. */
static void cuts_between_characters(void **state)
{
	uint8_t argument[2 * REPLY_LINE_MAX];
	struct span line, tail = SPAN(" closing connection\r\n");
	struct fixture f;

	for (size_t i = 0; i < sizeof(argument); i += 2) {
		argument[i] = 0xc3;
		argument[i + 1] = 0xa4;
	}
	for (size_t odd = 0; odd < 2; odd++) {
		argument[0] = odd ? 'x' : 0xc3;
		line = put(&f, REPLY_BYE,
			   span_of(argument + odd, sizeof(argument) - odd));
		assert_true(line.len >= REPLY_LINE_MAX - 1);
		line.len -= tail.len;
		assert_true(
			span_equal(span_of(line.p + line.len, tail.len), tail));
		assert_int_equal(line.p[line.len - 1], 0xa4);
	}
}

static void no_room_is_sticky(void **state)
{
	uint8_t storage[8];
	struct buf out;

	buf_init(&out, storage, sizeof(storage));
	reply_put(&out, REPLY_OK, SPAN(""));
	assert_true(out.overflowed);
	assert_int_equal(buf_len(&out), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(writes_the_table),
		cmocka_unit_test(classes_agree),
		cmocka_unit_test(nobody_forges_a_line),
		cmocka_unit_test(long_arguments_are_cut),
		cmocka_unit_test(cuts_between_characters),
		cmocka_unit_test(no_room_is_sticky),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
