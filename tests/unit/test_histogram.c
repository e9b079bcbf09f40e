/* The histogram of the load: errors are bounded, sums are exact. */
#include "load/histogram.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static struct histogram *fresh(void)
{
	struct histogram *h = calloc(1, sizeof(*h));

	assert_non_null(h);
	return h;
}

static void is_zero_when_empty(void **state)
{
	struct histogram *h = fresh();

	assert_int_equal(histogram_quantile(h, 0.5), 0);
	assert_int_equal(histogram_mean(h), 0);
	free(h);
}

/* A value alone is its own quantile, whatever its size. */
static void keeps_single_values(void **state)
{
	static const uint64_t values[] = {
		0, 1, 63, 64, 65, 1000, 1u << 20, UINT64_MAX - 1, UINT64_MAX
	};

	for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++) {
		struct histogram *h = fresh();

		histogram_record(h, values[i]);
		assert_true(histogram_quantile(h, 0.5) == values[i]);
		assert_true(histogram_quantile(h, 1) == values[i]);
		assert_true(h->min == values[i] && h->max == values[i]);
		free(h);
	}
}

/* No quantile is below the exact one, nor above it by more than 1/64. */
static void errs_by_a_64th_at_most(void **state)
{
	static const double shares[] = { 0.001, 0.1, 0.5, 0.9, 0.99, 0.9999 };
	struct histogram *h = fresh();
	const uint64_t n = 200000;

	for (uint64_t i = 1; i <= n; i++)
		histogram_record(h, i * 37);
	assert_int_equal(histogram_mean(h), (n + 1) * 37 / 2);
	for (size_t i = 0; i < sizeof(shares) / sizeof(*shares); i++) {
		double exact = shares[i] * (double)n * 37;
		double got = (double)histogram_quantile(h, shares[i]);

		assert_true(got >= exact);
		assert_true(got <= exact * (1 + 1.0 / 64) + 37);
	}
	assert_true(histogram_quantile(h, 1) == n * 37);
	assert_true(histogram_quantile(h, 0) == 37);
	free(h);
}

/* One value in a thousand is seen from p999 on, not before. */
static void sees_the_tail(void **state)
{
	struct histogram *h = fresh();

	for (int i = 0; i < 9990; i++)
		histogram_record(h, 100);
	for (int i = 0; i < 10; i++)
		histogram_record(h, 1000000);
	assert_in_range(histogram_quantile(h, 0.999), 100, 101);
	assert_int_equal(histogram_quantile(h, 0.9991), 1000000);
	free(h);
}

static void adds_up(void **state)
{
	struct histogram *a = fresh(), *b = fresh(), *all = fresh();

	for (uint64_t i = 0; i < 5000; i++) {
		uint64_t value = i * i % 77777;

		histogram_record(i % 3 ? a : b, value + 5);
		histogram_record(all, value + 5);
	}
	histogram_add(a, b);
	assert_memory_equal(a, all, sizeof(*a));
	histogram_clear(b);
	histogram_add(a, b);
	assert_memory_equal(a, all, sizeof(*a));
	free(a);
	free(b);
	free(all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(is_zero_when_empty),
		cmocka_unit_test(keeps_single_values),
		cmocka_unit_test(errs_by_a_64th_at_most),
		cmocka_unit_test(sees_the_tail),
		cmocka_unit_test(adds_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
