/* A body that somebody else puts into the message's file. */
#include "spool/txn.h"

#include "aborts.h"
#include "spooldir.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>
#include <errno.h>
#include <unistd.h>

#define ID 77

static struct spooldir d;
static struct store *s;
static struct txn *t;

/* A message that has its file, with "head" in it. */
static int setup(void **state)
{
	spooldir_open(&d);
	s = spooldir_store(&d, 1 << 20);
	t = spooldir_txn(s, ID, "a@example.org");
	assert_int_equal(txn_file(t), -1);
	buf_put_str(txn_body(t), "head");
	txn_spill(t);
	spooldir_run_txn(t);
	assert_true(txn_file(t) >= 0);
	assert_int_equal(txn_ahead_at(t), 4);
	return 0;
}

static int teardown(void **state)
{
	free(t);
	free(s);
	spooldir_close(&d);
	return 0;
}

static void put_ahead(const char *text)
{
	size_t n = strlen(text);

	assert_int_equal(pwrite(txn_file(t), text, n, (off_t)txn_ahead_at(t)),
			 n);
	txn_stored_ahead(t, n);
}

static void spill_without_a_step(const char *text)
{
	struct io io;

	buf_put_str(txn_body(t), text);
	txn_spill(t);
	assert_int_equal(txn_state(t), TXN_FILLING);
	assert_false(txn_next(t, &io));
	assert_int_equal(buf_len(txn_body(t)), 0);
}

static uint64_t current(void)
{
	uint64_t id, durable;

	store_durable(s, &id, &durable);
	return id;
}

/* Durable, whole, and with the hash of all of it. */
static void end_as(const char *whole)
{
	struct spooldir_told told;
	char bytes[64];
	int file = txn_file(t), fd;

	txn_commit(t);
	assert_int_equal(pread(file, bytes, sizeof(bytes), 0), strlen(whole));
	assert_memory_equal(bytes, whole, strlen(whole));
	spooldir_run_txn(t);
	spooldir_run(s);
	assert_ptr_equal(store_finished(s), t);
	assert_int_equal(txn_state(t), TXN_DURABLE);
	fd = spooldir_segment(&d, current());
	told = spooldir_scan(fd, current(), UINT64_MAX);
	(void)close(fd);
	assert_int_equal(told.messages, 1);
	assert_int_equal(told.frames[0].body_len, strlen(whole));
	assert_int_equal(told.frames[0].body_hash,
			 hash_of(span_str(whole), ID));
	txn_discard(t);
	spooldir_run_txn(t);
}

static void is_hashed_but_not_written_again(void **state)
{
	put_ahead("0123456789");
	spill_without_a_step("01234");
	assert_int_equal(txn_ahead(t), 5);
	assert_int_equal(txn_ahead_at(t), 14);
	put_ahead("ab");
	spill_without_a_step("567");
	buf_put_str(txn_body(t), "89ab");
	assert_int_equal(txn_body_bytes(t), 16);
	end_as("head0123456789ab");
}

static void what_goes_on_behind_it_is_written(void **state)
{
	struct io io;

	put_ahead("01");
	buf_put_str(txn_body(t), "01then");
	txn_spill(t);
	assert_true(txn_next(t, &io));
	assert_int_equal(io.kind, IO_WRITE);
	assert_int_equal(io.offset, 6);
	assert_int_equal(io.iov->iov_len, 4);
	txn_done(t, io_run(&io));
	put_ahead("23");
	spill_without_a_step("23");
	end_as("head01then23");
}

static void a_file_that_takes_no_more(void **state)
{
	put_ahead("01");
	txn_fail(t, -ENOSPC);
	assert_int_equal(txn_state(t), TXN_FAILED);
	assert_int_equal(txn_error(t), -ENOSPC);
	assert_int_equal(txn_file(t), -1);
	txn_discard(t);
	spooldir_run_txn(t);
	assert_int_equal(spooldir_count(d.files), 0);
}

static void commit_unseen(void)
{
	txn_commit(t);
}

static void forbids_to_commit_what_was_not_seen(void **state)
{
	put_ahead("01");
	assert_true(aborts(commit_unseen));
	txn_discard(t);
	spooldir_run_txn(t);
}

#define TXN_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TXN_TEST(is_hashed_but_not_written_again),
		TXN_TEST(what_goes_on_behind_it_is_written),
		TXN_TEST(a_file_that_takes_no_more),
		TXN_TEST(forbids_to_commit_what_was_not_seen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
