/* What a reader of segments makes of whole, growing, torn and rotten ones. */
#include "spooldir.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

/* A segment with three messages, in three batches or in one; still open. */
struct written {
	struct spooldir d;
	struct store *s;
	uint64_t id;
	int fd;
	struct spooldir_told told;
};

static void write_three(struct written *w, bool one_batch)
{
	struct txn *t[3];

	spooldir_open(&w->d);
	w->s = spooldir_store(&w->d, 100000);
	for (uint64_t n = 0; n < 3; n++) {
		t[n] = spooldir_commit(w->s, 1 + n, 700 * n, 'm');
		if (!one_batch)
			spooldir_run(w->s);
	}
	spooldir_run(w->s);
	for (int n = 0; n < 3; n++) {
		assert_ptr_equal(store_finished(w->s), t[n]);
		free(t[n]);
	}
	store_durable(w->s, &w->id, &(uint64_t){ 0 });
	w->fd = spooldir_segment(&w->d, w->id);
	w->told = spooldir_scan(w->fd, w->id, SCAN_TO_END);
	assert_int_equal(w->told.messages, 3);
	assert_int_equal(w->told.bad, 0);
}

static void drop(struct written *w)
{
	(void)close(w->fd);
	free(w->s);
	spooldir_close(&w->d);
}

static void rot(int fd, uint64_t at)
{
	uint8_t byte;

	assert_int_equal(pread(fd, &byte, 1, (off_t)at), 1);
	byte ^= 1;
	assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
}

static void every_rotten_byte_is_found(void **state)
{
	struct written w;
	const struct frame *second = &w.told.frames[1];

	write_three(&w, false);
	for (uint64_t at = second->offset; at < frame_end(second); at++) {
		struct spooldir_told told;

		rot(w.fd, at);
		told = spooldir_scan(w.fd, w.id, SCAN_TO_END);
		assert_int_equal(told.messages, 2);
		assert_int_equal(told.bad, 1);
		assert_int_equal(told.bad_from, second->offset);
		assert_int_equal(told.bad_to, frame_end(second));
		assert_true(told.corrupt); /* it was acknowledged */
		rot(w.fd, at);
	}
	drop(&w);
}

static void torn_tail_is_no_damage(void **state)
{
	struct written w;
	const struct frame *last = &w.told.frames[2];

	write_three(&w, false);
	for (uint64_t len = last->offset; len < frame_end(last); len += 37) {
		struct spooldir_told told;

		assert_int_equal(ftruncate(w.fd, (off_t)len), 0);
		told = spooldir_scan(w.fd, w.id, SCAN_TO_END);
		assert_int_equal(told.messages, 2);
		assert_int_equal(told.bad, len > last->offset);
		assert_int_equal(told.end, SCAN_END);
		assert_false(told.corrupt); /* nobody says it was durable */
	}
	drop(&w);
}

static void torn_batch_is_no_damage(void **state)
{
	struct spooldir_told told;
	struct written w;

	write_three(&w, true);
	rot(w.fd, w.told.frames[0].offset);
	told = spooldir_scan(w.fd, w.id, SCAN_TO_END);
	assert_int_equal(told.messages, 2);
	assert_int_equal(told.bad, 1);
	assert_false(told.corrupt);
	drop(&w);
}

static void what_the_board_said_must_be_there(void **state)
{
	struct written w;
	const struct frame *last = &w.told.frames[2];
	struct spooldir_told told;

	write_three(&w, false);
	assert_int_equal(ftruncate(w.fd, (off_t)last->offset), 0);
	told = spooldir_scan(w.fd, w.id, frame_end(last));
	assert_int_equal(told.end, SCAN_LIMIT);
	assert_int_equal(told.messages, 2);
	assert_int_equal(told.bad_to, frame_end(last));
	assert_true(told.corrupt);
	drop(&w);
}

static void empty_segment_is_damage(void **state)
{
	struct spooldir_told told;
	struct written w;

	write_three(&w, false);
	assert_int_equal(ftruncate(w.fd, 0), 0);
	told = spooldir_scan(w.fd, w.id, SCAN_TO_END);
	assert_int_equal(told.messages, 0);
	assert_true(told.corrupt); /* its first frame was durable */
	drop(&w);
}

/* Bytes of another segment, or of another place in this one, are no frame. */
static void stale_frames_are_not_taken(void **state)
{
	struct spooldir_told told;
	uint8_t bytes[4096];
	struct written w;
	ssize_t len;

	write_three(&w, false);
	told = spooldir_scan(w.fd, w.id ^ 1, SCAN_TO_END);
	assert_int_equal(told.messages, 0);
	len = pread(w.fd, bytes, sizeof(bytes), 0);
	assert_true(len > 0);
	assert_int_equal(pwrite(w.fd, bytes, (size_t)len, len), len);
	told = spooldir_scan(w.fd, w.id, SCAN_TO_END);
	assert_int_equal(told.messages, 3);
	assert_int_equal(told.bad, 1);
	assert_int_equal(told.bad_from, len);
	drop(&w);
}

static void follows_the_limit(void **state)
{
	uint8_t buffer[SCAN_BUFFER_MIN];
	enum scan_found found;
	struct frame frame;
	struct written w;
	struct scan s;
	struct io io;

	write_three(&w, false);
	scan_init(&s, w.fd, w.id, (struct span_mut){ buffer, sizeof(buffer) });
	assert_int_equal(scan_step(&s, &frame), SCAN_LIMIT);
	for (int n = 0; n < 3; n++) {
		const struct frame *next = &w.told.frames[n];

		scan_set_limit(&s, frame_end(next));
		while ((found = scan_step(&s, &frame)) == SCAN_WANTS_READ) {
			scan_next(&s, &io);
			assert_true(io.offset + io.iov->iov_len <=
				    frame_end(next));
			scan_done(&s, io_run(&io));
		}
		assert_int_equal(found, SCAN_MESSAGE);
		assert_int_equal(frame.offset, next->offset);
		assert_int_equal(scan_step(&s, &frame), SCAN_LIMIT);
	}
	drop(&w);
}

static void failed_read_is_tried_again(void **state)
{
	uint8_t buffer[SCAN_BUFFER_MIN];
	struct frame frame;
	struct written w;
	struct scan s;
	struct io io;

	write_three(&w, false);
	scan_init(&s, w.fd, w.id, (struct span_mut){ buffer, sizeof(buffer) });
	scan_set_limit(&s, SCAN_TO_END);
	assert_int_equal(scan_step(&s, &frame), SCAN_WANTS_READ);
	scan_next(&s, &io);
	scan_done(&s, -EIO);
	assert_int_equal(scan_step(&s, &frame), SCAN_FAILED);
	assert_int_equal(scan_error(&s), -EIO);
	assert_int_equal(scan_step(&s, &frame), SCAN_WANTS_READ);
	scan_next(&s, &io);
	scan_done(&s, io_run(&io));
	assert_int_equal(scan_step(&s, &frame), SCAN_MESSAGE);
	drop(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_rotten_byte_is_found),
		cmocka_unit_test(torn_tail_is_no_damage),
		cmocka_unit_test(torn_batch_is_no_damage),
		cmocka_unit_test(what_the_board_said_must_be_there),
		cmocka_unit_test(empty_segment_is_damage),
		cmocka_unit_test(stale_frames_are_not_taken),
		cmocka_unit_test(follows_the_limit),
		cmocka_unit_test(failed_read_is_tried_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
