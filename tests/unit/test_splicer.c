/* From socket to file through a pipe that is empty in between. */
#include "gateway/splicer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

static struct splicer splicer;
static int pair[2];
static int file;

static int setup(void **state)
{
	file = memfd_create("body", MFD_CLOEXEC);
	return file < 0 || splicer_open(&splicer) ||
	       socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
			  0, pair);
}

static int teardown(void **state)
{
	(void)close(pair[0]);
	(void)close(pair[1]);
	(void)close(file);
	splicer_close(&splicer);
	assert_false(splicer_is_open(&splicer));
	return 0;
}

static void say(const char *text)
{
	assert_int_equal(write(pair[1], text, strlen(text)), strlen(text));
}

static void moves(int to, uint64_t at, size_t most, size_t n, int error)
{
	struct splicer_moved m = splicer_move(&splicer, pair[0], to, at, most);

	assert_int_equal(m.n, n);
	assert_int_equal(m.error, error);
}

static void holds(uint64_t at, const char *text)
{
	int error;
	struct span got =
		splicer_read(&splicer, file, at, strlen(text), &error);

	assert_int_equal(error, 0);
	assert_true(span_equal(got, span_str(text)));
}

static void takes_what_is_there_and_no_more(void **state)
{
	moves(file, 0, 100, 0, 0);
	say("0123456789");
	moves(file, 0, 4, 4, 0);
	moves(file, 4, 100, 6, 0);
	moves(file, 10, 100, 0, 0);
	say("xy");
	moves(file, 10, 100, 2, 0);
	holds(0, "0123456789xy");
	(void)shutdown(pair[1], SHUT_WR);
	moves(file, 12, 100, 0, 0);
}

/* The next message gets nothing of the one whose file took no more. */
static void what_a_file_refuses_is_gone(void **state)
{
	int closed = open("/dev/null", O_RDONLY | O_CLOEXEC);

	say("secret");
	moves(closed, 0, 100, 6, -EBADF);
	say("public");
	moves(file, 0, 100, 6, 0);
	holds(0, "public");
	assert_int_equal(lseek(file, 0, SEEK_END), 6);
	(void)close(closed);
}

static void a_body_longer_than_the_pipe(void **state)
{
	const size_t total = 3 * SPLICER_BYTES + 77;
	size_t sent = 0, got = 0;
	uint8_t block[5000];

	while (got < total) {
		struct splicer_moved m;

		for (size_t i = 0; i < sizeof(block); i++)
			block[i] = (uint8_t)((sent + i) * 31 >> 3);
		if (sent < total) {
			size_t n = total - sent;
			ssize_t put =
				write(pair[1], block,
				      n < sizeof(block) ? n : sizeof(block));

			sent += put > 0 ? (size_t)put : 0;
		}
		m = splicer_move(&splicer, pair[0], file, got, total - got);
		assert_int_equal(m.error, 0);
		got += m.n;
	}
	for (size_t at = 0; at < total;) {
		int error;
		struct span s =
			splicer_read(&splicer, file, at, total - at, &error);

		assert_true(s.len && s.len <= SPLICER_BYTES);
		for (size_t i = 0; i < s.len; i++)
			assert_int_equal(s.p[i], (uint8_t)((at + i) * 31 >> 3));
		at += s.len;
	}
}

static void a_file_that_is_too_short(void **state)
{
	int error = 0;

	assert_int_equal(splicer_read(&splicer, file, 5, 10, &error).len, 0);
	assert_int_equal(error, -EIO);
	assert_int_equal(splicer_read(&splicer, -1, 5, 10, &error).len, 0);
	assert_int_equal(error, -EBADF);
	assert_int_equal(splicer_nothing(&splicer, 10).len, 10);
	assert_int_equal(splicer_nothing(&splicer, SIZE_MAX).len,
			 SPLICER_BYTES);
}

#define SPLICER_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SPLICER_TEST(takes_what_is_there_and_no_more),
		SPLICER_TEST(what_a_file_refuses_is_gone),
		SPLICER_TEST(a_body_longer_than_the_pipe),
		SPLICER_TEST(a_file_that_is_too_short),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
