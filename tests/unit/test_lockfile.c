/* The pid file keeps a second supervisor away, and never a first one. */
#include "super/lockfile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOBODY ((pid_t)-7)

static char dir[] = "/tmp/test_lockfile.XXXXXX";
static char path[64];

static int setup(void **state)
{
	if (!mkdtemp(dir))
		return -1;
	(void)snprintf(path, sizeof(path), "%s/pid", dir);
	return 0;
}

static int teardown(void **state)
{
	(void)unlink(path);
	return rmdir(dir);
}

static void content_is(const char *wanted)
{
	char text[64] = { 0 };
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_true(read(fd, text, sizeof(text) - 1) >= 0);
	(void)close(fd);
	assert_string_equal(text, wanted);
}

static void content_is_our_pid(void)
{
	char wanted[32];

	(void)snprintf(wanted, sizeof(wanted), "%d\n", (int)getpid());
	content_is(wanted);
}

static void write_content(const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(write(fd, text, strlen(text)) >= 0);
	(void)close(fd);
}

static int take(void)
{
	pid_t owner = NOBODY;
	int fd = lockfile_take(path, &owner);

	assert_true(fd >= 0);
	assert_int_equal(owner, NOBODY);
	return fd;
}

static void is_held_by(pid_t wanted)
{
	pid_t owner = NOBODY;

	assert_int_equal(lockfile_take(path, &owner), -EEXIST);
	assert_int_equal(owner, wanted);
}

static void holds_our_pid(void **state)
{
	struct stat st;
	int fd;

	(void)umask(022);
	fd = take();
	content_is_our_pid();
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0644);
	lockfile_give(fd);
}

static void keeps_others_away_until_given(void **state)
{
	int fd = take();

	is_held_by(getpid());
	is_held_by(getpid());
	content_is_our_pid(); /* who failed changed nothing */
	lockfile_give(fd);
	content_is("");
	lockfile_give(take());
}

/* Killed, so it could not tidy up; its number may have been any length. */
static void a_stale_file_hinders_nobody(void **state)
{
	int fd;

	write_content("2147483647\nand some more\n");
	fd = take();
	content_is_our_pid();
	lockfile_give(fd);
}

/* The child takes the lock, says so and dies when told, without tidying up. */
static pid_t start_holder(int *ret_say, int *ret_hear)
{
	int say[2], hear[2];
	pid_t pid;
	char byte;

	assert_int_equal(pipe2(say, O_CLOEXEC) | pipe2(hear, O_CLOEXEC), 0);
	pid = fork();
	if (!pid) {
		pid_t owner;
		int fd = lockfile_take(path, &owner);

		(void)close(say[1]);
		(void)!write(hear[1], fd >= 0 ? "y" : "n", 1);
		(void)!read(say[0], &byte, 1);
		_exit(EXIT_SUCCESS);
	}
	(void)close(say[0]);
	(void)close(hear[1]);
	*ret_say = say[1];
	*ret_hear = hear[0];
	return pid;
}

static void the_lock_dies_with_its_process(void **state)
{
	int say, hear, fd;
	pid_t pid = start_holder(&say, &hear);
	char byte = 0;

	assert_int_equal(read(hear, &byte, 1), 1);
	assert_int_equal(byte, 'y');
	is_held_by(pid);
	(void)close(say);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	fd = take();
	content_is_our_pid();
	lockfile_give(fd);
	(void)close(hear);
}

/* It has the lock but has not written its pid yet, or wrote nonsense. */
static void an_owner_may_be_unknown(void **state)
{
	int fd = take();

	write_content("");
	is_held_by(0);
	write_content("nonsense\n");
	is_held_by(0);
	lockfile_give(fd);
}

static void says_why_there_is_no_lock(void **state)
{
	pid_t owner;

	assert_int_equal(lockfile_take("/nonexistent/pid", &owner), -ENOENT);
	assert_int_equal(lockfile_take(dir, &owner), -EISDIR);
	lockfile_give(-1); /* none was configured */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(holds_our_pid),
		cmocka_unit_test(keeps_others_away_until_given),
		cmocka_unit_test(a_stale_file_hinders_nobody),
		cmocka_unit_test(the_lock_dies_with_its_process),
		cmocka_unit_test(an_owner_may_be_unknown),
		cmocka_unit_test(says_why_there_is_no_lock),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
