/* The vocabulary of file operations, carried out by system calls. */
#include "base/io.h"

#include "aborts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

static char path[] = "/tmp/test_io.XXXXXX";
static int dir;

static int setup(void **state)
{
	if (!mkdtemp(path))
		return -1;
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return dir < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	(void)close(dir);
	return rmdir(path); /* fails when a test left something behind */
}

static int open_file(const char *name)
{
	const struct io io = { .kind = IO_OPEN,
			       .dir = dir,
			       .name = name,
			       .flags = O_RDWR | O_CREAT | O_CLOEXEC,
			       .mode = 0640 };
	int64_t result = io_run(&io);

	assert_true(result >= 0);
	return (int)result;
}

static void close_file(int fd)
{
	assert_int_equal(io_run(&(struct io){ .kind = IO_CLOSE, .fd = fd }), 0);
	assert_int_equal(io_run(&(struct io){ .kind = IO_CLOSE, .fd = fd }),
			 -EBADF);
}

static void unlink_file(const char *name)
{
	const struct io io = { .kind = IO_UNLINK, .dir = dir, .name = name };

	assert_int_equal(io_run(&io), 0);
	assert_int_equal(io_run(&io), -ENOENT);
}

static void opens_with_flags_and_mode(void **state)
{
	struct io io = { .kind = IO_OPEN,
			 .dir = dir,
			 .name = "a",
			 .flags = O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC };
	struct stat st;
	int fd;

	(void)umask(022);
	fd = open_file("a");
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0640);
	assert_int_equal(io_run(&io), -EEXIST);
	io.name = "none/b";
	assert_int_equal(io_run(&io), -ENOENT);
	close_file(fd);
	unlink_file("a");
}

static void writes_and_reads_vectors_at_offsets(void **state)
{
	static char one[] = "one", two[] = "two";
	char back[16] = { 0 };
	const struct iovec out[2] = { { one, 3 }, { two, 3 } };
	const struct iovec in = { back, sizeof(back) };
	struct io io = { .kind = IO_WRITE,
			 .fd = open_file("a"),
			 .iov = out,
			 .iov_n = 2,
			 .offset = 4096 };

	assert_int_equal(io_run(&io), 6);
	io.kind = IO_READ;
	io.iov = &in;
	io.iov_n = 1;
	io.offset = 4098;
	assert_int_equal(io_run(&io), 4);
	assert_string_equal(back, "etwo");
	io.offset = 4102;
	assert_int_equal(io_run(&io), 0);
	close_file(io.fd);
	assert_int_equal(io_run(&io), -EBADF);
	unlink_file("a");
}

static void allocates_without_growing(void **state)
{
	int fd = open_file("a");
	struct stat st;
	int64_t result = io_run(&(struct io){ .kind = IO_ALLOCATE,
					      .fd = fd,
					      .offset = 0,
					      .len = 1 << 16 });

	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, 0);
	if (!result) /* a file system may lack it, and says so */
		assert_true(st.st_blocks * 512 >= 1 << 16);
	else
		assert_int_equal(result, -EOPNOTSUPP);
	close_file(fd);
	unlink_file("a");
}

static void syncs_files_and_directories(void **state)
{
	int fd = open_file("a");

	assert_int_equal(io_run(&(struct io){ .kind = IO_DATASYNC, .fd = fd }),
			 0);
	assert_int_equal(io_run(&(struct io){ .kind = IO_SYNC, .fd = fd }), 0);
	assert_int_equal(io_run(&(struct io){ .kind = IO_SYNC, .fd = dir }), 0);
	close_file(fd);
	assert_int_equal(io_run(&(struct io){ .kind = IO_DATASYNC, .fd = fd }),
			 -EBADF);
	unlink_file("a");
}

static void renames_between_directories(void **state)
{
	struct io io = { .kind = IO_RENAME,
			 .dir = dir,
			 .new_dir = dir,
			 .name = "a",
			 .new_name = "b" };

	close_file(open_file("a"));
	assert_int_equal(io_run(&io), 0);
	assert_int_equal(io_run(&io), -ENOENT);
	assert_int_equal(mkdirat(dir, "d", 0700), 0);
	io.new_dir = openat(dir, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	io.name = "b";
	io.new_name = "c";
	assert_int_equal(io_run(&io), 0);
	(void)close(io.new_dir);
	unlink_file("d/c");
	assert_int_equal(unlinkat(dir, "d", AT_REMOVEDIR), 0);
}

static void locks_without_waiting(void **state)
{
	int holder = open_file("a");
	struct io io = { .kind = IO_LOCK,
			 .fd = holder,
			 .flags = LOCK_EX | LOCK_NB };

	assert_int_equal(io_run(&io), 0);
	io.fd = open_file("a");
	assert_int_equal(io_run(&io), -EWOULDBLOCK);
	close_file(holder);
	assert_int_equal(io_run(&io), 0);
	close_file(io.fd);
	unlink_file("a");
}

static void on_signal(int signal)
{
}

/* Holds the lock, interrupts who waits for it, and lets go a moment later. */
_Noreturn static void hold_and_interrupt(int ready)
{
	struct io io = { .kind = IO_LOCK, .flags = LOCK_EX };

	io.fd = open_file("a");
	(void)io_run(&io);
	(void)!write(ready, "", 1);
	(void)usleep(20000);
	(void)kill(getppid(), SIGUSR1);
	(void)usleep(20000);
	_exit(EXIT_SUCCESS);
}

static void tries_again_when_interrupted(void **state)
{
	struct sigaction action = { .sa_handler = on_signal }; /* no RESTART */
	struct io io = { .kind = IO_LOCK, .flags = LOCK_EX };
	int fds[2];
	pid_t pid;
	char byte;

	assert_int_equal(sigaction(SIGUSR1, &action, NULL), 0);
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	pid = fork();
	if (!pid)
		hold_and_interrupt(fds[1]);
	assert_int_equal(read(fds[0], &byte, 1), 1);
	io.fd = open_file("a");
	assert_int_equal(io_run(&io), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	(void)close(fds[0]);
	(void)close(fds[1]);
	close_file(io.fd);
	unlink_file("a");
}

static void names_the_system_calls(void **state)
{
	assert_string_equal(io_name(IO_DATASYNC), "fdatasync");
	assert_string_equal(io_name(IO_KINDS), "unknown");
	for (int i = 0; i < IO_KINDS; i++) {
		assert_non_null(io_name((enum io_kind)i));
		for (int j = 0; j < i; j++)
			assert_string_not_equal(io_name((enum io_kind)i),
						io_name((enum io_kind)j));
	}
}

static void run_nothing(void)
{
	(void)io_run(&(struct io){ .kind = IO_NONE });
}

static void forbids_what_is_no_operation(void **state)
{
	assert_true(aborts(run_nothing));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(opens_with_flags_and_mode),
		cmocka_unit_test(writes_and_reads_vectors_at_offsets),
		cmocka_unit_test(allocates_without_growing),
		cmocka_unit_test(syncs_files_and_directories),
		cmocka_unit_test(renames_between_directories),
		cmocka_unit_test(locks_without_waiting),
		cmocka_unit_test(tries_again_when_interrupted),
		cmocka_unit_test(names_the_system_calls),
		cmocka_unit_test(forbids_what_is_no_operation),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
