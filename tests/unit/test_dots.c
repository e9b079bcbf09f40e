/* The list of lines that begin with a dot is bounded and says so. */
#include "base/dots.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void fills_up_and_says_so(void **state)
{
	struct dots d;

	dots_clear(&d);
	for (uint64_t i = 0; i < DOTS_MAX; i++)
		dots_add(&d, i << 40);
	assert_int_equal(d.n, DOTS_MAX);
	assert_false(d.partial);
	for (uint64_t i = 0; i < DOTS_MAX; i++)
		assert_true(d.at[i] == i << 40);
	dots_add(&d, UINT64_MAX);
	assert_int_equal(d.n, DOTS_MAX);
	assert_true(d.partial);
	dots_clear(&d);
	assert_int_equal(d.n, 0);
	assert_false(d.partial);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fills_up_and_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
