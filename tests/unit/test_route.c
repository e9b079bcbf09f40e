/* Which route takes a recipient. */
#include "relay/route.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static uint32_t find(const struct route_table *t, const char *path)
{
	return route_find(t, span_str(path));
}

static void by_domain(void **state)
{
	static struct config config = {
		.routes = {
			{ .domains = { "b.example", "A.example" },
			  .domains_n = 2 },
			{ .domains_n = 0 },
			{ .domains = { "example", "a.example" },
			  .domains_n = 2 },
		},
		.routes_n = 3,
	};
	struct route_table t;

	assert_int_equal(route_init(&t, &config), 0);
	assert_int_equal(find(&t, "x@a.EXAMPLE"), 0);
	assert_int_equal(find(&t, "x@b.example"), 0);
	assert_int_equal(find(&t, "x@example"), 2);
	assert_int_equal(find(&t, "x@c.example"), 1);
	assert_int_equal(find(&t, "x@aa.example"), 1); /* a suffix is not it */
	assert_int_equal(find(&t, "\"x@c.example\"@a.example"), 0);
	assert_int_equal(find(&t, "postmaster"), 1);
	assert_int_equal(find(&t, ""), 1);
	route_fini(&t);
}

static void nobody_takes_it(void **state)
{
	static struct config config = {
		.routes = { { .domains = { "a.example" }, .domains_n = 1 } },
		.routes_n = 1,
	};
	struct route_table t;

	assert_int_equal(route_init(&t, &config), 0);
	assert_int_equal(find(&t, "x@b.example"), ROUTE_NONE);
	assert_int_equal(find(&t, "x@a.example"), 0);
	route_fini(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(by_domain),
		cmocka_unit_test(nobody_takes_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
