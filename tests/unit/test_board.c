/* A reader beside a writer never takes one segment's length for another's. */
#include "spool/board.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include <cmocka.h>

#define SEGMENTS 20000
#define STEPS    20

struct shared {
	struct board_slot slot;
	_Atomic bool done;
};

/* Lengths of segment n are n * 1000 + step: they tell whose they are. */
static void *writer(void *argument)
{
	struct shared *s = argument;

	for (uint64_t n = 1; n <= SEGMENTS; n++)
		for (uint64_t step = 0; step < STEPS; step++)
			board_announce(&s->slot, n, n * 1000 + step);
	atomic_store(&s->done, true);
	return NULL;
}

static void pairs_are_consistent(void **state)
{
	uint64_t segment, durable, last = 0;
	struct shared s = { 0 };
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, writer, &s), 0);
	while (!atomic_load(&s.done)) {
		board_look(&s.slot, &segment, &durable);
		assert_true(!durable || durable / 1000 == segment);
		assert_true(segment >= last);
		last = segment;
	}
	assert_int_equal(pthread_join(thread, NULL), 0);
	board_look(&s.slot, &segment, &durable);
	assert_int_equal(segment, SEGMENTS);
	assert_int_equal(durable, SEGMENTS * 1000 + STEPS - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pairs_are_consistent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
