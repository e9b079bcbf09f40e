/* How weights become the table of a lane. */
#include "steer/spread.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define TABLE 128

static uint8_t table[TABLE];

static uint32_t share(uint32_t worker)
{
	uint32_t n = 0;

	for (size_t i = 0; i < TABLE; i++)
		n += table[i] == worker;
	return n;
}

static void test_alike(void **state)
{
	const uint8_t weights[] = { 100, 100, 100, 100 };

	spread_fill(weights, 4, table, TABLE);
	for (size_t i = 0; i < TABLE; i++)
		assert_int_equal(table[i], i % 4);
}

static void test_weights(void **state)
{
	const uint8_t weights[] = { 100, 50, 0, 50 };

	spread_fill(weights, 4, table, TABLE);
	assert_int_equal(share(0), 64);
	assert_int_equal(share(1), 32);
	assert_int_equal(share(2), 0);
	assert_int_equal(share(3), 32);
	for (size_t i = 0; i + 2 < TABLE; i++) /* mixed, not in runs */
		assert_false(table[i] == table[i + 1] &&
			     table[i] == table[i + 2]);
}

/* The one after an odd number of places is always the other. */
static void test_two(void **state)
{
	const uint8_t weights[] = { 1, 1 };

	spread_fill(weights, 2, table, TABLE);
	for (size_t i = 0; i < TABLE; i++)
		for (size_t odd = 1; odd < TABLE; odd += 2)
			assert_int_not_equal(table[i],
					     table[(i + odd) % TABLE]);
}

static void test_nobody(void **state)
{
	const uint8_t weights[] = { 0, 0 };

	spread_fill(weights, 2, table, TABLE);
	assert_int_equal(share(0), TABLE / 2);
	assert_int_equal(share(1), TABLE / 2);
}

static void test_many(void **state)
{
	uint8_t weights[64];

	for (size_t i = 0; i < 64; i++)
		weights[i] = 100;
	weights[63] = 0;
	spread_fill(weights, 64, table, TABLE);
	assert_int_equal(share(63), 0);
	for (uint32_t i = 0; i < 63; i++)
		assert_in_range(share(i), 2, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_alike), cmocka_unit_test(test_weights),
		cmocka_unit_test(test_two),   cmocka_unit_test(test_nobody),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
