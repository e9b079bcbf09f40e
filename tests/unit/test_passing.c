/* Packets and descriptors between two supervisors: all, or none. */
#include "super/passing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

static int pair[2];
static uint8_t storage[64];
static struct buf packet;

static int setup(void **state)
{
	buf_init(&packet, storage, sizeof(storage));
	return passing_open(pair);
}

static int teardown(void **state)
{
	(void)close(pair[0]);
	(void)close(pair[1]);
	return 0;
}

static uint32_t open_n(void)
{
	uint32_t n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void descriptors_arrive_with_their_packet(void **state)
{
	struct passing sent = { .fds_n = PASSING_FDS }, got;
	int pipe_fds[2];
	char byte = 0;

	assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
	for (uint32_t i = 0; i < PASSING_FDS; i++)
		sent.fds[i] = pipe_fds[1];
	assert_int_equal(passing_send(pair[1], SPAN("hello"), &sent), 0);
	assert_int_equal(passing_send(pair[1], SPAN("there"), NULL), 0);
	assert_int_equal(passing_receive(pair[0], &packet, &got), 0);
	assert_true(span_equal(buf_span(&packet), SPAN("hello")));
	assert_int_equal(got.fds_n, PASSING_FDS);
	assert_int_equal(write(got.fds[PASSING_FDS - 1], "x", 1), 1);
	assert_int_equal(read(pipe_fds[0], &byte, 1), 1);
	assert_true(fcntl(got.fds[0], F_GETFD) & FD_CLOEXEC);
	passing_close(&got);
	buf_clear(&packet);
	assert_int_equal(passing_receive(pair[0], &packet, &got), 0);
	assert_true(span_equal(buf_span(&packet), SPAN("there")));
	assert_int_equal(got.fds_n, 0);
	(void)close(pipe_fds[0]);
	(void)close(pipe_fds[1]);
}

static void nothing_there_is_said_at_once(void **state)
{
	struct passing got;

	assert_int_equal(passing_receive(pair[0], &packet, &got), -EAGAIN);
}

static void what_is_too_long_is_refused_with_its_descriptors(void **state)
{
	struct passing sent = { .fds = { 0 }, .fds_n = 1 }, got;
	uint8_t bytes[sizeof(storage) + 1] = { 0 };
	uint32_t before = open_n();

	assert_int_equal(
		passing_send(pair[1], span_of(bytes, sizeof(bytes)), &sent), 0);
	assert_int_equal(passing_receive(pair[0], &packet, &got), -EPROTO);
	assert_int_equal(open_n(), before);
	assert_int_equal(buf_len(&packet), 0);
}

/* By a program that knows no bound. */
static void too_many_descriptors_are_refused(void **state)
{
	enum { MANY = PASSING_FDS + 1 };
	union {
		struct cmsghdr head;
		uint8_t bytes[CMSG_SPACE(MANY * sizeof(int))];
	} control = { 0 };
	char byte = 'x';
	struct iovec vector = { &byte, 1 };
	struct msghdr message = { .msg_iov = &vector,
				  .msg_iovlen = 1,
				  .msg_control = &control,
				  .msg_controllen = sizeof(control) };
	uint32_t before = open_n();
	struct passing got;

	control.head.cmsg_level = SOL_SOCKET;
	control.head.cmsg_type = SCM_RIGHTS;
	control.head.cmsg_len = CMSG_LEN(MANY * sizeof(int));
	assert_int_equal(sendmsg(pair[1], &message, 0), 1);
	assert_int_equal(passing_receive(pair[0], &packet, &got), -EPROTO);
	assert_int_equal(open_n(), before);
}

/* What was said before is heard first. */
static void the_end_is_heard_last(void **state)
{
	struct passing got;

	assert_int_equal(passing_send(pair[1], SPAN("last"), NULL), 0);
	(void)close(pair[1]);
	assert_int_equal(passing_receive(pair[0], &packet, &got), 0);
	buf_clear(&packet);
	assert_int_equal(passing_receive(pair[0], &packet, &got), -ENODATA);
	assert_true(passing_send(pair[0], SPAN("anybody?"), NULL) < 0);
	pair[1] = -1;
}

static void sending_never_blocks(void **state)
{
	uint8_t bytes[4096] = { 0 };
	int result = 0;

	for (int i = 0; i < 100000 && !result; i++)
		result = passing_send(pair[1], span_of(bytes, sizeof(bytes)),
				      NULL);
	assert_int_equal(result, -EAGAIN);
}

#define PASSING_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		PASSING_TEST(descriptors_arrive_with_their_packet),
		PASSING_TEST(nothing_there_is_said_at_once),
		PASSING_TEST(what_is_too_long_is_refused_with_its_descriptors),
		PASSING_TEST(too_many_descriptors_are_refused),
		PASSING_TEST(the_end_is_heard_last),
		PASSING_TEST(sending_never_blocks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
