/* Addresses and ranges to listen on: what is one, and what is said otherwise. */
#include "config/value.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define N_OF(array) (sizeof(array) / sizeof(*(array)))

static void refused(const char *text, const char *wanted)
{
	struct config_address a = { .len = 7 };

	assert_false(value_address(text, &a));
	assert_int_equal(a.len, 7);
	assert_string_equal(value_address_wanted(text), wanted);
}

static void test_one(void **state)
{
	struct config_address a = { .range_bits = 9 };

	assert_true(value_address("192.0.2.1:465", &a));
	assert_int_equal(a.in.sin_family, AF_INET);
	assert_int_equal(ntohs(a.in.sin_port), 465);
	assert_int_equal(ntohl(a.in.sin_addr.s_addr), 0xc0000201);
	assert_int_equal(a.len, sizeof(a.in));
	assert_int_equal(a.range_bits, 0);
	assert_true(value_address("[::1]:65535", &a));
	assert_int_equal(a.in6.sin6_family, AF_INET6);
	assert_int_equal(ntohs(a.in6.sin6_port), 65535);
	assert_memory_equal(&a.in6.sin6_addr, &in6addr_loopback, 16);
	assert_int_equal(a.len, sizeof(a.in6));
	assert_true(
		value_address("192.0.2.1/32:465", &a)); /* no more than it */
	assert_int_equal(a.range_bits, 0);
	assert_true(value_address("[::1/128]:465", &a));
	assert_int_equal(a.range_bits, 0);
}

static void test_range(void **state)
{
	struct config_address a = { 0 };

	assert_true(value_address("192.0.2.0/24:465", &a));
	assert_int_equal(ntohl(a.in.sin_addr.s_addr), 0xc0000200);
	assert_int_equal(ntohs(a.in.sin_port), 465);
	assert_int_equal(a.range_bits, 24);
	assert_true(value_address("[2001:db8::/64]:587", &a));
	assert_int_equal(a.in6.sin6_family, AF_INET6);
	assert_int_equal(ntohs(a.in6.sin6_port), 587);
	assert_int_equal(a.range_bits, 64);
}

static void test_neither(void **state)
{
	static const char *const bad[] = {
		"localhost:1",
		"1.2.3.4",
		"1.2.3.4:0",
		"::1:5",
		"[::1]",
		"1.2.3.4:65536",
		"[1.2.3.4]:5",
		"1.2.3.0/:5",
		"1.2.3.0/33:5",
		"::/64:5",
		"[::/129]:5",
		"[1.2.3.0/24]:5",
		"[::1]/64:5",
		"1.2.3.0/x:5",
		"[::ffff:1.2.3.0/120]:5",
		"",
		":5",
		"/24:5",
		"1.2.3.0/000000000000000000000000000000000000000000000000024:5",
	};

	for (size_t i = 0; i < N_OF(bad); i++)
		refused(bad[i], "an address like \"192.0.2.1:465\" or "
				"\"[2001:db8::1]:465\", or a range like "
				"\"192.0.2.0/24:465\" or "
				"\"[2001:db8::/64]:465\"");
}

static void test_host_bits(void **state)
{
	static const char wanted[] =
		"a range: its address has bits beyond its length";

	refused("1.2.3.4/24:5", wanted);
	refused("[2001:db8::1/64]:5", wanted);
}

static void test_all(void **state)
{
	static const char wanted[] =
		"a range: all addresses are written 0.0.0.0 or [::]";

	refused("0.0.0.0/0:5", wanted);
	refused("[::/0]:5", wanted);
}

static void test_ports(void **state)
{
	static const char wanted[] =
		"an address with one port: there are no ranges of ports";

	refused("1.2.3.0/24:465-587", wanted);
	refused("[::1]:465-587", wanted);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one),
		cmocka_unit_test(test_range),
		cmocka_unit_test(test_neither),
		cmocka_unit_test(test_host_bits),
		cmocka_unit_test(test_all),
		cmocka_unit_test(test_ports),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
