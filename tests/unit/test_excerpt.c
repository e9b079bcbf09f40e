/* The line of the verifier's log that says why. */
#include "steer/excerpt.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>

static void assert_excerpt(const char *log, const char *wanted)
{
	char copy[512], got[33];

	(void)snprintf(copy, sizeof(copy), "%s", log);
	excerpt_take(copy, got, sizeof(got));
	assert_string_equal(got, wanted);
}

static void test_excerpt(void **state)
{
	assert_excerpt("0: (b7) r1 = 4\n"
		       "R2 pointer arithmetic prohibited\n"
		       "verification time 2388 usec\nstack depth 80\n"
		       "processed 87694 insns (limit 1000000)\n\n"
		       "-- END PROG LOAD LOG --\n",
		       "R2 pointer arithmetic prohibited");
	assert_excerpt("", "");
	assert_excerpt("processed 1 insns\n", "");
	assert_excerpt("0123456789012345678901234567890123456789",
		       "01234567890123456789012345678901");
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_excerpt) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
