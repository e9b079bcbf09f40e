/* Who fails how often within which time. */
#include "policy/offenders.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static struct offenders offenders;
static const struct offenders_limit limit = { .count = 3, .window_ms = 1000 };

static int setup(void **state)
{
	return offenders_init(&offenders, 64, 7);
}

static int teardown(void **state)
{
	offenders_fini(&offenders);
	return 0;
}

static struct prefix source(uint8_t a, uint8_t b)
{
	return (struct prefix){ .family = PREFIX_V4,
				.bits = 32,
				.address = { 10, 0, a, b } };
}

static bool note(struct prefix p, uint64_t now_ms)
{
	return offenders_note(&offenders, &p, now_ms, limit);
}

static void test_limit(void **state)
{
	assert_false(note(source(0, 1), 0));
	assert_false(note(source(0, 2), 0));
	assert_false(note(source(0, 1), 10));
	assert_true(note(source(0, 1), 20));
	assert_false(note(source(0, 1), 30)); /* begins anew */
	assert_false(note(source(0, 2), 40));
	assert_true(note(source(0, 2), 50));
}

static void test_window(void **state)
{
	assert_false(note(source(0, 1), 0));
	assert_false(note(source(0, 1), 999));
	assert_false(note(source(0, 1), 1000)); /* the first is too long ago */
	assert_false(note(source(0, 1), 1001));
	assert_true(note(source(0, 1), 1002));
}

/* The address alone is not the source: family and bits belong to it. */
static void test_sources(void **state)
{
	struct prefix net = source(0, 0), six = source(0, 1);

	net.bits = 24;
	six.family = PREFIX_V6;
	assert_false(note(source(0, 0), 0));
	assert_false(note(source(0, 0), 0));
	assert_false(note(net, 0));
	assert_false(note(source(0, 1), 0));
	assert_false(note(source(0, 1), 0));
	assert_false(note(six, 0));
}

/* A flood of sources drives out those that began longest ago. */
static void test_flood(void **state)
{
	assert_false(note(source(0, 1), 0));
	assert_false(note(source(0, 1), 0));
	for (uint32_t i = 0; i < 4096; i++)
		assert_false(
			note(source((uint8_t)(1 + i / 256), (uint8_t)i), 1));
	assert_false(note(source(0, 1), 2)); /* forgotten */
	assert_false(note(source(200, 1), 3));
	assert_false(note(source(200, 1), 3));
	assert_true(note(source(200, 1), 3)); /* and there is room */
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = { TEST(test_limit), TEST(test_window),
					    TEST(test_sources),
					    TEST(test_flood) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
