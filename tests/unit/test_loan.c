/* Lent receive buffers: they go back when all is used, once, and whence they
 * came. */
#include "ring/loan.h"

#include "aborts.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <stdio.h>
#include <sys/socket.h>

#define BUFFERS 2
#define BYTES   64

static struct ring ring;
static struct bufring groups[2];
static int pair[2];

static int setup(void **state)
{
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) ||
	    ring_init(&ring, 8))
		return -1;
	for (uint16_t i = 0; i < 2; i++)
		if (bufring_init(&groups[i], &ring, i, BUFFERS, BYTES))
			return -1;
	return 0;
}

static int teardown(void **state)
{
	for (int i = 0; i < 2; i++) {
		bufring_fini(&groups[i], &ring);
		(void)close(pair[i]);
	}
	ring_fini(&ring);
	return 0;
}

static struct ring_completion receive(uint16_t group, const char *text)
{
	struct ring_completion c;

	if (*text)
		assert_int_equal(write(pair[1], text, strlen(text)),
				 strlen(text));
	ring_recv_provided(&ring, pair[0], group, (struct ring_tag){ 1, 0, 0 });
	assert_int_equal(ring_wait(&ring, 5000), 0);
	assert_true(ring_next(&ring, &c));
	return c;
}

static struct loan borrow(uint16_t group, const char *text)
{
	struct ring_completion c = receive(group, text);
	struct loan l = { 0 };

	assert_int_equal(loan_take(&l, &groups[group], c.result, c.flags),
			 strlen(text));
	assert_true(loan_held(&l));
	assert_int_equal(groups[group].lent_n, 1);
	return l;
}

static void goes_back_when_all_is_used(void **state)
{
	for (uint16_t group = 0; group < 2; group++) {
		struct loan l = borrow(group, "NOOP\r\nQU");
		struct span all = loan_bytes(&l);

		assert_true(span_equal(all, SPAN("NOOP\r\nQU")));
		loan_used(&l, span_tail(all, 6));
		assert_true(span_equal(loan_bytes(&l), SPAN("QU")));
		assert_int_equal(groups[group].lent_n, 1);
		loan_used(&l, span_tail(all, 8));
		assert_false(loan_held(&l));
		assert_int_equal(loan_bytes(&l).len, 0);
		assert_int_equal(groups[group].lent_n, 0);
	}
}

static void is_held_until_it_is_settled(void **state)
{
	struct loan l = borrow(1, "NOOP\r\nQU");

	loan_advance(&l, span_tail(loan_bytes(&l), 6));
	loan_settle(&l);
	assert_true(span_equal(loan_bytes(&l), SPAN("QU")));
	loan_advance(&l, span_of(NULL, 0));
	assert_int_equal(loan_bytes(&l).len, 0);
	assert_int_equal(groups[1].lent_n, 1);
	loan_settle(&l);
	assert_int_equal(groups[1].lent_n, 0);
}

static void can_be_ended_early_and_again(void **state)
{
	struct loan l = borrow(0, "x");

	loan_end(&l);
	assert_int_equal(groups[0].lent_n, 0);
	loan_end(&l);
	loan_used(&l, span_of(NULL, 0));
	assert_int_equal(groups[0].lent_n, 0);
}

static void nothing_received_is_nothing_lent(void **state)
{
	struct loan l = { 0 };
	struct ring_completion c;

	assert_int_equal(loan_take(&l, &groups[0], -ENOBUFS, 0), 0);
	assert_false(loan_held(&l));
	(void)shutdown(pair[1], SHUT_WR);
	c = receive(0, "");
	assert_int_equal(c.result, 0);
	assert_int_equal(loan_take(&l, &groups[0], c.result, c.flags), 0);
	assert_false(loan_held(&l));
	assert_int_equal(groups[0].lent_n, 0);
}

/* Each runs in a process of its own, which may not use the ring. */
static struct loan held;
static struct ring_completion second;

static void lent_twice(void)
{
	(void)loan_take(&held, &groups[0], second.result, second.flags);
}

static void more_than_there_was(void)
{
	loan_used(&held, SPAN("xy"));
}

static void forbids_what_loses_a_buffer(void **state)
{
	held = borrow(0, "x");
	second = receive(0, "y");
	assert_true(aborts(lent_twice));
	assert_true(aborts(more_than_there_was));
}

#define LOAN_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LOAN_TEST(goes_back_when_all_is_used),
		LOAN_TEST(is_held_until_it_is_settled),
		LOAN_TEST(can_be_ended_early_and_again),
		LOAN_TEST(nothing_received_is_nothing_lent),
		LOAN_TEST(forbids_what_loses_a_buffer),
	};
	int result = ring_init(&ring, 8);

	if (result) {
		printf("1..0 # SKIP %s\n", ring_explain(result));
		return 0;
	}
	ring_fini(&ring);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
