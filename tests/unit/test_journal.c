/* The journal on real files: what is durable when, and what comes back. */
#include "spooldir.h"

#include "spool/journal.h"
#include "spool/layout.h"
#include "spool/replay.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define SEGMENT   0xbeef
#define MESSAGES  3000
#define QUEUE_MAX 2048

struct relay {
	struct spooldir d;
	struct index *index;
	struct journal *journal;
};

static struct index *open_index(void)
{
	struct index_options options = { .messages_max = MESSAGES,
					 .changes_max = MESSAGES,
					 .segments_max = 2 };
	size_t len = (index_size(&options) + 63) & ~(size_t)63;
	uint8_t *memory = aligned_alloc(64, len);
	struct index *i;
	uint16_t slot;

	assert_non_null(memory);
	memset(memory, 0, len);
	i = index_init(memory, &options);
	assert_int_equal(index_add_segment(i, SEGMENT, &slot), 0);
	return i;
}

static enum index_added scan(struct index *i, uint64_t n, struct index_ref *ret)
{
	struct frame f = { .type = FRAME_MESSAGE,
			   .segment = SEGMENT,
			   .offset = 112 + n * 120 };

	return index_add(i, 0, &f, 1000, ret);
}

static struct journal *open_journal(struct relay *r, uint64_t sequence,
				    uint32_t compact_changes)
{
	struct journal_options options = { .dir = r->d.journal,
					   .segments_dir = r->d.segments,
					   .index = r->index,
					   .sequence = sequence,
					   .compact_changes = compact_changes,
					   .queue_max = QUEUE_MAX };
	size_t bytes = (journal_size(QUEUE_MAX) + 63) & ~(size_t)63;
	uint8_t *memory = aligned_alloc(64, bytes);

	assert_non_null(memory);
	return journal_init(memory, &options);
}

static void run(struct journal *j)
{
	struct io io;

	while (journal_next(j, &io))
		journal_done(j, io_run(&io));
}

static void open_relay(struct relay *r, uint32_t compact_changes)
{
	spooldir_open(&r->d);
	r->index = open_index();
	r->journal = open_journal(r, 0, compact_changes);
	run(r->journal);
	assert_true(journal_idle(r->journal));
	assert_int_equal(journal_sequence(r->journal), 1);
}

static void close_relay(struct relay *r)
{
	free(r->journal);
	free(r->index);
	spooldir_close(&r->d);
}

static uint64_t append(struct relay *r, struct index_ref ref,
		       enum change_kind kind)
{
	struct change c = index_change(r->index, ref, kind);

	return journal_append(r->journal, &c);
}

static struct replay replay(struct relay *r, struct index *into)
{
	uint8_t buffer[REPLAY_BUFFER_MIN];
	char name[LAYOUT_NAME_MAX];
	struct replay replay;
	struct io io;
	int fd;

	layout_name(name, LAYOUT_JOURNAL, journal_sequence(r->journal));
	fd = openat(r->d.journal, name, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	replay_init(&replay, fd, journal_sequence(r->journal),
		    (struct span_mut){ buffer, sizeof(buffer) }, into);
	while (replay_next(&replay, &io))
		replay_done(&replay, io_run(&io));
	(void)close(fd);
	return replay;
}

static void synced_after_the_sync(void **state)
{
	bool synced = false;
	struct index_ref ref;
	struct relay r;
	uint64_t number;
	struct io io;

	open_relay(&r, 100);
	assert_int_equal(scan(r.index, 0, &ref), INDEX_ADDED);
	number = append(&r, ref, CHANGE_DONE);
	assert_null(index_get(r.index, ref)); /* applied at once */
	while (journal_next(r.journal, &io)) {
		assert_true(journal_synced(r.journal) < number);
		synced = io.kind == IO_DATASYNC;
		journal_done(r.journal, io_run(&io));
	}
	assert_true(synced);
	assert_int_equal(journal_synced(r.journal), number);
	close_relay(&r);
}

static void replay_knows_what_was_done(void **state)
{
	struct index *again = open_index();
	struct index_ref a, b, c;
	struct relay r;

	open_relay(&r, 100);
	assert_int_equal(scan(r.index, 0, &a), INDEX_ADDED);
	assert_int_equal(scan(r.index, 1, &b), INDEX_ADDED);
	assert_int_equal(scan(r.index, 2, &c), INDEX_ADDED);
	(void)append(&r, a, CHANGE_DONE);
	(void)append(&r, b, CHANGE_HELD);
	run(r.journal);
	assert_int_equal(replay(&r, again).applied, 2);
	assert_int_equal(scan(again, 0, &a), INDEX_DONE_BEFORE);
	assert_int_equal(scan(again, 1, &b), INDEX_ADDED);
	assert_int_equal(index_get(again, b)->state, INDEX_HELD);
	assert_int_equal(scan(again, 2, &c), INDEX_ADDED);
	free(again);
	close_relay(&r);
}

static void compaction_keeps_the_state(void **state)
{
	struct index *again = open_index();
	struct index_ref refs[40];
	struct relay r;

	open_relay(&r, 10);
	for (uint64_t n = 0; n < 40; n++)
		assert_int_equal(scan(r.index, n, &refs[n]), INDEX_ADDED);
	for (int n = 0; n < 30; n++) {
		(void)append(&r, refs[n], CHANGE_DONE);
		run(r.journal);
	}
	assert_true(journal_sequence(r.journal) > 2);
	assert_int_equal(spooldir_count(r.d.journal),
			 1); /* old ones are gone */
	assert_int_equal(replay(&r, again).bad, 0);
	for (uint64_t n = 0; n < 40; n++)
		assert_int_equal(scan(again, n, &refs[n]),
				 n < 30 ? INDEX_DONE_BEFORE : INDEX_ADDED);
	free(again);
	close_relay(&r);
}

/* J4: a crowd that the queue cannot hold is brought by a snapshot. */
static void overrun_is_made_good(void **state)
{
	struct index *again = open_index();
	uint64_t number = 0, before;
	struct index_ref ref;
	struct relay r;

	open_relay(&r, MESSAGES);
	for (uint64_t n = 0; n < MESSAGES - 100; n++) {
		assert_int_equal(scan(r.index, n, &ref), INDEX_ADDED);
		number = append(&r, ref, CHANGE_DONE);
	}
	before = journal_sequence(r.journal);
	run(r.journal);
	assert_int_equal(journal_sequence(r.journal), before + 1);
	assert_int_equal(journal_synced(r.journal), number);
	(void)replay(&r, again);
	for (uint64_t n = 0; n < MESSAGES - 100; n++)
		assert_int_equal(scan(again, n, &ref), INDEX_DONE_BEFORE);
	free(again);
	close_relay(&r);
}

/* Every step of a batch and of a new file may fail; nothing is lost by it. */
static void failure_rests_until_retried(void **state)
{
	static const enum io_kind kinds[] = { IO_OPEN, IO_WRITE, IO_DATASYNC,
					      IO_SYNC, IO_RENAME };

	for (size_t n = 0; n < sizeof(kinds) / sizeof(kinds[0]); n++) {
		struct index *again = open_index();
		struct index_ref ref;
		struct relay r;
		uint64_t number;
		bool failed = false;
		struct io io;

		open_relay(&r, 1);
		assert_int_equal(scan(r.index, 0, &ref), INDEX_ADDED);
		(void)append(&r, ref, CHANGE_DEFERRED);
		run(r.journal); /* grown enough for a new file */
		number = append(&r, ref, CHANGE_DONE);
		while (journal_next(r.journal, &io)) {
			bool fails = !failed && io.kind == kinds[n];

			failed |= fails;
			journal_done(r.journal, fails ? -EIO : io_run(&io));
		}
		assert_true(failed);
		assert_int_equal(journal_error(r.journal), -EIO);
		assert_false(journal_idle(r.journal));
		journal_retry(r.journal);
		run(r.journal);
		assert_true(journal_idle(r.journal));
		assert_int_equal(journal_synced(r.journal), number);
		(void)replay(&r, again);
		assert_int_equal(scan(again, 0, &ref), INDEX_DONE_BEFORE);
		free(again);
		close_relay(&r);
	}
}

static void damage_costs_one_change(void **state)
{
	struct index *again = open_index();
	struct replay replayed;
	struct index_ref ref;
	struct relay r;
	uint8_t byte = 0;
	int fd;

	open_relay(&r, 100);
	for (uint64_t n = 0; n < 3; n++) {
		assert_int_equal(scan(r.index, n, &ref), INDEX_ADDED);
		(void)append(&r, ref, CHANGE_DONE);
	}
	run(r.journal);
	fd = openat(r.d.journal, "0000000000000001.log", O_RDWR | O_CLOEXEC);
	assert_int_equal(pwrite(fd, &byte, 1, 2 * CHANGE_BYTES), 1);
	assert_int_equal(pwrite(fd, "torn", 4, 4 * CHANGE_BYTES), 4);
	(void)close(fd);
	replayed = replay(&r, again);
	assert_int_equal(replayed.applied, 2);
	assert_int_equal(replayed.bad, 1);
	assert_int_equal(scan(again, 0, &ref), INDEX_DONE_BEFORE);
	assert_int_equal(scan(again, 1, &ref), INDEX_ADDED); /* again */
	assert_int_equal(scan(again, 2, &ref), INDEX_DONE_BEFORE);
	free(again);
	close_relay(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(synced_after_the_sync),
		cmocka_unit_test(replay_knows_what_was_done),
		cmocka_unit_test(compaction_keeps_the_state),
		cmocka_unit_test(overrun_is_made_good),
		cmocka_unit_test(failure_rests_until_retried),
		cmocka_unit_test(damage_costs_one_change),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
