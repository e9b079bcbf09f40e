/* The ring against this kernel: every operation, its tag, its result. */
#include "ring/ring.h"

#include "aborts.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>

#define ENTRIES 8

static struct ring ring;

static int setup(void **state)
{
	return ring_init(&ring, ENTRIES);
}

static int teardown(void **state)
{
	ring_fini(&ring);
	return 0;
}

static struct ring_tag tag_of(uint8_t kind, uint32_t slot, uint32_t generation)
{
	return (struct ring_tag){ kind, slot, generation };
}

/* The next completion, which must be that of `kind`; its result. */
static struct ring_completion complete(uint8_t kind)
{
	struct ring_completion c;

	if (!ring_next(&ring, &c)) {
		assert_int_equal(ring_wait(&ring, 5000), 0);
		assert_true(ring_next(&ring, &c));
	}
	assert_int_equal(c.tag.kind, kind);
	return c;
}

static void silent(void)
{
	struct ring_completion c;

	assert_int_equal(ring_wait(&ring, 0), 0);
	assert_false(ring_next(&ring, &c));
}

static uint64_t now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void tags_come_back(void **state)
{
	static const struct ring_tag tags[] = {
		{ 0, 0, 0 },          { 1, 2, 3 },
		{ 255, 0, 0 },        { 0, 0xffffff, 0 },
		{ 0, 0, 0xffffffff }, { 0x12, 0x345678, 0x9abcdef0 },
	};

	for (size_t i = 0; i < sizeof(tags) / sizeof(tags[0]); i++) {
		struct ring_completion c;

		ring_close(&ring, -1, tags[i]);
		c = complete(tags[i].kind);
		assert_int_equal(c.tag.slot, tags[i].slot);
		assert_int_equal(c.tag.generation, tags[i].generation);
		assert_int_equal(c.result, -EBADF);
	}
}

static void slot_too_large(void)
{
	ring_close(&ring, -1, tag_of(1, 1 << 24, 0));
}

static void forbids_tags_that_do_not_fit(void **state)
{
	assert_true(aborts(slot_too_large));
}

static void waits_as_long_as_told(void **state)
{
	uint64_t before = now_ms(), enters = ring.enters;

	silent();
	assert_true(now_ms() - before < 1000);
	assert_int_equal(ring_wait(&ring, 20), 0);
	assert_in_range(now_ms() - before, 20, 2000);
	assert_int_equal(ring.enters, enters + 2);
}

/* A long wait ends with the first completion. */
static void a_completion_ends_the_wait(void **state)
{
	static const uint32_t limits_ms[] = { 10000, UINT32_MAX };
	uint64_t before = now_ms();

	for (int i = 0; i < 2; i++) {
		ring_close(&ring, -1, tag_of(1, 0, 0));
		assert_int_equal(ring_wait(&ring, limits_ms[i]), 0);
		assert_int_equal(complete(1).result, -EBADF);
	}
	assert_true(now_ms() - before < 5000);
}

static void on_signal(int signal)
{
}

static void a_signal_ends_the_wait_quietly(void **state)
{
	/* Again and again: the first may come before the wait has begun. */
	const struct itimerval soon = { .it_value.tv_usec = 10000,
					.it_interval.tv_usec = 10000 };
	const struct itimerval never = { 0 };
	struct sigaction action = { .sa_handler = on_signal }; /* no RESTART */

	assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
	assert_int_equal(setitimer(ITIMER_REAL, &soon, NULL), 0);
	assert_int_equal(ring_wait(&ring, UINT32_MAX), 0);
	assert_int_equal(setitimer(ITIMER_REAL, &never, NULL), 0);
	silent();
}

/* More than both queues hold: none is lost, none comes twice. */
static void takes_more_than_its_queues(void **state)
{
	uint8_t seen[ENTRIES * 32] = { 0 };
	uint32_t n = 0;

	for (uint32_t i = 0; i < sizeof(seen); i++)
		ring_close(&ring, -1, tag_of(1, i, 0));
	while (n < sizeof(seen)) {
		struct ring_completion c = complete(1);

		assert_in_range(c.tag.slot, 0, sizeof(seen) - 1);
		assert_int_equal(seen[c.tag.slot]++, 0);
		n++;
	}
	silent();
}

static void reads_and_cancels(void **state)
{
	uint64_t value = 0;
	int fd = eventfd(7, EFD_CLOEXEC);
	struct span_mut into = { (uint8_t *)&value, sizeof(value) };

	ring_read(&ring, fd, into, tag_of(1, 5, 6));
	assert_int_equal(complete(1).result, 8);
	assert_int_equal(value, 7);
	ring_read(&ring, fd, into, tag_of(1, 5, 7));
	silent();
	ring_cancel(&ring, tag_of(1, 5, 6), tag_of(2, 0, 0));
	assert_int_equal(complete(2).result, -ENOENT);
	silent();
	ring_cancel(&ring, tag_of(1, 5, 7), RING_NOBODY);
	for (int i = 0; i < 2; i++) { /* in either order */
		struct ring_completion c;

		assert_int_equal(ring_wait(&ring, 5000), 0);
		assert_true(ring_next(&ring, &c));
		assert_int_equal(c.result, c.tag.kind ? -ECANCELED : 0);
	}
	ring_close(&ring, fd, tag_of(3, 0, 0));
	assert_int_equal(complete(3).result, 0);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
}

static int listen_on(struct sockaddr_in *address)
{
	socklen_t len = sizeof(*address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	*address = (struct sockaddr_in){ .sin_family = AF_INET };
	address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, (struct sockaddr *)address, len), 0);
	assert_int_equal(listen(fd, 16), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)address, &len), 0);
	return fd;
}

static int connect_to(const struct sockaddr_in *address, int *ret_accepted)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool connected = false;

	*ret_accepted = -1;
	ring_connect(&ring, fd, (const struct sockaddr *)address,
		     sizeof(*address), tag_of(2, 0, 0));
	while (!connected || *ret_accepted < 0) {
		struct ring_completion c;

		assert_int_equal(ring_wait(&ring, 5000), 0);
		while (ring_next(&ring, &c)) {
			assert_true(c.result >= 0);
			if (c.tag.kind == 1) {
				*ret_accepted = c.result;
				assert_true(c.flags & IORING_CQE_F_MORE);
			} else {
				connected = true;
			}
		}
	}
	return fd;
}

static void accepts_until_cancelled(void **state)
{
	struct sockaddr_in address;
	int fd = listen_on(&address);
	int accepted[3], connected[3];

	ring_accept_multishot(&ring, fd, tag_of(1, 9, 9));
	for (int i = 0; i < 3; i++) {
		connected[i] = connect_to(&address, &accepted[i]);
		assert_true(fcntl(accepted[i], F_GETFD) & FD_CLOEXEC);
	}
	ring_cancel(&ring, tag_of(1, 9, 9), RING_NOBODY);
	for (int i = 0; i < 2; i++) {
		struct ring_completion c;

		assert_int_equal(ring_wait(&ring, 5000), 0);
		assert_true(ring_next(&ring, &c));
		assert_int_equal(c.result, c.tag.kind ? -ECANCELED : 0);
		assert_false(c.flags & IORING_CQE_F_MORE);
	}
	for (int i = 0; i < 3; i++) {
		(void)close(connected[i]);
		(void)close(accepted[i]);
	}
	(void)close(fd);
}

static void says_when_nobody_listens(void **state)
{
	struct sockaddr_in address;
	int fd = listen_on(&address);

	(void)close(fd);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ring_connect(&ring, fd, (struct sockaddr *)&address, sizeof(address),
		     tag_of(2, 0, 0));
	assert_int_equal(complete(2).result, -ECONNREFUSED);
	(void)close(fd);
}

/* And no SIGPIPE when the peer is gone. */
static void sends(void **state)
{
	char bytes[16] = { 0 };
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	ring_send(&ring, fds[0], SPAN("250 ok\r\n"), tag_of(1, 0, 0));
	assert_int_equal(complete(1).result, 8);
	assert_int_equal(read(fds[1], bytes, sizeof(bytes)), 8);
	assert_string_equal(bytes, "250 ok\r\n");
	(void)close(fds[1]);
	ring_send(&ring, fds[0], SPAN("x"), tag_of(1, 0, 0));
	assert_int_equal(complete(1).result, -EPIPE);
	(void)close(fds[0]);
}

/* A full socket is waited for, a dead one is not. */
static void waits_for_room(void **state)
{
	static char bytes[65536];
	int fds[2];

	assert_int_equal(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	ring_poll_out(&ring, fds[0], tag_of(1, 0, 0));
	assert_true(complete(1).result & POLLOUT);
	while (write(fds[0], bytes, sizeof(bytes)) > 0)
		;
	ring_poll_out(&ring, fds[0], tag_of(2, 0, 0));
	silent();
	while (read(fds[1], bytes, sizeof(bytes)) > 0)
		;
	assert_true(complete(2).result & POLLOUT);
	(void)close(fds[1]);
	ring_poll_out(&ring, fds[0], tag_of(3, 0, 0));
	assert_true(complete(3).result & POLLHUP);
	(void)close(fds[0]);
}

/* ---- steps of the spool -------------------------------------------------- */

static int64_t step(const struct io *io)
{
	int64_t result = 4711;

	if (!ring_io(&ring, io, tag_of(4, 1, 1), &result))
		return result;
	assert_int_equal(result, 4711);
	return complete(4).result;
}

static void writes_a_file(int dir, int fd)
{
	static char one[] = "one", two[] = "two";
	char back[8] = { 0 };
	const struct iovec out[2] = { { one, 3 }, { two, 3 } };
	const struct iovec in = { back, sizeof(back) };
	struct io io = { .fd = fd, .iov = out, .iov_n = 2, .offset = 100 };
	struct stat st;

	io.kind = IO_WRITE;
	assert_int_equal(step(&io), 6);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, 106);
	assert_int_equal(step(&(struct io){ .kind = IO_DATASYNC, .fd = fd }),
			 0);
	assert_int_equal(step(&(struct io){ .kind = IO_SYNC, .fd = dir }), 0);
	io.kind = IO_READ;
	io.iov = &in;
	io.iov_n = 1;
	io.offset = 102;
	assert_int_equal(step(&io), 4);
	assert_string_equal(back, "etwo");
}

static void allocates(int fd)
{
	const struct io io = { .kind = IO_ALLOCATE, .fd = fd, .len = 1 << 16 };
	int64_t result = step(&io);
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, 0);
	assert_true(!result || result == -EOPNOTSUPP);
}

static void locks_at_once(int dir, int fd)
{
	struct io io = { .kind = IO_LOCK,
			 .fd = fd,
			 .flags = LOCK_EX | LOCK_NB };
	int64_t result;

	assert_false(ring_io(&ring, &io, tag_of(4, 0, 0), &result));
	assert_int_equal(result, 0);
	io.fd = openat(dir, "a", O_RDONLY | O_CLOEXEC);
	assert_int_equal(step(&io), -EWOULDBLOCK);
	(void)close(io.fd);
	silent();
}

static void carries_out_the_spools_steps(void **state)
{
	char path[] = "/tmp/test_ring.XXXXXX";
	struct io io = { .kind = IO_OPEN,
			 .name = "a",
			 .flags = O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC,
			 .mode = 0600 };
	int fd;

	assert_non_null(mkdtemp(path));
	io.dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fd = (int)step(&io);
	assert_true(fd >= 0);
	assert_int_equal(step(&io), -EEXIST);
	allocates(fd);
	writes_a_file(io.dir, fd);
	locks_at_once(io.dir, fd);
	assert_int_equal(step(&(struct io){ .kind = IO_CLOSE, .fd = fd }), 0);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	io.kind = IO_RENAME;
	io.flags = RENAME_NOREPLACE;
	io.new_dir = io.dir;
	io.new_name = "b";
	assert_int_equal(step(&io), 0);
	assert_int_equal(step(&io), -ENOENT);
	io.kind = IO_UNLINK;
	io.name = "b";
	assert_int_equal(step(&io), 0);
	assert_int_equal(step(&io), -ENOENT);
	(void)close(io.dir);
	assert_int_equal(rmdir(path), 0);
}

static void run_nothing(void)
{
	int64_t result;

	(void)ring_io(&ring, &(struct io){ .kind = IO_NONE }, RING_NOBODY,
		      &result);
}

static void forbids_what_is_no_step(void **state)
{
	assert_true(aborts(run_nothing));
}

/* ---- setting up ---------------------------------------------------------- */

static void explains_why_there_is_none(void **state)
{
	static const int errors[] = { -ENOSYS, -EPERM,  -ENOMEM,
				      -EMFILE, -EINVAL, -EIO };
	const size_t n = sizeof(errors) / sizeof(errors[0]);

	for (size_t i = 0; i < n; i++) {
		const char *line = ring_explain(errors[i]);

		assert_null(strchr(line, '\n'));
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(line, ring_explain(errors[j]));
	}
	assert_string_equal(ring_explain(-EPERM), ring_explain(-EACCES));
}

static void says_when_it_cannot_be_set_up(void **state)
{
	struct rlimit limit, none;
	struct ring r;
	int result;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = limit;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	result = ring_init(&r, ENTRIES);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_int_equal(result, -EMFILE);
	assert_int_equal(ring_init(&r, 0), -EINVAL);
}

#define RING_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RING_TEST(tags_come_back),
		RING_TEST(forbids_tags_that_do_not_fit),
		RING_TEST(waits_as_long_as_told),
		RING_TEST(a_completion_ends_the_wait),
		RING_TEST(a_signal_ends_the_wait_quietly),
		RING_TEST(takes_more_than_its_queues),
		RING_TEST(reads_and_cancels),
		RING_TEST(accepts_until_cancelled),
		RING_TEST(says_when_nobody_listens),
		RING_TEST(sends),
		RING_TEST(waits_for_room),
		RING_TEST(carries_out_the_spools_steps),
		RING_TEST(forbids_what_is_no_step),
		cmocka_unit_test(explains_why_there_is_none),
		cmocka_unit_test(says_when_it_cannot_be_set_up),
	};
	int result = ring_init(&ring, ENTRIES);

	if (result) {
		printf("1..0 # SKIP %s\n", ring_explain(result));
		return 0;
	}
	ring_fini(&ring);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
