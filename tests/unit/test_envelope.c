#include "spool/envelope.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void fields_come_back_in_order(void **state)
{
	struct envelope_field field;
	uint8_t storage[100];
	struct span rest;
	struct buf b;

	buf_init(&b, storage, sizeof(storage));
	envelope_put(&b, ENVELOPE_REVERSE_PATH, SPAN(""));
	envelope_put(&b, ENVELOPE_FORWARD_PATH, SPAN("a@example.org"));
	envelope_put(&b, ENVELOPE_NOTIFY, SPAN("NEVER"));
	rest = buf_span(&b);
	assert_true(envelope_next(&rest, &field));
	assert_int_equal(field.type, ENVELOPE_REVERSE_PATH);
	assert_int_equal(field.value.len, 0); /* the null reverse-path */
	assert_true(envelope_next(&rest, &field));
	assert_true(span_equal(field.value, SPAN("a@example.org")));
	assert_true(envelope_next(&rest, &field));
	assert_int_equal(field.type, ENVELOPE_NOTIFY);
	assert_false(envelope_next(&rest, &field));
	assert_int_equal(rest.len, 0);
}

static void what_does_not_fit_goes_in_not_at_all(void **state)
{
	uint8_t storage[20];
	struct span found;
	struct buf b;

	buf_init(&b, storage, sizeof(storage));
	envelope_put(&b, ENVELOPE_HELO, SPAN("client.exam"));
	envelope_put(&b, ENVELOPE_USER, SPAN("user")); /* 7 bytes into 6 */
	assert_true(b.overflowed);
	assert_int_equal(buf_len(&b), 14);
	assert_false(envelope_find(buf_span(&b), ENVELOPE_USER, &found));
	envelope_put(&b, ENVELOPE_SMTPUTF8, SPAN("")); /* sticky */
	assert_int_equal(buf_len(&b), 14);
}

static void long_value_overflows(void **state)
{
	static uint8_t storage[70000], value[65536];
	struct buf b;

	buf_init(&b, storage, sizeof(storage));
	envelope_put(&b, ENVELOPE_ENVID, span_of(value, 65535));
	assert_false(b.overflowed);
	buf_clear(&b);
	envelope_put(&b, ENVELOPE_ENVID, span_of(value, 65536));
	assert_true(b.overflowed);
}

static void malformed_field_ends_the_walk(void **state)
{
	static const uint8_t bytes[] = { 'S', 1, 0, 'x', 'R', 9, 0, 'y' };
	struct span rest = span_of(bytes, sizeof(bytes)), found;
	struct envelope_field field;

	assert_true(envelope_next(&rest, &field));
	assert_false(envelope_next(&rest, &field));
	assert_int_equal(rest.len, 4);
	assert_false(envelope_find(span_of(bytes, sizeof(bytes)),
				   ENVELOPE_FORWARD_PATH, &found));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields_come_back_in_order),
		cmocka_unit_test(what_does_not_fit_goes_in_not_at_all),
		cmocka_unit_test(long_value_overflows),
		cmocka_unit_test(malformed_field_ends_the_walk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
