/* When a message is tried again, and what becomes of a recipient. */
#include "relay/schedule.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const struct schedule_options options = {
	.first = 60,
	.longest = 3600,
	.give_up = 432000,
};

static void delays_double_and_spread(void **state)
{
	struct schedule s;
	uint32_t nominal = 60;

	schedule_init(&s, &options, 1);
	for (uint32_t n = 1; n < 20; n++) {
		uint32_t low = UINT32_MAX, high = 0;

		for (int i = 0; i < 1000; i++) {
			uint32_t delay = schedule_delay_s(&s, n);

			low = delay < low ? delay : low;
			high = delay > high ? delay : high;
		}
		assert_in_range(low, nominal - nominal / 4, nominal);
		assert_in_range(high, nominal, nominal + nominal / 4);
		assert_true(high - low > nominal / 4); /* it does spread */
		nominal = nominal * 2 < 3600 ? nominal * 2 : 3600;
	}
}

static void delays_are_never_nothing(void **state)
{
	const struct schedule_options none = { 0 };
	struct schedule s;

	schedule_init(&s, &none, 1);
	assert_int_equal(schedule_delay_s(&s, 1), 1);
	assert_int_equal(schedule_delay_s(&s, UINT32_MAX), 1);
}

static void same_seed_same_delays(void **state)
{
	struct schedule a, b;

	schedule_init(&a, &options, 42);
	schedule_init(&b, &options, 42);
	for (uint32_t n = 1; n < 100; n++)
		assert_int_equal(schedule_delay_s(&a, n),
				 schedule_delay_s(&b, n));
}

static void fates(void **state)
{
	const uint64_t first = 1000, late = first + 432000;
	struct schedule s;

	schedule_init(&s, &options, 1);
	assert_int_equal(schedule_fate(&s, SCHEDULE_DELIVERED, first, late),
			 SCHEDULE_FORGET);
	assert_int_equal(schedule_fate(&s, SCHEDULE_REFUSED, 0, first),
			 SCHEDULE_HOLD);
	assert_int_equal(schedule_fate(&s, SCHEDULE_DEFERRED, 0, late),
			 SCHEDULE_RETRY);
	assert_int_equal(schedule_fate(&s, SCHEDULE_DEFERRED, first, late - 1),
			 SCHEDULE_RETRY);
	assert_int_equal(schedule_fate(&s, SCHEDULE_DEFERRED, first, late),
			 SCHEDULE_HOLD);
	assert_int_equal(schedule_fate(&s, SCHEDULE_OPEN, first, late - 1),
			 SCHEDULE_RETRY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(delays_double_and_spread),
		cmocka_unit_test(delays_are_never_nothing),
		cmocka_unit_test(same_seed_same_delays),
		cmocka_unit_test(fates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
