/*
 * The supervisor's answers to its children, over real sockets.
 */
#include "super/census.h"

#include "tls/diag.h"
#include "tlssock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

static struct process_table table;
static struct census census;
static int child; /* its end */

static int setup(void **state)
{
	struct process *p;
	int ends[2];

	table = (struct process_table){ 0 };
	census_init(&census);
	p = process_begin(&table, 0,
			  (struct process_role){ PROCESS_GATEWAY, 0, 1 });
	assert_int_equal(p->census_fd, -1);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
	process_started(p, 1, -1, 0);
	p->census_fd = ends[1];
	child = ends[0];
	return 0;
}

static int teardown(void **state)
{
	if (child >= 0)
		close(child);
	if (table.entries[0].census_fd >= 0)
		close(table.entries[0].census_fd);
	if (census.netlink >= 0)
		close(census.netlink);
	return 0;
}

/* A turn of the supervisor's loop; the number of children with news. */
static int turn(void)
{
	struct pollfd fds[PROCESS_MAX];
	int n;

	census_poll(&table, fds);
	n = poll(fds, PROCESS_MAX, 0);
	census_serve(&census, &table, fds);
	return n;
}

static void answers_come_back(void **state)
{
	struct diag_answer a;
	int fd[2];

	tlssock_pair(fd);
	for (uint32_t i = 0; i < 3; i++)
		assert_true(diag_send_question(child, fd[i % 2], i, 100 + i));
	assert_int_equal(turn(), 1);
	for (uint32_t i = 0; i < 3; i++) {
		assert_int_equal(recv(child, &a, sizeof(a), MSG_DONTWAIT),
				 sizeof(a));
		assert_int_equal(a.slot, i);
		assert_int_equal(a.generation, 100 + i);
		assert_int_equal(a.makers.tx, DIAG_UNKNOWN);
		assert_int_equal(a.makers.rx, DIAG_UNKNOWN);
	}
	assert_int_equal(turn(), 0);
	close(fd[0]);
	close(fd[1]);
}

/* However many there are, a turn ends; and so does the memory they take. */
static void a_turn_is_bounded(void **state)
{
	struct diag_answer a;
	uint32_t asked = 0, answered = 0, turns = 0;
	int fd[2];

	tlssock_pair(fd);
	while (diag_send_question(child, fd[0], asked, 0))
		asked++;
	assert_in_range(asked, 65, 100000);
	while (turn()) {
		uint32_t before = answered;

		while (recv(child, &a, sizeof(a), MSG_DONTWAIT) > 0)
			assert_int_equal(a.slot, answered++);
		assert_in_range(answered - before, 0, 64);
		assert_in_range(++turns, 1, 100000);
	}
	assert_int_equal(answered, asked);
	close(fd[0]);
	close(fd[1]);
}

static void what_is_no_question_ends_it(void **state)
{
	struct diag_question q[2] = { 0 };
	size_t lengths[] = { 1, sizeof(q[0]) - 1, sizeof(q[0]) + 1 };

	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(send(child, q, lengths[i], 0), lengths[i]);
		assert_int_equal(turn(), 1);
		assert_int_equal(table.entries[0].census_fd, -1);
		assert_int_equal(turn(), 0);
		teardown(state);
		setup(state);
	}
}

static void death_ends_it(void **state)
{
	close(child);
	child = -1;
	assert_int_equal(turn(), 1);
	assert_int_equal(table.entries[0].census_fd, -1);
	assert_int_equal(turn(), 0);
}

static void process_closes_it(void **state)
{
	uint8_t c;

	process_died(&table.entries[0], 0);
	assert_int_equal(table.entries[0].census_fd, -1);
	assert_int_equal(recv(child, &c, 1, MSG_DONTWAIT), 0);
	assert_int_equal(turn(), 0);
}

#define CENSUS_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CENSUS_TEST(answers_come_back),
		CENSUS_TEST(a_turn_is_bounded),
		CENSUS_TEST(what_is_no_question_ends_it),
		CENSUS_TEST(death_ends_it),
		CENSUS_TEST(process_closes_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
