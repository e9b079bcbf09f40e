/*
 * Receive buffers that the kernel picks: lent when bytes come, none lost,
 * none twice.
 */
#include "ring/bufring.h"

#include "aborts.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>

#define GROUP   3
#define BUFFERS 4
#define BYTES   64
#define SOCKETS 8

static struct ring ring;
static struct bufring buffers;
static int ours[SOCKETS];
static int peers[SOCKETS];

static int setup(void **state)
{
	for (int i = 0; i < SOCKETS; i++) {
		int fds[2];

		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds))
			return -1;
		ours[i] = fds[0];
		peers[i] = fds[1];
	}
	return ring_init(&ring, 64) ||
	       bufring_init(&buffers, &ring, GROUP, BUFFERS, BYTES);
}

static int teardown(void **state)
{
	for (int i = 0; i < SOCKETS; i++) {
		(void)close(ours[i]);
		(void)close(peers[i]);
	}
	bufring_fini(&buffers, &ring);
	ring_fini(&ring);
	return 0;
}

static void arm(uint32_t slot)
{
	ring_recv_provided(&ring, ours[slot], GROUP,
			   (struct ring_tag){ 1, slot, 0 });
	assert_int_equal(ring_wait(&ring, 0), 0);
}

static void say(uint32_t slot, const char *text)
{
	ssize_t len = (ssize_t)strlen(text);

	assert_int_equal(write(peers[slot], text, (size_t)len), len);
}

static struct ring_completion complete(void)
{
	struct ring_completion c;

	if (!ring_next(&ring, &c)) {
		assert_int_equal(ring_wait(&ring, 5000), 0);
		assert_true(ring_next(&ring, &c));
	}
	return c;
}

/* The buffer of a completed receive, which must hold `text`. */
static uint16_t take(struct ring_completion c, const char *text)
{
	uint16_t index;

	assert_int_equal(c.result, strlen(text));
	index = bufring_take(&buffers, c.flags);
	assert_in_range(index, 0, BUFFERS - 1);
	assert_memory_equal(bufring_at(&buffers, index), text, strlen(text));
	return index;
}

static uint16_t receive(uint32_t slot, const char *text)
{
	arm(slot);
	say(slot, text);
	return take(complete(), text);
}

/* All buffers can be lent, each once, and then there are no more. */
static void all_are_there(void)
{
	uint16_t index[BUFFERS];
	uint8_t seen[BUFFERS] = { 0 };

	assert_int_equal(buffers.lent_n, 0);
	for (uint32_t i = 0; i < BUFFERS; i++) {
		index[i] = receive(0, "x");
		assert_int_equal(seen[index[i]]++, 0);
	}
	say(0, "x");
	arm(0);
	assert_int_equal(complete().result, -ENOBUFS);
	for (uint32_t i = 0; i < BUFFERS; i++)
		bufring_give(&buffers, index[i]);
	assert_int_equal(buffers.lent_n, 0);
	arm(0);
	bufring_give(&buffers, take(complete(), "x"));
}

static void lends_what_a_receive_filled(void **state)
{
	uint16_t index = receive(0, "EHLO a\r\n");

	assert_int_equal(buffers.lent_n, 1);
	bufring_give(&buffers, index);
	all_are_there();
}

/* More connections than buffers may wait. */
static void idle_connections_hold_none(void **state)
{
	for (uint32_t i = 0; i < SOCKETS; i++)
		arm(i);
	for (uint32_t i = SOCKETS; i-- > 0;) {
		struct ring_completion c;

		say(i, "NOOP\r\n");
		c = complete();
		assert_int_equal(c.tag.slot, i);
		bufring_give(&buffers, take(c, "NOOP\r\n"));
	}
	all_are_there();
}

static void starved_receives_end_and_can_be_armed_again(void **state)
{
	uint16_t index[BUFFERS];
	struct ring_completion c;

	arm(SOCKETS - 1); /* waits while the others take all there are */
	for (uint32_t i = 0; i < BUFFERS; i++)
		index[i] = receive(i, "a");
	say(SOCKETS - 1, "b");
	c = complete();
	assert_int_equal(c.result, -ENOBUFS);
	assert_int_equal(c.tag.slot, SOCKETS - 1);
	assert_false(c.flags & IORING_CQE_F_BUFFER);
	bufring_give(&buffers, index[2]);
	arm(SOCKETS - 1);
	assert_int_equal(take(complete(), "b"), index[2]);
	for (uint32_t i = 0; i < BUFFERS; i++)
		bufring_give(&buffers, index[i]);
	all_are_there();
}

/* A stream far longer than the memory, given back out of order. */
static void a_stream_keeps_its_order(void **state)
{
	uint8_t next = 0;
	uint32_t held = UINT32_MAX;

	for (int round = 0; round < 500; round++) {
		uint8_t bytes[3 * BYTES / 2];
		size_t got = 0;

		for (size_t i = 0; i < sizeof(bytes); i++)
			bytes[i] = (uint8_t)(next + i);
		assert_int_equal(write(peers[0], bytes, sizeof(bytes)),
				 sizeof(bytes));
		while (got < sizeof(bytes)) {
			struct ring_completion c;
			uint16_t index;

			arm(0);
			c = complete();
			assert_in_range(c.result, 1, BYTES);
			index = bufring_take(&buffers, c.flags);
			assert_memory_equal(bufring_at(&buffers, index),
					    bytes + got, (size_t)c.result);
			got += (size_t)c.result;
			if (held != UINT32_MAX)
				bufring_give(&buffers, (uint16_t)held);
			held = index;
		}
		next = (uint8_t)(next + sizeof(bytes));
	}
	bufring_give(&buffers, (uint16_t)held);
	all_are_there();
}

/* Kernels differ in whether the end of the stream uses up a buffer. */
static void the_end_of_a_stream_loses_none(void **state)
{
	for (uint32_t i = 1; i < SOCKETS; i++) {
		struct ring_completion c;

		arm(i);
		assert_int_equal(shutdown(peers[i], SHUT_WR), 0);
		c = complete();
		assert_int_equal(c.result, 0);
		if (c.flags & IORING_CQE_F_BUFFER)
			bufring_give(&buffers, bufring_take(&buffers, c.flags));
	}
	all_are_there();
}

static void cancelled_receives_lose_none(void **state)
{
	for (uint32_t i = 1; i < SOCKETS; i++) {
		arm(i);
		ring_cancel(&ring, (struct ring_tag){ 1, i, 0 }, RING_NOBODY);
		for (int n = 0; n < 2; n++) {
			struct ring_completion c = complete();

			assert_int_equal(c.result, c.tag.kind ? -ECANCELED : 0);
			assert_false(c.flags & IORING_CQE_F_BUFFER);
		}
	}
	all_are_there();
}

static void arm_whole(uint32_t slot, uint32_t len)
{
	ring_recv_whole(&ring, ours[slot], GROUP, len,
			(struct ring_tag){ 1, slot, 0 });
	assert_int_equal(ring_wait(&ring, 0), 0);
}

static void nothing_yet(void)
{
	struct ring_completion c;

	assert_int_equal(ring_wait(&ring, 0), 0);
	assert_false(ring_next(&ring, &c));
}

/* Each waits with a part in a buffer of its own. */
static void whole_receives_wait_for_all(void **state)
{
	static const char *const wholes[] = { "abcdef", "ghijkl", "mnopqr" };

	for (uint32_t i = 0; i < 3; i++)
		arm_whole(i, 6);
	for (size_t at = 0; at < 6; at += 2)
		for (uint32_t i = 0; i < 3; i++) {
			nothing_yet();
			assert_int_equal(write(peers[i], wholes[i] + at, 2), 2);
			if (at < 4)
				continue;
			bufring_give(&buffers, take(complete(), wholes[i]));
		}
	arm_whole(0, 3);
	say(0, "xyzrest");
	bufring_give(&buffers, take(complete(), "xyz"));
	arm(0);
	bufring_give(&buffers, take(complete(), "rest"));
	all_are_there();
}

/* What had come is not lost: by the end of the stream, or when cancelled. */
static void whole_receives_cut_short_tell_what_came(void **state)
{
	arm_whole(0, 6);
	say(0, "abc");
	nothing_yet();
	assert_int_equal(shutdown(peers[0], SHUT_WR), 0);
	bufring_give(&buffers, take(complete(), "abc"));

	arm_whole(1, 6);
	say(1, "def");
	nothing_yet();
	ring_cancel(&ring, (struct ring_tag){ 1, 1, 0 }, RING_NOBODY);
	for (int n = 0; n < 2; n++) {
		struct ring_completion c = complete();

		if (c.tag.kind)
			bufring_give(&buffers, take(c, "def"));
	}
	arm_whole(2, 6);
	ring_cancel(&ring, (struct ring_tag){ 1, 2, 0 }, RING_NOBODY);
	for (int n = 0; n < 2; n++) {
		struct ring_completion c = complete();

		assert_int_equal(c.result, c.tag.kind ? -ECANCELED : 0);
		assert_false(c.flags & IORING_CQE_F_BUFFER);
	}
	assert_int_equal(buffers.lent_n, 0);
}

static void buffers_do_not_overlap(void **state)
{
	for (uint16_t i = 0; i < BUFFERS; i++)
		memset(bufring_at(&buffers, i), i, BYTES);
	for (uint16_t i = 0; i < BUFFERS; i++)
		for (size_t j = 0; j < BYTES; j++)
			assert_int_equal(bufring_at(&buffers, i)[j], i);
	assert_true(bufring_bytes(BUFFERS, BYTES) >= (size_t)BUFFERS * BYTES);
	all_are_there();
}

static void groups_are_told_apart(void **state)
{
	struct bufring other;

	assert_int_equal(bufring_init(&other, &ring, GROUP, 1, BYTES), -EEXIST);
	assert_int_equal(bufring_init(&other, &ring, GROUP + 1, 1, BYTES), 0);
	ring_recv_provided(&ring, ours[0], GROUP + 1,
			   (struct ring_tag){ 1, 0, 0 });
	say(0, "other");
	assert_int_equal(bufring_take(&other, complete().flags), 0);
	assert_memory_equal(bufring_at(&other, 0), "other", 5);
	bufring_fini(&other, &ring);
	assert_int_equal(bufring_init(&other, &ring, GROUP + 1, 2, BYTES), 0);
	bufring_fini(&other, &ring);
	all_are_there();
}

static void give_what_was_not_lent(void)
{
	bufring_give(&buffers, 0);
}

static void take_without_a_buffer(void)
{
	(void)bufring_take(&buffers, 0);
}

static void index_out_of_range(void)
{
	(void)bufring_at(&buffers, BUFFERS);
}

static void no_power_of_two(void)
{
	struct bufring other;

	(void)bufring_init(&other, &ring, GROUP + 1, 3, BYTES);
}

static void forbids_what_breaks_the_count(void **state)
{
	assert_true(aborts(give_what_was_not_lent));
	assert_true(aborts(take_without_a_buffer));
	assert_true(aborts(index_out_of_range));
	assert_true(aborts(no_power_of_two));
}

/* What keeps these tests from running here, or NULL. */
static const char *missing(void)
{
	int result = ring_init(&ring, 64);

	if (result)
		return ring_explain(result);
	result = bufring_init(&buffers, &ring, GROUP, BUFFERS, BYTES);
	if (!result)
		bufring_fini(&buffers, &ring);
	ring_fini(&ring);
	return result ? "this kernel's io_uring has no buffer rings" : NULL;
}

#define BUFRING_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BUFRING_TEST(lends_what_a_receive_filled),
		BUFRING_TEST(idle_connections_hold_none),
		BUFRING_TEST(starved_receives_end_and_can_be_armed_again),
		BUFRING_TEST(a_stream_keeps_its_order),
		BUFRING_TEST(the_end_of_a_stream_loses_none),
		BUFRING_TEST(cancelled_receives_lose_none),
		BUFRING_TEST(whole_receives_wait_for_all),
		BUFRING_TEST(whole_receives_cut_short_tell_what_came),
		BUFRING_TEST(buffers_do_not_overlap),
		BUFRING_TEST(groups_are_told_apart),
		BUFRING_TEST(forbids_what_breaks_the_count),
	};
	const char *reason = missing();

	if (reason) {
		printf("1..0 # SKIP %s\n", reason);
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
