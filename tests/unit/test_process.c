/* Which children there are, and when a dead one may start again. */
#include "super/process.h"

#include "unit/aborts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#define NOW 5000000u

static struct process_table table;
static int command[2]; /* a worker's end, ours */

static int setup(void **state)
{
	memset(&table, 0, sizeof(table));
	(void)signal(SIGPIPE, SIG_IGN);
	return pipe2(command, O_CLOEXEC | O_NONBLOCK);
}

static int teardown(void **state)
{
	(void)close(command[0]);
	(void)close(command[1]);
	return 0;
}

static struct process *begin(void)
{
	struct process_role role = { PROCESS_GATEWAY, 3, 7 };
	uint32_t slot = 0;

	while (table.entries[slot].state != PROCESS_FREE)
		slot++;
	return process_begin(&table, slot, role);
}

/* One that runs; `p` hears over the pipe. */
static struct process *begin_and_start(pid_t pid, uint64_t now_ms)
{
	struct process *p = begin();

	process_started(p, pid, dup(command[1]), now_ms);
	return p;
}

static void hears(const char *commands)
{
	char bytes[16] = { 0 };
	ssize_t n = read(command[0], bytes, sizeof(bytes) - 1);

	assert_int_equal(n < 0 ? 0 : n, strlen(commands));
	assert_string_equal(bytes, commands);
}

static void begins_waiting_and_is_due_at_once(void **state)
{
	struct process *p = begin();

	assert_int_equal(p->state, PROCESS_WAITING);
	assert_int_equal(p->kind, PROCESS_GATEWAY);
	assert_int_equal(p->index, 3);
	assert_int_equal(p->generation, 7);
	assert_string_equal(p->name, "gateway-3");
	assert_int_equal(p->command_fd, -1);
	assert_int_equal(process_wait_ms(&table, 0), 0);
	assert_int_equal(process_count(&table), 1);
	assert_int_equal(process_slot(&table, p), 0);
	p = process_begin(&table, PROCESS_MAX - 1,
			  (struct process_role){ PROCESS_RELAY, UINT32_MAX,
						 0 });
	assert_int_equal(process_slot(&table, p), PROCESS_MAX - 1);
	assert_string_equal(p->name, "relay-4294967295");
}

static void runs_until_it_dies(void **state)
{
	struct process *p = begin_and_start(1234, NOW);
	int fd = p->command_fd;

	assert_int_equal(p->state, PROCESS_RUNNING);
	assert_ptr_equal(process_find(&table, 1234), p);
	assert_null(process_find(&table, 1235));
	assert_int_equal(process_wait_ms(&table, NOW), UINT32_MAX);
	process_died(p, NOW + 60000);
	assert_int_equal(p->state, PROCESS_WAITING);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	assert_null(process_find(&table, 1234));
	assert_int_equal(process_count(&table), 1);
	assert_int_equal(p->restarts, 1);
}

/* Starts at `now`, dies `after_ms` later; how long until it may start again. */
static uint64_t die(struct process *p, uint64_t *now, uint32_t after_ms)
{
	process_started(p, 99, -1, *now);
	*now += after_ms;
	process_died(p, *now);
	assert_int_equal(process_wait_ms(&table, *now), p->start_ms - *now);
	return p->start_ms - *now;
}

static void waits_longer_each_time_it_dies_soon(void **state)
{
	static const uint32_t waits_s[] = { 0,  1,  2,  4,  8, 16,
					    32, 60, 60, 60, 60 };
	struct process *p = begin();
	uint64_t now = NOW;

	for (size_t i = 0; i < sizeof(waits_s) / sizeof(waits_s[0]); i++) {
		assert_int_equal(die(p, &now, 9999), waits_s[i] * 1000);
		now = p->start_ms;
	}
	for (int i = 0; i < 1000; i++)
		assert_int_equal(die(p, &now, 0), 60000);
	assert_int_equal(p->restarts, 1011);
}

static void a_long_life_pays_the_debt(void **state)
{
	struct process *p = begin();
	uint64_t now = NOW;

	assert_int_equal(die(p, &now, 10), 0);
	assert_int_equal(die(p, &now, 10), 1000);
	assert_int_equal(die(p, &now, 10), 2000);
	assert_int_equal(die(p, &now, 10000), 0);
	assert_int_equal(die(p, &now, 10), 0);
	assert_int_equal(die(p, &now, 10), 1000);
}

static void waits_for_the_soonest(void **state)
{
	struct process *a = begin(), *b;
	uint64_t now = NOW;

	for (int i = 0; i < 4; i++)
		(void)die(a, &now, 0); /* due in 4 s */
	b = begin();
	assert_int_equal(process_wait_ms(&table, now), 0);
	process_started(b, 5, -1, now);
	assert_int_equal(process_wait_ms(&table, now), 4000);
	assert_int_equal(process_wait_ms(&table, now + 3999), 1);
	assert_int_equal(process_wait_ms(&table, now + 4000), 0);
	assert_int_equal(process_wait_ms(&table, now + 9000), 0);
	process_died(b, now + 1);
	assert_int_equal(process_wait_ms(&table, now + 1), 0);
}

static void one_that_is_told_to_leave_is_not_started_again(void **state)
{
	struct process *p = begin_and_start(1234, NOW);

	process_dismiss(p, 'd');
	assert_int_equal(p->state, PROCESS_LEAVING);
	hears("d");
	assert_int_equal(process_count(&table), 1);
	assert_ptr_equal(process_find(&table, 1234), p);
	assert_int_equal(process_wait_ms(&table, NOW), UINT32_MAX);
	process_dismiss(p, 'q'); /* told again, more urgently */
	hears("q");
	process_died(p, NOW + 1);
	assert_int_equal(p->state, PROCESS_FREE);
	assert_int_equal(process_count(&table), 0);
	assert_int_equal(process_wait_ms(&table, NOW), UINT32_MAX);
	assert_null(process_find(&table, 1234));
}

static void one_that_waits_leaves_at_once(void **state)
{
	struct process *p = begin();

	process_dismiss(p, 'd');
	assert_int_equal(p->state, PROCESS_FREE);
	assert_int_equal(process_count(&table), 0);
}

/* It reads no more, or is dead already: its death will be reported. */
static void a_deaf_one_is_expected_to_leave_too(void **state)
{
	struct process *p = begin_and_start(1234, NOW);
	int fd = p->command_fd;

	(void)close(command[0]);
	command[0] = -1;
	process_dismiss(p, 'd');
	assert_int_equal(p->state, PROCESS_LEAVING);
	assert_int_equal(p->command_fd, -1);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	process_dismiss(p, 'd');
	assert_int_equal(p->state, PROCESS_LEAVING);
	process_died(p, NOW);
	assert_int_equal(p->state, PROCESS_FREE);
}

static void all_slots_can_be_used(void **state)
{
	for (uint32_t i = 0; i < PROCESS_MAX; i++)
		process_started(begin(), (pid_t)(1000 + i), -1, NOW);
	assert_int_equal(process_count(&table), PROCESS_MAX);
	for (uint32_t i = 0; i < PROCESS_MAX; i++)
		assert_ptr_equal(process_find(&table, (pid_t)(1000 + i)),
				 &table.entries[i]);
	process_dismiss(&table.entries[50], 'd');
	process_died(&table.entries[50], NOW);
	assert_ptr_equal(begin(), &table.entries[50]);
}

static void begin_first(void)
{
	(void)process_begin(&table, 0,
			    (struct process_role){ PROCESS_RELAY, 0, 1 });
}

static void a_slot_in_use_is_not_used_again(void **state)
{
	assert_false(aborts(begin_first));
	begin_first();
	assert_true(aborts(begin_first));
}

/* What a dead one said does not hold for the next. */
static void each_life_says_anew_that_it_serves(void **state)
{
	struct process *p = begin_and_start(1234, NOW);

	assert_false(p->serving);
	p->serving = true;
	process_died(p, NOW);
	process_started(p, 1235, -1, NOW);
	assert_false(p->serving);
}

/* Nothing of the life before shows in the next use of a slot. */
static void a_slot_is_used_again_from_scratch(void **state)
{
	struct process *p = begin();
	uint64_t now = NOW;

	for (int i = 0; i < 5; i++)
		(void)die(p, &now, 0);
	process_dismiss(p, 'd');
	assert_ptr_equal(begin(), p);
	assert_int_equal(p->restarts, 0);
	assert_int_equal(process_wait_ms(&table, 0), 0);
	assert_int_equal(die(p, &now, 0), 0);
	assert_int_equal(die(p, &now, 0), 1000);
}

#define PROCESS_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		PROCESS_TEST(begins_waiting_and_is_due_at_once),
		PROCESS_TEST(runs_until_it_dies),
		PROCESS_TEST(waits_longer_each_time_it_dies_soon),
		PROCESS_TEST(a_long_life_pays_the_debt),
		PROCESS_TEST(waits_for_the_soonest),
		PROCESS_TEST(one_that_is_told_to_leave_is_not_started_again),
		PROCESS_TEST(one_that_waits_leaves_at_once),
		PROCESS_TEST(a_deaf_one_is_expected_to_leave_too),
		PROCESS_TEST(all_slots_can_be_used),
		PROCESS_TEST(a_slot_in_use_is_not_used_again),
		PROCESS_TEST(each_life_says_anew_that_it_serves),
		PROCESS_TEST(a_slot_is_used_again_from_scratch),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
