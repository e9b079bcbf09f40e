/* Lines of `name: value`, comments, and messages with file and line. */
#include "policy/mapfile.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void cuts_lines(void **state)
{
	struct mapfile_line line;
	struct mapfile m;

	mapfile_init(&m, "f",
		     SPAN("# a: b\n  # c: d\n\n \t\n"
			  " name\t:  va lue : x \r\n"
			  "last:"),
		     NULL);
	assert_true(mapfile_next(&m, &line));
	assert_int_equal(line.number, 5);
	assert_true(span_equal(line.name, SPAN("name")));
	assert_true(span_equal(line.value, SPAN("va lue : x")));
	assert_true(mapfile_next(&m, &line));
	assert_int_equal(line.number, 6);
	assert_true(span_equal(line.name, SPAN("last")));
	assert_int_equal(line.value.len, 0);
	assert_false(mapfile_next(&m, &line));
	assert_int_equal(m.mistakes, 0);
}

static void passes_over_mistakes(void **state)
{
	struct mapfile_line line;
	uint8_t storage[256];
	struct mapfile m;
	struct buf errors;

	buf_init(&errors, storage, sizeof(storage));
	mapfile_init(&m, "f", SPAN("one\na\0b: c\n: x\ngood: x\n"), &errors);
	assert_true(mapfile_next(&m, &line));
	assert_int_equal(line.number, 4);
	assert_int_equal(m.mistakes, 3);
	assert_true(span_equal(buf_span(&errors),
			       SPAN("f:1: no colon: write `name: ...`\n"
				    "f:2: control character: remove it\n"
				    "f:3: no name before the colon\n")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cuts_lines),
		cmocka_unit_test(passes_over_mistakes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
