/* Passwords and keys: kept, compared, wiped. */
#include "base/secret.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void is_wiped(const struct secret *s)
{
	assert_int_equal(s->len, 0);
	for (size_t i = 0; i < sizeof(s->bytes); i++)
		assert_int_equal(s->bytes[i], 0);
}

static void keeps_any_bytes(void **state)
{
	uint8_t all[256];
	struct secret s = { 0 };

	for (size_t i = 0; i < sizeof(all); i++)
		all[i] = (uint8_t)i;
	assert_true(secret_set(&s, span_of(all, sizeof(all))));
	assert_true(span_equal(secret_span(&s), span_of(all, sizeof(all))));
	secret_wipe(&s);
	is_wiped(&s);
}

static void leaves_nothing_of_a_longer_one(void **state)
{
	struct secret s;

	memset(&s, 0xee, sizeof(s));
	assert_true(secret_set(&s, SPAN("a long password")));
	assert_true(secret_set(&s, SPAN("short")));
	assert_true(span_equal(secret_span(&s), SPAN("short")));
	for (size_t i = 5; i < sizeof(s.bytes); i++)
		assert_int_equal(s.bytes[i], 0);
	assert_true(secret_set(&s, span_of(NULL, 0)));
	is_wiped(&s);
}

static void refuses_what_is_too_long(void **state)
{
	uint8_t bytes[SECRET_MAX + 1];
	struct secret s = { 0 };

	memset(bytes, 'x', sizeof(bytes));
	assert_true(secret_set(&s, span_of(bytes, SECRET_MAX)));
	assert_int_equal(secret_span(&s).len, SECRET_MAX);
	assert_false(secret_set(&s, span_of(bytes, SECRET_MAX + 1)));
	is_wiped(&s);
}

static void compares(void **state)
{
	assert_true(secret_equal(SPAN("abc"), SPAN("abc")));
	assert_true(secret_equal(SPAN(""), span_of(NULL, 0)));
	assert_true(secret_equal(SPAN("a\0b"), SPAN("a\0b")));
	assert_false(secret_equal(SPAN("a\0b"), SPAN("a\0c")));
	assert_false(secret_equal(SPAN("abc"), SPAN("abd")));
	assert_false(secret_equal(SPAN("abc"), SPAN("Abc")));
	assert_false(secret_equal(SPAN("abc"), SPAN("ab")));
	assert_false(secret_equal(SPAN("ab"), SPAN("abc")));
	assert_false(secret_equal(SPAN("a"), SPAN("")));
}

/* Differences must add up, not cancel out; lengths differ by 256 too. */
static void compares_every_bit(void **state)
{
	uint8_t a[300] = { 0 }, b[300] = { 0 };

	for (unsigned int bit = 0; bit < 8 * sizeof(a); bit++) {
		b[bit / 8] = (uint8_t)(1u << bit % 8);
		assert_false(secret_equal(span_of(a, sizeof(a)),
					  span_of(b, sizeof(b))));
		b[bit / 8] = 0;
	}
	b[0] = b[1] = 1;
	assert_false(secret_equal(span_of(a, 300), span_of(b, 300)));
	assert_false(secret_equal(span_of(a, 300), span_of(a, 44)));
	assert_false(secret_equal(span_of(a, 256), span_of(a, 0)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keeps_any_bytes),
		cmocka_unit_test(leaves_nothing_of_a_longer_one),
		cmocka_unit_test(refuses_what_is_too_long),
		cmocka_unit_test(compares),
		cmocka_unit_test(compares_every_bit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
