/* Slots of memory that several supervisors share never collide. */
#include "super/shared.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static struct shared memory;

static int setup(void **state)
{
	return shared_open(&memory);
}

static void unmap(struct shared *s)
{
	(void)munmap(s->common, sizeof(*s->common));
	(void)munmap(s->metrics, sizeof(*s->metrics));
	(void)close(s->common_fd);
	(void)close(s->metrics_fd);
}

static int teardown(void **state)
{
	unmap(&memory);
	return 0;
}

/* As another program sees it that got the descriptors. */
static int adopt(struct shared *ret, bool *ret_fresh)
{
	return shared_adopt(ret, fcntl(memory.common_fd, F_DUPFD_CLOEXEC, 0),
			    fcntl(memory.metrics_fd, F_DUPFD_CLOEXEC, 0),
			    ret_fresh);
}

static uint32_t claim(struct shared *s, pid_t owner)
{
	uint32_t slot = UINT32_MAX;

	assert_int_equal(shared_claim(s, owner, &slot), 0);
	return slot;
}

static void another_program_sees_the_same(void **state)
{
	struct shared other;
	struct ticket_key ours, theirs;
	bool fresh = true;

	metric_add(&memory.metrics->blocks[7], METRIC_AUTH_OK, 3);
	board_announce(&memory.common->board[9], 5, 6);
	assert_int_equal(adopt(&other, &fresh), 0);
	assert_false(fresh);
	assert_int_equal(metric_read(&other.metrics->blocks[7], METRIC_AUTH_OK),
			 3);
	assert_int_equal(atomic_load(&other.common->board[9].durable), 6);
	assert_true(ticket_keys_newest(&memory.common->ticket_keys, &ours));
	assert_true(ticket_keys_newest(&other.common->ticket_keys, &theirs));
	assert_memory_equal(&ours, &theirs, sizeof(ours));
	unmap(&other);
}

static void another_layout_is_refused(void **state)
{
	struct shared other;
	bool fresh;

	memory.common->stamp ^= 1;
	assert_int_equal(adopt(&other, &fresh), -EPROTO);
}

static void what_is_not_sealed_is_refused(void **state)
{
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct shared other;
	bool fresh;

	assert_int_equal(ftruncate(fd, sizeof(*memory.common)), 0);
	assert_int_equal(pwrite(fd, memory.common, sizeof(*memory.common), 0),
			 sizeof(*memory.common));
	assert_int_equal(shared_adopt(&other, fd, -1, &fresh), -EPROTO);
	assert_int_equal(shared_adopt(&other, STDIN_FILENO, -1, &fresh),
			 -EPROTO);
	(void)close(fd);
}

static void of_another_size_is_refused(void **state)
{
	struct shared other;
	bool fresh;

	assert_int_equal(ftruncate(memory.common_fd, 4096), -1);
	assert_int_equal(shared_adopt(&other, memory.metrics_fd, -1, &fresh),
			 -EPROTO);
}

/* Every version has counters of its own: they are no reason to refuse. */
static void other_counters_begin_anew(void **state)
{
	struct shared other;
	bool fresh = false;

	metric_add(&memory.metrics->blocks[7], METRIC_AUTH_OK, 3);
	memory.metrics->stamp ^= 1;
	assert_int_equal(adopt(&other, &fresh), 0);
	assert_true(fresh);
	assert_int_equal(metric_read(&other.metrics->blocks[7], METRIC_AUTH_OK),
			 0);
	metric_add(&other.metrics->blocks[7], METRIC_AUTH_OK, 1);
	assert_int_equal(
		metric_read(&memory.metrics->blocks[7], METRIC_AUTH_OK), 3);
	unmap(&other);
}

static void slots_are_given_once(void **state)
{
	struct shared other;
	bool taken[PROCESS_MAX] = { false };
	uint32_t slot;
	bool fresh;

	assert_int_equal(adopt(&other, &fresh), 0);
	for (uint32_t i = 0; i < PROCESS_MAX; i++) {
		slot = claim(i % 2 ? &other : &memory, getpid());
		assert_true(slot < PROCESS_MAX && !taken[slot]);
		taken[slot] = true;
	}
	assert_int_equal(shared_claim(&memory, getpid(), &slot), -ENOSPC);
	shared_release(&other, 17);
	assert_int_equal(claim(&memory, getpid()), 17);
	unmap(&other);
}

static void a_child_that_lost_its_slot_must_leave(void **state)
{
	uint32_t slot = claim(&memory, getpid());

	assert_true(shared_hold(&memory, slot, getpid()));
	assert_false(shared_hold(&memory, slot, getpid() + 1));
	shared_release(&memory, slot);
	assert_false(shared_hold(&memory, slot, getpid()));
}

/* A supervisor that claims a slot, forks its holder, and is killed. */
static pid_t orphan(uint32_t *ret_slot, int *ret_holder)
{
	int slot_pipe[2], holder[2];
	pid_t supervisor;

	assert_int_equal(pipe2(slot_pipe, O_CLOEXEC), 0);
	assert_int_equal(pipe2(holder, O_CLOEXEC), 0);
	supervisor = fork();
	if (!supervisor) {
		pid_t us = getpid();
		uint32_t slot;
		char byte;

		(void)close(holder[1]);
		if (shared_claim(&memory, us, &slot))
			_exit(EXIT_FAILURE);
		if (fork()) {
			(void)pause();
			_exit(EXIT_FAILURE);
		}
		if (!shared_hold(&memory, slot, us))
			_exit(EXIT_FAILURE);
		(void)!write(slot_pipe[1], &slot, sizeof(slot));
		(void)!read(holder[0], &byte, 1);
		_exit(EXIT_SUCCESS);
	}
	assert_int_equal(read(slot_pipe[0], ret_slot, sizeof(*ret_slot)),
			 sizeof(*ret_slot));
	(void)close(slot_pipe[0]);
	(void)close(slot_pipe[1]);
	(void)close(holder[0]);
	*ret_holder = holder[1];
	return supervisor;
}

static bool is_held_by_another(uint32_t slot)
{
	struct flock lock = { .l_type = F_WRLCK,
			      .l_whence = SEEK_SET,
			      .l_start = (off_t)slot,
			      .l_len = 1 };

	assert_int_equal(fcntl(memory.common_fd, F_GETLK, &lock), 0);
	return lock.l_type != F_UNLCK;
}

static void only_what_is_wholly_dead_is_swept(void **state)
{
	uint32_t slot, mine = claim(&memory, getpid());
	int holder;
	pid_t supervisor = orphan(&slot, &holder);

	board_announce(&memory.common->board[slot], 5, 6);
	metric_set(&memory.metrics->blocks[slot], METRIC_CONNECTIONS_NOW, 4);
	shared_sweep(&memory); /* both live */
	assert_int_equal(atomic_load(&memory.common->slots[slot].owner),
			 supervisor);
	(void)kill(supervisor, SIGKILL);
	(void)waitpid(supervisor, NULL, 0);
	shared_sweep(&memory); /* the child lives */
	assert_int_equal(atomic_load(&memory.common->slots[slot].owner),
			 supervisor);
	assert_int_equal(atomic_load(&memory.common->board[slot].durable), 6);
	(void)close(holder);
	while (is_held_by_another(slot)) /* init reaps it */
		(void)usleep(1000);
	shared_sweep(&memory);
	assert_int_equal(atomic_load(&memory.common->slots[slot].owner), 0);
	assert_int_equal(atomic_load(&memory.common->board[slot].durable), 0);
	assert_int_equal(metric_read(&memory.metrics->blocks[slot],
				     METRIC_CONNECTIONS_NOW),
			 0);
	assert_int_equal(atomic_load(&memory.common->slots[mine].owner),
			 getpid());
}

#define SHARED_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SHARED_TEST(another_program_sees_the_same),
		SHARED_TEST(another_layout_is_refused),
		SHARED_TEST(what_is_not_sealed_is_refused),
		SHARED_TEST(of_another_size_is_refused),
		SHARED_TEST(other_counters_begin_anew),
		SHARED_TEST(slots_are_given_once),
		SHARED_TEST(a_child_that_lost_its_slot_must_leave),
		SHARED_TEST(only_what_is_wholly_dead_is_swept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
