#include "spooldir.h"

#include "spool/entry.h"
#include "spool/envelope.h"
#include "spool/layout.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define SEGMENT_BYTES 100000

static uint64_t current(const struct store *s)
{
	uint64_t id, durable;

	store_durable(s, &id, &durable);
	return id;
}

/* Ends a transaction that the store has given back. */
static void end(struct store *s, struct txn *t, enum txn_state state)
{
	assert_ptr_equal(store_finished(s), t);
	assert_int_equal(txn_state(t), state);
	txn_discard(t);
	spooldir_run_txn(t);
	assert_int_equal(txn_state(t), TXN_EMPTY);
	free(t);
}

static void small_message_comes_back(void **state)
{
	uint8_t storage[ENTRY_STORAGE(1024)];
	struct spooldir_told told;
	struct spooldir d;
	struct entry e;
	struct dots dots;
	struct store *s;
	struct span path;
	struct txn *t;
	uint8_t body[4];
	struct io io;
	int fd;

	spooldir_open(&d);
	s = spooldir_store(&d, SEGMENT_BYTES);
	t = spooldir_txn(s, 77, "b@example.org");
	buf_put_str(txn_body(t), ".x\r\n");
	dots_add(txn_dots(t), 0);
	txn_commit(t);
	spooldir_run(s);
	fd = spooldir_segment(&d, current(s));
	told = spooldir_scan(fd, current(s), SCAN_TO_END);
	end(s, t, TXN_DURABLE);
	assert_int_equal(told.messages, 1);
	assert_int_equal(told.bad, 0);
	assert_int_equal(told.end, SCAN_END);
	assert_int_equal(told.frames[0].id, 77);
	assert_int_equal(told.frames[0].recipients_n, 1);
	assert_int_equal(told.frames[0].arrival_s, 1700000000);

	entry_open(&e, fd, current(s), told.frames[0].offset,
		   (struct span_mut){ storage, sizeof(storage) });
	while (entry_next(&e, &io))
		entry_done(&e, io_run(&io));
	assert_int_equal(entry_state(&e), ENTRY_READY);
	assert_true(envelope_find(entry_envelope(&e), ENVELOPE_FORWARD_PATH,
				  &path));
	assert_true(span_equal(path, SPAN("b@example.org")));
	entry_dots(&e, &dots);
	assert_int_equal(dots.n, 1);
	assert_int_equal(e.frame.body_len, 4);
	assert_int_equal(pread(fd, body, 4, (off_t)frame_body_at(&e.frame)), 4);
	assert_memory_equal(body, ".x\r\n", 4);
	(void)close(fd);
	free(s);
	spooldir_close(&d);
}

/* P1: the store says DURABLE after the sync that covers it, not before. */
static void durable_only_after_the_sync(void **state)
{
	bool synced = false;
	struct spooldir d;
	struct store *s;
	struct txn *t;
	struct io io;

	spooldir_open(&d);
	s = spooldir_store(&d, SEGMENT_BYTES);
	t = spooldir_commit(s, 1, 100, 'x');
	while (store_next(s, &io)) {
		assert_int_equal(txn_state(t), TXN_COMMITTING);
		assert_null(store_finished(s));
		synced = io.kind == IO_DATASYNC;
		store_done(s, io_run(&io));
	}
	assert_true(synced);
	end(s, t, TXN_DURABLE);
	free(s);
	spooldir_close(&d);
}

static void one_sync_carries_a_batch(void **state)
{
	struct store_counts before, after;
	struct txn *first, *t[50];
	struct spooldir d;
	struct store *s;
	struct io io;

	spooldir_open(&d);
	s = spooldir_store(&d, SEGMENT_BYTES);
	first = spooldir_commit(s, 1, 10, 'x');
	spooldir_run(s);
	end(s, first, TXN_DURABLE);
	before = store_counts(s);
	first = spooldir_commit(s, 2, 10, 'x');
	assert_true(store_next(s, &io)); /* a batch is in flight */
	assert_false(store_next(s, &io));
	for (uint64_t n = 0; n < 50; n++)
		t[n] = spooldir_commit(s, 3 + n, 10 + n, 'y');
	store_done(s, io_run(&io));
	spooldir_run(s);
	after = store_counts(s);
	assert_int_equal(after.batches - before.batches, 2);
	assert_int_equal(after.syncs - before.syncs, 2);
	assert_int_equal(after.writes - before.writes, 2);
	end(s, first, TXN_DURABLE);
	for (int n = 0; n < 50; n++)
		end(s, t[n], TXN_DURABLE); /* oldest first */
	assert_true(store_idle(s));
	free(s);
	spooldir_close(&d);
}

static void large_body_has_a_file(void **state)
{
	struct spooldir_told told;
	struct spooldir d;
	struct stat st;
	struct store *s;
	struct txn *t;
	int fd;

	spooldir_open(&d);
	s = spooldir_store(&d, SEGMENT_BYTES);
	t = spooldir_commit(s, 0xabc, 10000, 'z');
	spooldir_run_txn(t);
	assert_int_equal(txn_body_bytes(t), 10000);
	spooldir_run(s);
	fd = spooldir_segment(&d, current(s));
	told = spooldir_scan(fd, current(s), SCAN_TO_END);
	(void)close(fd);
	assert_int_equal(told.messages, 1);
	assert_int_equal(told.frames[0].type, FRAME_FILE);
	assert_int_equal(told.frames[0].body_len, 10000);
	fd = openat(d.files, "0000000000000abc.msg", O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, 10000);
	/* Locked until the pump has announced it and lets go. */
	assert_int_equal(flock(fd, LOCK_SH | LOCK_NB), -1);
	end(s, t, TXN_DURABLE);
	assert_int_equal(flock(fd, LOCK_SH | LOCK_NB), 0);
	(void)close(fd);
	free(s);
	spooldir_close(&d);
}

/* P1: after a step of the clock an id may come again; its body stays. */
static void body_of_the_same_id_is_kept(void **state)
{
	struct spooldir d;
	struct store *s;
	struct txn *t;
	struct stat st;

	spooldir_open(&d);
	s = spooldir_store(&d, SEGMENT_BYTES);
	t = spooldir_commit(s, 0xabc, 10000, 'z');
	spooldir_run_txn(t);
	spooldir_run(s);
	end(s, t, TXN_DURABLE);

	t = spooldir_txn(s, 0xabc, "a@example.org");
	buf_put_str(txn_body(t), "another");
	txn_spill(t);
	spooldir_run_txn(t);
	assert_int_equal(txn_state(t), TXN_FAILED);
	assert_int_equal(txn_error(t), -EEXIST);
	txn_discard(t);
	spooldir_run_txn(t);
	assert_int_equal(fstatat(d.files, "0000000000000abc.msg", &st, 0), 0);
	assert_int_equal(st.st_size, 10000);
	assert_int_equal(spooldir_count(d.files), 1);
	free(t);
	free(s);
	spooldir_close(&d);
}

static void discarded_body_leaves_nothing(void **state)
{
	struct spooldir d;
	struct store *s;
	struct txn *t;
	struct io io;

	spooldir_open(&d);
	s = spooldir_store(&d, SEGMENT_BYTES);
	t = spooldir_txn(s, 5, "a@example.org");
	buf_put_str(txn_body(t), "half");
	txn_spill(t);
	assert_true(txn_next(t, &io));
	assert_int_equal(io.kind, IO_OPEN);
	txn_discard(t); /* while the step is under way */
	txn_done(t, io_run(&io));
	assert_int_equal(spooldir_count(d.files), 1);
	spooldir_run_txn(t);
	assert_int_equal(txn_state(t), TXN_EMPTY);
	assert_int_equal(spooldir_count(d.files), 0);
	free(t);
	free(s);
	spooldir_close(&d);
}

/* Runs the store; the first step of that kind gets `result` instead. */
static void run_failing(struct store *s, enum io_kind kind, int result)
{
	struct io io;

	while (store_next(s, &io)) {
		bool fails = io.kind == kind && result;

		store_done(s, fails ? result : io_run(&io));
		if (fails)
			result = 0;
	}
}

static void failed_sync_abandons_the_segment(void **state)
{
	struct spooldir_told told;
	struct spooldir d;
	uint64_t segment;
	struct store *s;
	struct txn *t;
	int fd;

	spooldir_open(&d);
	s = spooldir_store(&d, SEGMENT_BYTES);
	t = spooldir_commit(s, 1, 100, 'x');
	spooldir_run(s);
	end(s, t, TXN_DURABLE);
	segment = current(s);

	t = spooldir_commit(s, 2, 100, 'x');
	run_failing(s, IO_DATASYNC, -EIO);
	assert_int_equal(txn_error(t), -EIO);
	end(s, t, TXN_FAILED);
	assert_int_equal(current(s), 0);
	assert_int_equal(store_counts(s).errors, 1);

	t = spooldir_commit(s, 3, 100, 'x');
	spooldir_run(s);
	end(s, t, TXN_DURABLE);
	assert_int_not_equal(current(s), segment);
	/* The abandoned one is unlocked and may hold both. */
	fd = spooldir_segment(&d, segment);
	assert_int_equal(flock(fd, LOCK_SH | LOCK_NB), 0);
	told = spooldir_scan(fd, segment, SCAN_TO_END);
	assert_int_equal(told.messages, 2);
	assert_false(told.corrupt);
	(void)close(fd);
	fd = spooldir_segment(&d, current(s));
	assert_int_equal(flock(fd, LOCK_SH | LOCK_NB), -1);
	(void)close(fd);
	free(s);
	spooldir_close(&d);
}

/* Each step of a birth may fail; then who waits is told and nothing is left. */
static void failed_birth_leaves_nothing(void **state)
{
	static const enum io_kind kinds[] = { IO_OPEN, IO_LOCK, IO_WRITE,
					      IO_DATASYNC, IO_RENAME };

	for (size_t n = 0; n < sizeof(kinds) / sizeof(kinds[0]); n++) {
		struct spooldir d;
		struct store *s;
		struct txn *t;

		spooldir_open(&d);
		s = spooldir_store(&d, SEGMENT_BYTES);
		t = spooldir_commit(s, 1, 100, 'x');
		run_failing(s, kinds[n], -ENOSPC);
		assert_int_equal(txn_error(t), -ENOSPC);
		end(s, t, TXN_FAILED);
		assert_int_equal(spooldir_count(d.segments), 0);
		t = spooldir_commit(s, 2, 100, 'x');
		spooldir_run(s);
		end(s, t, TXN_DURABLE);
		free(s);
		spooldir_close(&d);
	}
}

static void short_writes_go_on(void **state)
{
	struct spooldir_told told;
	struct spooldir d;
	struct store *s;
	struct txn *t;
	struct io io;
	int fd;

	spooldir_open(&d);
	s = spooldir_store(&d, SEGMENT_BYTES);
	t = spooldir_commit(s, 1, 300, 'x');
	while (store_next(s, &io)) {
		struct iovec one = { 0 };

		if (io.kind == IO_WRITE) {
			one = io.iov[0];
			one.iov_len = 1 + one.iov_len / 2;
			io.iov = &one;
			io.iov_n = 1;
		}
		store_done(s, io_run(&io));
	}
	fd = spooldir_segment(&d, current(s));
	told = spooldir_scan(fd, current(s), SCAN_TO_END);
	assert_int_equal(told.messages, 1);
	assert_int_equal(told.bad, 0);
	(void)close(fd);
	end(s, t, TXN_DURABLE);
	free(s);
	spooldir_close(&d);
}

static void full_segment_is_sealed(void **state)
{
	struct spooldir_told told;
	struct spooldir d;
	uint64_t segment;
	struct store *s;
	struct txn *t;
	int fd;

	spooldir_open(&d);
	s = spooldir_store(&d, 1000);
	t = spooldir_commit(s, 1, 10, 'x');
	spooldir_run(s);
	end(s, t, TXN_DURABLE);
	segment = current(s);
	t = spooldir_commit(s, 2, 1000, 'x');
	spooldir_run(s);
	end(s, t, TXN_DURABLE);
	assert_int_equal(current(s), 0);
	fd = spooldir_segment(&d, segment);
	told = spooldir_scan(fd, segment, SCAN_TO_END);
	assert_int_equal(told.messages, 2);
	assert_int_equal(told.end, SCAN_SEALED);
	(void)close(fd);
	store_seal(s);
	spooldir_run(s);
	assert_true(store_idle(s));
	free(s);
	spooldir_close(&d);
}

/* -- real disks that are full or read-only -------------------------------- */

static bool mount_small(const char *path)
{
	if (unshare(CLONE_NEWNS) ||
	    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return false;
	return !mount("tmpfs", path, "tmpfs", 0, "size=1m");
}

/* A relay gives back one segment. */
static void make_room(const struct spooldir *d)
{
	DIR *dir = fdopendir(dup(d->segments));
	struct dirent *entry;
	uint64_t id;

	assert_non_null(dir);
	rewinddir(dir);
	while ((entry = readdir(dir)))
		if (layout_number(entry->d_name, LAYOUT_SEGMENT, &id))
			break;
	assert_non_null(entry);
	assert_int_equal(unlinkat(d->segments, entry->d_name, 0), 0);
	(void)closedir(dir);
}

static void full_disk_made_by_mounting_tmpfs(void **state)
{
	char mountpoint[] = "/tmp/full-XXXXXX";
	unsigned stored = 0;
	struct spooldir d;
	struct store *s;
	struct txn *t;
	int error = 0;

	assert_non_null(mkdtemp(mountpoint));
	if (!mount_small(mountpoint)) {
		(void)rmdir(mountpoint);
		print_message("needs the right to mount in a namespace\n");
		skip();
	}
	spooldir_open_at(&d, mountpoint);
	s = spooldir_store(&d, 200000);
	for (uint64_t id = 1; id < 1000 && !error; id++) {
		t = spooldir_commit(s, id, 3000, 'f');
		spooldir_run(s);
		error = txn_error(t);
		stored += !error;
		end(s, t, error ? TXN_FAILED : TXN_DURABLE);
	}
	assert_int_equal(error, -ENOSPC);
	assert_true(stored > 100);
	make_room(&d);
	t = spooldir_commit(s, 5000, 3000, 'f');
	spooldir_run(s);
	end(s, t, TXN_DURABLE);
	free(s);
	spooldir_close(&d);
	(void)umount2(mountpoint, MNT_DETACH);
	(void)rmdir(mountpoint);
}

static void read_only_disk_made_by_mounting_tmpfs(void **state)
{
	char mountpoint[] = "/tmp/read-only-XXXXXX";
	struct spooldir d;
	struct store *s;
	struct txn *t;

	assert_non_null(mkdtemp(mountpoint));
	if (!mount_small(mountpoint)) {
		(void)rmdir(mountpoint);
		print_message("needs the right to mount in a namespace\n");
		skip();
	}
	spooldir_open_at(&d, mountpoint);
	assert_int_equal(mount("tmpfs", mountpoint, NULL,
			       MS_REMOUNT | MS_RDONLY, NULL),
			 0);
	s = spooldir_store(&d, SEGMENT_BYTES);
	t = spooldir_commit(s, 1, 100, 'x');
	spooldir_run(s);
	assert_int_equal(txn_error(t), -EROFS);
	end(s, t, TXN_FAILED);

	t = spooldir_txn(s, 2, "a@example.org");
	buf_put_str(txn_body(t), "large, they say");
	txn_spill(t);
	spooldir_run_txn(t);
	assert_int_equal(txn_state(t), TXN_FAILED);
	assert_int_equal(txn_error(t), -EROFS);
	txn_discard(t);
	assert_int_equal(txn_state(t), TXN_EMPTY);
	free(t);
	free(s);
	spooldir_close(&d);
	(void)umount2(mountpoint, MNT_DETACH);
	(void)rmdir(mountpoint);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(small_message_comes_back),
		cmocka_unit_test(durable_only_after_the_sync),
		cmocka_unit_test(one_sync_carries_a_batch),
		cmocka_unit_test(large_body_has_a_file),
		cmocka_unit_test(body_of_the_same_id_is_kept),
		cmocka_unit_test(discarded_body_leaves_nothing),
		cmocka_unit_test(failed_sync_abandons_the_segment),
		cmocka_unit_test(failed_birth_leaves_nothing),
		cmocka_unit_test(short_writes_go_on),
		cmocka_unit_test(full_segment_is_sealed),
		cmocka_unit_test(full_disk_made_by_mounting_tmpfs),
		cmocka_unit_test(read_only_disk_made_by_mounting_tmpfs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
