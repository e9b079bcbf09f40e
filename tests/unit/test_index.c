/* The queue's memory: what is due, what is done, what may be given back. */
#include "spool/index.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define SEGMENT  0xfeed
#define MESSAGES 8

static struct index *open_index(void)
{
	struct index_options options = { .messages_max = MESSAGES,
					 .changes_max = 2,
					 .segments_max = 3,
					 .wide_max = 1 };
	size_t len = (index_size(&options) + 63) & ~(size_t)63;
	uint8_t *memory = aligned_alloc(64, len);
	struct index *i;
	uint16_t slot;

	assert_non_null(memory);
	memset(memory, 0, len);
	i = index_init(memory, &options);
	assert_int_equal(index_add_segment(i, SEGMENT, &slot), 0);
	assert_int_equal(slot, 0);
	return i;
}

static enum index_added add(struct index *i, uint64_t n, uint64_t now_s,
			    struct index_ref *ret)
{
	struct frame f = { .type = FRAME_MESSAGE,
			   .segment = SEGMENT,
			   .offset = 112 + n * 120 };

	return index_add(i, 0, &f, now_s, ret);
}

static struct index_ref added(struct index *i, uint64_t n, uint64_t now_s)
{
	struct index_ref ref;

	assert_int_equal(add(i, n, now_s, &ref), INDEX_ADDED);
	return ref;
}

static void apply(struct index *i, struct index_ref ref, enum change_kind kind,
		  uint32_t due_s)
{
	struct change c = index_change(i, ref, kind);

	c.due_s = due_s;
	c.attempts++;
	c.code = 550;
	assert_int_equal(index_apply(i, &c), 0);
}

static void due_comes_in_order(void **state)
{
	static const uint32_t due[MESSAGES] = { 50, 20, 90, 10, 60, 30, 80, 40 };
	struct index *i = open_index();
	struct index_ref ref;

	for (uint64_t n = 0; n < MESSAGES; n++)
		(void)added(i, n, due[n]);
	assert_int_equal(index_next_due_s(i), 10);
	assert_false(index_due(i, 9, &ref));
	for (uint32_t now = 10; now <= 90; now += 10) {
		if (now == 70)
			continue;
		assert_true(index_due(i, now, &ref));
		assert_int_equal(index_get(i, ref)->due_s, now);
		assert_int_equal(index_activate(i, ref, 1), 0);
		assert_false(index_due(i, now, &ref));
	}
	assert_int_equal(index_next_due_s(i), UINT64_MAX);
	free(i);
}

static void life_of_a_message(void **state)
{
	struct index *i = open_index();
	struct index_ref ref = added(i, 0, 100), found;

	assert_int_equal(index_activate(i, ref, 1), 0);
	assert_int_equal(index_counts(i).active, 1);
	apply(i, ref, CHANGE_DEFERRED, 500);
	assert_int_equal(index_counts(i).waiting, 1);
	assert_int_equal(index_counts(i).deferred, 1);
	assert_int_equal(index_next_due_s(i), 500);
	apply(i, ref, CHANGE_HELD, 0);
	assert_int_equal(index_counts(i).held, 1);
	assert_int_equal(index_get(i, ref)->code, 550);
	assert_int_equal(index_next_due_s(i), UINT64_MAX);
	apply(i, ref, CHANGE_RELEASED, 600);
	assert_int_equal(index_get(i, ref)->attempts, 0);
	assert_int_equal(index_counts(i).deferred, 0);
	index_postpone(i, ref, 700);
	assert_int_equal(index_next_due_s(i), 700);
	assert_true(index_find(i, SEGMENT, 112, &found));
	assert_int_equal(found.slot, ref.slot);

	apply(i, ref, CHANGE_DONE, 0);
	assert_null(index_get(i, ref)); /* stale */
	assert_false(index_find(i, SEGMENT, 112, &found));
	found = added(i, 1, 100); /* takes the slot, not the name */
	assert_int_equal(found.slot, ref.slot);
	assert_null(index_get(i, ref));
	free(i);
}

static void segment_is_given_back_when_all_is_done(void **state)
{
	struct index *i = open_index();
	struct index_ref a = added(i, 0, 1), b = added(i, 1, 1);
	uint16_t slot;

	apply(i, a, CHANGE_DONE, 0);
	apply(i, b, CHANGE_HELD, 0);
	index_finish_segment(i, 0, false);
	assert_false(index_reclaimable(i, 0));
	apply(i, b, CHANGE_DONE, 0);
	assert_true(index_reclaimable(i, 0));
	index_forget_segment(i, 0);
	assert_false(index_find_segment(i, SEGMENT, &slot));
	assert_int_equal(index_counts(i).segments, 0);
	free(i);
}

static void growing_or_corrupt_segment_is_kept(void **state)
{
	struct index *i = open_index();

	apply(i, added(i, 0, 1), CHANGE_DONE, 0);
	assert_false(index_reclaimable(i, 0)); /* not finished */
	index_finish_segment(i, 0, true);
	assert_false(index_reclaimable(i, 0));
	free(i);
}

static void full_index_takes_nothing(void **state)
{
	struct index *i = open_index();
	struct index_ref ref, first = added(i, 0, 1);

	for (uint64_t n = 1; n < MESSAGES; n++)
		(void)added(i, n, 1);
	assert_int_equal(add(i, MESSAGES, 1, &ref), INDEX_FULL);
	apply(i, first, CHANGE_DONE, 0);
	assert_int_equal(add(i, MESSAGES, 1, &ref), INDEX_ADDED);
	free(i);
}

static void recipients_are_remembered(void **state)
{
	struct index *i = open_index();
	struct index_ref few = added(i, 0, 1), many = added(i, 1, 1);
	struct index_ref more = added(i, 2, 1);
	struct change c;

	assert_int_equal(index_activate(i, few, 64), 0);
	c = index_change_recipient(i, few, 63);
	assert_int_equal(index_apply(i, &c), 0);
	assert_true(index_recipient_done(i, few, 63));
	assert_false(index_recipient_done(i, few, 62));

	c = index_change_recipient(i, many, 5);
	assert_int_equal(index_apply(i, &c), 0);
	assert_int_equal(index_activate(i, many, 1000), 0);
	c = index_change_recipient(i, many, 999);
	assert_int_equal(index_apply(i, &c), 0);
	assert_true(index_recipient_done(i, many, 5)); /* still */
	assert_true(index_recipient_done(i, many, 999));
	assert_false(index_recipient_done(i, many, 998));

	/* One wide message at a time here. */
	assert_int_equal(index_activate(i, more, 65), -ENOSPC);
	apply(i, many, CHANGE_DONE, 0);
	assert_int_equal(index_activate(i, more, 65), 0);
	assert_false(index_recipient_done(i, more, 5));
	free(i);
}

/* -- what the journal knew before the scan -------------------------------- */

static void know(struct index *i, enum change_kind kind, uint64_t n)
{
	struct change c = { .kind = kind,
			    .segment = SEGMENT,
			    .offset = 112 + n * 120,
			    .due_s = 77 };

	assert_int_equal(index_apply(i, &c), 0);
}

static void scan_meets_what_is_known(void **state)
{
	struct index *i = open_index();
	struct index_ref ref;

	know(i, CHANGE_CUT, 4);
	know(i, CHANGE_LIVE, 1);
	know(i, CHANGE_LIVE, 2);
	know(i, CHANGE_DONE, 2);
	know(i, CHANGE_LIVE, 3);
	know(i, CHANGE_HELD, 3);
	know(i, CHANGE_DEFERRED, 0); /* older than the cut, which saw it done */
	know(i, CHANGE_DONE, 5);
	assert_false(index_due(i, 1000, &ref)); /* not yet scanned */
	assert_int_equal(add(i, 0, 5, &ref), INDEX_DONE_BEFORE);
	assert_int_equal(add(i, 1, 5, &ref), INDEX_ADDED);
	assert_int_equal(index_get(i, ref)->due_s, 77);
	assert_int_equal(add(i, 2, 5, &ref), INDEX_DONE_BEFORE);
	assert_int_equal(add(i, 3, 5, &ref), INDEX_ADDED);
	assert_int_equal(index_get(i, ref)->state, INDEX_HELD);
	assert_int_equal(add(i, 4, 5, &ref), INDEX_ADDED); /* new */
	assert_int_equal(index_get(i, ref)->due_s, 5);
	assert_int_equal(add(i, 5, 5, &ref), INDEX_DONE_BEFORE);
	assert_int_equal(index_segment(i, 0)->known_n, 0);
	free(i);
}

static void cut_may_be_at_a_torn_end(void **state)
{
	struct change c = { .kind = CHANGE_CUT,
			    .segment = SEGMENT,
			    .offset = 333 };
	struct index *i = open_index();
	struct index_ref ref;

	assert_int_equal(index_apply(i, &c), 0);
	assert_int_equal(add(i, 1, 5, &ref), INDEX_DONE_BEFORE);
	free(i);
}

/* Lack of room makes a message come again, never go. */
static void no_room_never_loses(void **state)
{
	struct change c = { .kind = CHANGE_LIVE, .segment = SEGMENT };
	struct index *i = open_index();
	struct index_ref ref;

	know(i, CHANGE_CUT, 100);
	for (uint64_t n = 20; n < 20 + MESSAGES + 2; n++)
		know(i, CHANGE_LIVE, n);
	c.offset = 112 + 5 * 120;
	assert_int_equal(index_apply(i, &c), -ENOSPC);
	assert_int_equal(add(i, 4, 5, &ref), INDEX_DONE_BEFORE);
	assert_int_equal(add(i, 5, 5, &ref), INDEX_FULL); /* not: done */
	free(i);
}

/* One step of a snapshot into another index. False: it is at its end. */
static bool copy_step(const struct index *i, struct index_cursor *cursor,
		      struct index *into)
{
	struct change step[INDEX_STEP_MAX];
	uint32_t n = index_snapshot(i, cursor, step);

	for (uint32_t k = 0; k < n; k++)
		assert_int_equal(index_apply(into, &step[k]), 0);
	return n;
}

static void snapshot_rebuilds(void **state)
{
	struct index *i = open_index(), *again = open_index();
	struct index_cursor cursor = { 0 };
	struct index_ref live, held, ref;
	struct change c;

	live = added(i, 0, 1);
	held = added(i, 1, 1);
	apply(i, added(i, 2, 1), CHANGE_DONE, 0);
	apply(i, live, CHANGE_DEFERRED, 400);
	c = index_change_recipient(i, live, 3);
	assert_int_equal(index_apply(i, &c), 0);
	apply(i, held, CHANGE_HELD, 0);
	while (copy_step(i, &cursor, again))
		;

	assert_int_equal(add(again, 0, 9, &ref), INDEX_ADDED);
	assert_int_equal(index_get(again, ref)->due_s, 400);
	assert_int_equal(index_get(again, ref)->attempts, 1);
	assert_true(index_recipient_done(again, ref, 3));
	assert_false(index_recipient_done(again, ref, 2));
	assert_int_equal(add(again, 1, 9, &ref), INDEX_ADDED);
	assert_int_equal(index_get(again, ref)->state, INDEX_HELD);
	assert_int_equal(index_get(again, ref)->code, 550);
	assert_int_equal(add(again, 2, 9, &ref), INDEX_DONE_BEFORE);
	assert_int_equal(add(again, 3, 9, &ref), INDEX_ADDED);
	free(i);
	free(again);
}

/* Scanning goes on between any two steps of a snapshot. */
static void snapshot_under_a_scan(void **state)
{
	bool more = true;

	for (uint32_t steps = 0; more; steps++) {
		struct index *i = open_index(), *again = open_index();
		struct index_cursor cursor = { 0 };
		struct index_ref ref;

		know(i, CHANGE_DONE, 0);
		know(i, CHANGE_LIVE, 1);
		know(i, CHANGE_DONE, 2);
		for (uint32_t n = 0; more && n < steps; n++)
			more = copy_step(i, &cursor, again);
		for (uint64_t n = 0; n < 4; n++)
			assert_int_equal(add(i, n, 5, &ref),
					 n % 2 ? INDEX_ADDED :
						 INDEX_DONE_BEFORE);
		while (copy_step(i, &cursor, again))
			;
		for (uint64_t n = 0; n < 4; n++)
			assert_int_equal(add(again, n, 9, &ref),
					 n % 2 ? INDEX_ADDED :
						 INDEX_DONE_BEFORE);
		free(i);
		free(again);
	}
}

static void know_recipient(struct index *i, uint32_t word, uint64_t bits)
{
	struct change c = { .kind = CHANGE_RECIPIENTS,
			    .segment = SEGMENT,
			    .offset = 112,
			    .word = (uint16_t)word,
			    .bits = bits };

	assert_int_equal(index_apply(i, &c), 0);
}

/* A snapshot takes a step at least between its parts. */
static void cut_another_segment(struct index *i)
{
	struct change c = { .kind = CHANGE_CUT,
			    .segment = SEGMENT + 1,
			    .offset = 112 };
	uint16_t slot;

	assert_int_equal(index_add_segment(i, SEGMENT + 1, &slot), 0);
	assert_int_equal(index_apply(i, &c), 0);
}

static void assert_as_known(const struct index *i, struct index_ref ref)
{
	assert_int_equal(index_get(i, ref)->state, INDEX_HELD);
	assert_true(index_recipient_done(i, ref, 3));
	assert_true(index_recipient_done(i, ref, 100));
}

/*
 * A message ends between any two steps, and nobody hears of it: it is done, or
 * comes back as it was, held and with all that is known of its recipients.
 */
static void snapshot_tells_whole(bool scanned_before)
{
	struct index_ref ref = { 0 };
	bool more = true;

	for (uint32_t steps = 0; more; steps++) {
		struct index *i = open_index(), *again = open_index();
		struct index_cursor cursor = { 0 };

		cut_another_segment(i);
		know(i, CHANGE_LIVE, 0);
		know(i, CHANGE_HELD, 0);
		know_recipient(i, 0, 1 << 3);
		know_recipient(i, 1, (uint64_t)1 << 36);
		if (scanned_before)
			ref = added(i, 0, 9);
		for (uint32_t n = 0; more && n < steps; n++)
			more = copy_step(i, &cursor, again);
		if (!scanned_before)
			ref = added(i, 0, 9);
		assert_as_known(i, ref);
		apply(i, ref, CHANGE_DONE, 0);
		while (copy_step(i, &cursor, again))
			;
		if (add(again, 0, 9, &ref) == INDEX_ADDED)
			assert_as_known(again, ref);
		free(i);
		free(again);
	}
}

static void snapshot_tells_messages_whole(void **state)
{
	snapshot_tells_whole(true);
}

static void snapshot_tells_what_was_known_whole(void **state)
{
	snapshot_tells_whole(false);
}

/* With no room but for what stands behind it, a message is taken. */
static void the_known_block_nobody(void **state)
{
	struct index *i = open_index();
	struct index_ref first, ref;

	for (uint64_t n = 2; n < 2 + MESSAGES; n++)
		know(i, CHANGE_LIVE, n);
	first = added(i, 0, 1);
	assert_int_equal(add(i, 1, 1, &ref), INDEX_FULL);
	apply(i, first, CHANGE_DONE, 0);
	(void)added(i, 1, 1);
	(void)added(i, 2, 1);
	free(i);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(due_comes_in_order),
		cmocka_unit_test(life_of_a_message),
		cmocka_unit_test(segment_is_given_back_when_all_is_done),
		cmocka_unit_test(growing_or_corrupt_segment_is_kept),
		cmocka_unit_test(full_index_takes_nothing),
		cmocka_unit_test(recipients_are_remembered),
		cmocka_unit_test(scan_meets_what_is_known),
		cmocka_unit_test(cut_may_be_at_a_torn_end),
		cmocka_unit_test(no_room_never_loses),
		cmocka_unit_test(snapshot_rebuilds),
		cmocka_unit_test(snapshot_under_a_scan),
		cmocka_unit_test(snapshot_tells_messages_whole),
		cmocka_unit_test(snapshot_tells_what_was_known_whole),
		cmocka_unit_test(the_known_block_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
