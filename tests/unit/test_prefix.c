/* Prefixes as operators write them. */
#include "base/prefix.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct prefix parsed(const char *text)
{
	struct prefix p;

	assert_true(prefix_parse(span_str(text), &p));
	return p;
}

static void assert_round(const char *text, const char *wanted)
{
	struct prefix p = parsed(text);
	uint8_t storage[PREFIX_TEXT_MAX + 1];
	struct buf out;

	buf_init(&out, storage, sizeof(storage));
	prefix_put(&out, &p);
	buf_put_byte(&out, '\0');
	assert_false(out.overflowed);
	assert_string_equal((const char *)storage, wanted);
}

static void test_good(void **state)
{
	assert_round("192.0.2.0/24", "192.0.2.0/24");
	assert_round("192.0.2.1", "192.0.2.1");
	assert_round("192.0.2.1/32", "192.0.2.1");
	assert_round("0.0.0.0/0", "0.0.0.0/0");
	assert_round("2001:DB8::/32", "2001:db8::/32");
	assert_round("::1/128", "::1");
	assert_round("::/0", "::/0");
	assert_round("ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe/127",
		     "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe/127");
}

static void test_bad(void **state)
{
	static const char *const texts[] = {
		"",
		"/",
		"192.0.2.0/",
		"192.0.2/24",
		"192.0.2.0/33",
		"192.0.2.1/24",
		"2001:db8::/129",
		"2001:db8::1/32",
		"192.0.2.0/-1",
		"192.0.2.0/24/1",
		"localhost",
		"192.0.2.0/24 ",
		"[::1]",
		"0001:0001:0001:0001:0001:0001:0001:0001:0001:0001:0001/64",
	};
	const struct prefix before = { .bits = 7 };

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		struct prefix p = before;

		assert_false(prefix_parse(span_str(texts[i]), &p));
		assert_memory_equal(&p, &before, sizeof(p));
	}
	assert_false(prefix_parse(span_of((const uint8_t *)"::1\0/8", 6),
				  &(struct prefix){ 0 }));
}

static void test_contains(void **state)
{
	struct prefix net = parsed("10.128.0.0/9");
	struct prefix inside = parsed("10.200.0.0/16");
	struct prefix outside = parsed("10.127.0.0/16");
	struct prefix six = parsed("::/0");

	assert_true(prefix_contains(&net, &inside));
	assert_true(prefix_contains(&net, &net));
	assert_false(prefix_contains(&inside, &net));
	assert_false(prefix_contains(&net, &outside));
	assert_false(prefix_contains(&six, &net));
}

static void test_cut(void **state)
{
	static const struct {
		const char *prefix;
		uint32_t bits;
		const char *wanted;
	} cases[] = {
		{ "192.0.2.255", 25, "192.0.2.128/25" },
		{ "192.0.2.255", 0, "0.0.0.0/0" },
		{ "192.0.2.255", 32, "192.0.2.255" },
		{ "192.0.0.0/16", 24, "192.0.0.0/16" },
		{ "2001:db8:ffff::1", 36, "2001:db8:f000::/36" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct prefix p = parsed(cases[i].prefix);
		struct prefix wanted = parsed(cases[i].wanted);

		prefix_cut(&p, cases[i].bits);
		assert_memory_equal(&p, &wanted, sizeof(p));
	}
}

static void test_of_address(void **state)
{
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} a = { .in = { .sin_family = AF_INET } };
	struct prefix wanted = parsed("192.0.2.7");
	struct prefix p;

	assert_int_equal(inet_pton(AF_INET, "192.0.2.7", &a.in.sin_addr), 1);
	assert_true(prefix_of_address(&a.sa, &p));
	assert_memory_equal(&p, &wanted, sizeof(p));
	a.in6 = (struct sockaddr_in6){ .sin6_family = AF_INET6 };
	assert_int_equal(
		inet_pton(AF_INET6, "::ffff:192.0.2.7", &a.in6.sin6_addr), 1);
	assert_true(prefix_of_address(&a.sa, &p));
	assert_memory_equal(&p, &wanted, sizeof(p));
	assert_int_equal(inet_pton(AF_INET6, "2001:db8::7", &a.in6.sin6_addr),
			 1);
	wanted = parsed("2001:db8::7");
	assert_true(prefix_of_address(&a.sa, &p));
	assert_memory_equal(&p, &wanted, sizeof(p));
	a.sa.sa_family = AF_UNIX;
	assert_false(prefix_of_address(&a.sa, &p));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),       cmocka_unit_test(test_bad),
		cmocka_unit_test(test_contains),   cmocka_unit_test(test_cut),
		cmocka_unit_test(test_of_address),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
