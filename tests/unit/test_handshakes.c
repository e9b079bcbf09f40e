/* When a handshake's turn has come, and when it rests for a batch's sake. */
#include "base/clock.h"
#include "gateway/handshakes.h"
#include "gateway/session.h"
#include "gateway/worker.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct worker worker;
static struct session waiting;

/* A worker whose last handshake was long, and one that waits. */
static void begin(enum op_state store)
{
	worker = (struct worker){ 0 };
	waiting = (struct session){ .pace = SESSION_PACE_QUEUED };
	worker.handshakes.first = worker.handshakes.last = &waiting;
	worker.handshakes.rest_until_us = clock_us() + 60000000;
	worker.store_op.state = store;
}

static void nobody_waits(void **state)
{
	begin(OP_IDLE);
	worker.handshakes.first = NULL;
	assert_true(handshakes_wait_us(&worker) == UINT64_MAX);
}

static void without_a_batch_it_goes_on(void **state)
{
	begin(OP_IDLE);
	assert_int_equal(handshakes_wait_us(&worker), 0);
	begin(OP_DONE);
	assert_int_equal(handshakes_wait_us(&worker), 0);
}

static void rests_for_a_batch(void **state)
{
	begin(OP_FLYING);
	assert_in_range(handshakes_wait_us(&worker), 1, 60000000);
	handshakes_pump(&worker); /* does nothing */
	assert_ptr_equal(worker.handshakes.first, &waiting);
}

static void the_rest_ends(void **state)
{
	begin(OP_FLYING);
	worker.handshakes.rest_until_us = clock_us();
	assert_int_equal(handshakes_wait_us(&worker), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nobody_waits),
		cmocka_unit_test(without_a_batch_it_goes_on),
		cmocka_unit_test(rests_for_a_batch),
		cmocka_unit_test(the_rest_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
