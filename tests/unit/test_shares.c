#include "policy/shares.h"

#include "aborts.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdio.h>

#include <cmocka.h>

static void clients_have_shares_of_their_own(void **state)
{
	struct shares s;
	uint32_t a, b;

	assert_int_equal(shares_init(&s, 4, 1), 0);
	a = shares_hold(&s, SPAN("a"));
	b = shares_hold(&s, SPAN("b"));
	assert_int_not_equal(a, b);
	assert_int_equal(shares_hold(&s, SPAN("a")), a);
	shares_at(&s, a)->connections = 2;
	assert_int_equal(shares_at(&s, b)->connections, 0);
	assert_int_equal(shares_at(&s, a)->holders, 2);
	shares_fini(&s);
}

static void last_holder_frees(void **state)
{
	struct shares s;
	uint32_t a;

	assert_int_equal(shares_init(&s, 1, 1), 0);
	a = shares_hold(&s, SPAN("a"));
	assert_int_equal(shares_hold_again(&s, a), a);
	shares_at(&s, a)->messages = 1;
	shares_let_go(&s, a);
	assert_int_equal(shares_at(&s, a)->messages, 1);
	shares_at(&s, a)->messages = 0;
	shares_let_go(&s, a);
	/* The one entry is free again, for somebody else, and empty. */
	a = shares_hold(&s, SPAN("b"));
	assert_int_equal(shares_at(&s, a)->holders, 1);
	shares_let_go(&s, a);
	shares_fini(&s);
}

/* Against a plain array: who holds what after many random steps. */
static void many_clients_come_and_go(void **state)
{
	enum { CLIENTS = 200, STEPS = 100000 };
	uint32_t held[CLIENTS] = { 0 }, index[CLIENTS], all = 0;
	uint64_t random = 88172645463325252ull;
	struct shares s;

	assert_int_equal(shares_init(&s, CLIENTS / 2, 7), 0);
	for (int i = 0; i < STEPS; i++) {
		char name[16];
		uint32_t c;

		random ^= random << 13;
		random ^= random >> 7;
		random ^= random << 17;
		c = (uint32_t)(random % CLIENTS);
		(void)snprintf(name, sizeof(name), "client %u", c);
		if ((random >> 32 & 1) && all < CLIENTS / 2) {
			uint32_t got = shares_hold(&s, span_str(name));

			assert_true(!held[c] || index[c] == got);
			index[c] = got;
			shares_at(&s, got)->bytes = ++held[c];
			all++;
		} else if (held[c]) {
			assert_int_equal(shares_at(&s, index[c])->bytes,
					 held[c]);
			shares_at(&s, index[c])->bytes = --held[c];
			shares_let_go(&s, index[c]);
			all--;
		}
	}
	shares_fini(&s);
}

static void nobody_has_none(void **state)
{
	struct shares s;

	assert_int_equal(shares_init(&s, 1, 1), 0);
	assert_null(shares_at(&s, SHARES_NONE));
	assert_int_equal(shares_hold_again(&s, SHARES_NONE), SHARES_NONE);
	shares_let_go(&s, SHARES_NONE);
	shares_fini(&s);
}

static void hold_beyond_the_end(void)
{
	struct shares s;

	(void)shares_init(&s, 1, 1);
	(void)shares_hold(&s, SPAN("a"));
	(void)shares_hold(&s, SPAN("b"));
}

static void let_go_with_counts(void)
{
	struct shares s;

	(void)shares_init(&s, 1, 1);
	shares_at(&s, shares_hold(&s, SPAN("a")))->connections = 1;
	shares_let_go(&s, 0);
}

static void misuse_aborts(void **state)
{
	assert_true(aborts(hold_beyond_the_end));
	assert_true(aborts(let_go_with_counts));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(clients_have_shares_of_their_own),
		cmocka_unit_test(last_holder_frees),
		cmocka_unit_test(many_clients_come_and_go),
		cmocka_unit_test(nobody_has_none),
		cmocka_unit_test(misuse_aborts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
