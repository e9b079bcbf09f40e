/* The counters and their table. */
#include "base/metric.h"

#include "aborts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

static void counts(void **state)
{
	struct metric_block b = { 0 };

	metric_add(&b, METRIC_COMMANDS, 2);
	metric_add(&b, METRIC_COMMANDS, 40);
	metric_add(&b, METRIC_QUEUE_NOW, 5);
	metric_sub(&b, METRIC_QUEUE_NOW, 2);
	metric_set(&b, METRIC_SEGMENTS_NOW, UINT64_MAX);
	assert_int_equal(metric_read(&b, METRIC_COMMANDS), 42);
	assert_int_equal(metric_read(&b, METRIC_QUEUE_NOW), 3);
	assert_true(metric_read(&b, METRIC_SEGMENTS_NOW) == UINT64_MAX);
	metric_add(&b, METRIC_SEGMENTS_NOW, 1); /* wraps, touches no other */
	for (int i = 0; i < METRIC_N; i++)
		if (i != METRIC_COMMANDS && i != METRIC_QUEUE_NOW)
			assert_int_equal(metric_read(&b, (enum metric)i), 0);
}

/* Names become parts of Prometheus' names: capitals, digits, underscores. */
static void each_has_a_name_of_its_own_and_a_help(void **state)
{
	assert_string_equal(metric_name(METRIC_MESSAGES_ACCEPTED),
			    "MESSAGES_ACCEPTED");
	for (int i = 0; i < METRIC_N; i++) {
		const char *name = metric_name((enum metric)i);

		assert_true(strlen(metric_help((enum metric)i)) > 5);
		assert_int_equal(strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
					      "0123456789_"),
				 strlen(name));
		for (int j = 0; j < i; j++)
			assert_string_not_equal(name,
						metric_name((enum metric)j));
	}
}

static void name_of_none(void)
{
	(void)metric_name(METRIC_N);
}

static void help_of_none(void)
{
	(void)metric_help(METRIC_N);
}

static void forbids_others(void **state)
{
	assert_true(aborts(name_of_none));
	assert_true(aborts(help_of_none));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counts),
		cmocka_unit_test(each_has_a_name_of_its_own_and_a_help),
		cmocka_unit_test(forbids_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
