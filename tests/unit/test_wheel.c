/*
 * Timers fire never early and at most one tick late, whatever was done to them.
 * All times are given; nothing sleeps.
 */
#include "base/wheel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#define TURN_MS ((uint64_t)WHEEL_SLOTS * WHEEL_TICK_MS)
#define HOUR_MS 3600000u
#define START   1000003u /* in the middle of a tick */

static struct wheel wheel;

static void begin(struct wheel_timer *t, uint64_t now_ms)
{
	memset(t, 0, sizeof(*t));
	wheel_init(&wheel, now_ms);
}

/* When the timer fires if the wheel is asked every millisecond. */
static uint64_t fires_at(struct wheel_timer *t, uint64_t now_ms)
{
	struct wheel_timer *fired;

	while (!(fired = wheel_expire(&wheel, now_ms)))
		now_ms++;
	assert_ptr_equal(fired, t);
	assert_false(wheel_timer_set(t));
	return now_ms;
}

static void fires_within_a_tick(void **state)
{
	static const uint64_t delays[] = {
		0,
		1,
		63,
		64,
		65,
		1000,
		TURN_MS - 1,
		TURN_MS,
		TURN_MS + 1,
		TURN_MS + 64,
		3 * TURN_MS + 17,
	};

	for (size_t i = 0; i < sizeof(delays) / sizeof(delays[0]); i++) {
		for (uint64_t now = START; now < START + 2 * 64; now++) {
			struct wheel_timer t;
			uint64_t at;

			begin(&t, now);
			wheel_set(&wheel, &t, now + delays[i]);
			assert_true(wheel_timer_set(&t));
			at = fires_at(&t, now + delays[i] / 2);
			assert_in_range(at, now + delays[i],
					now + delays[i] + WHEEL_TICK_MS);
		}
	}
}

static void fires_at_once_when_overdue(void **state)
{
	struct wheel_timer t;

	begin(&t, START);
	wheel_set(&wheel, &t, 0);
	assert_ptr_equal(wheel_expire(&wheel, START), &t);
	wheel_set(&wheel, &t, START);
	assert_ptr_equal(wheel_expire(&wheel, START + 64), &t);
	assert_null(wheel_expire(&wheel, START + 64));
}

static void fires_once(void **state)
{
	struct wheel_timer t;

	begin(&t, START);
	wheel_set(&wheel, &t, START + 10);
	assert_ptr_equal(wheel_expire(&wheel, START + 100), &t);
	assert_null(wheel_expire(&wheel, START + 100));
	assert_null(wheel_expire(&wheel, START + 2 * TURN_MS));
}

static void cancelled_never_fires(void **state)
{
	struct wheel_timer t;

	begin(&t, START);
	wheel_cancel(&wheel, &t); /* not set: harmless */
	wheel_set(&wheel, &t, START + 10);
	wheel_cancel(&wheel, &t);
	assert_false(wheel_timer_set(&t));
	wheel_cancel(&wheel, &t);
	assert_null(wheel_expire(&wheel, START + 2 * TURN_MS));
	assert_int_equal(wheel_wait_ms(&wheel, START), UINT32_MAX);
}

static void moves_later_and_earlier(void **state)
{
	struct wheel_timer t;
	uint64_t at;

	begin(&t, START);
	wheel_set(&wheel, &t, START + 100);
	wheel_set(&wheel, &t, START + 5000);
	assert_null(wheel_expire(&wheel, START + 4999));
	at = fires_at(&t, START + 4999);
	assert_in_range(at, START + 5000, START + 5000 + WHEEL_TICK_MS);

	begin(&t, START);
	wheel_set(&wheel, &t, START + HOUR_MS);
	wheel_set(&wheel, &t, START + 100);
	at = fires_at(&t, START);
	assert_in_range(at, START + 100, START + 100 + WHEEL_TICK_MS);
}

/* A session that is refreshed with every command, for an hour. */
static void refreshed_for_long(void **state)
{
	struct wheel_timer t;
	uint64_t now = START, at;

	begin(&t, now);
	for (; now < START + HOUR_MS; now += 777) {
		wheel_set(&wheel, &t, now + 1000);
		assert_null(wheel_expire(&wheel, now + 776));
	}
	at = fires_at(&t, now);
	assert_in_range(at, now - 777 + 1000, now - 777 + 1000 + WHEEL_TICK_MS);
}

/* The worker was stopped, or nothing was set: the wheel has not moved. */
static void catches_up_after_idleness(void **state)
{
	struct wheel_timer near, far;
	uint64_t later = START + 24 * HOUR_MS;
	uint64_t at;

	begin(&near, START);
	begin(&far, START);
	wheel_set(&wheel, &near, START + 100);
	wheel_set(&wheel, &far, later + 1000);
	assert_ptr_equal(wheel_expire(&wheel, later), &near);
	assert_null(wheel_expire(&wheel, later));
	at = fires_at(&far, later);
	assert_in_range(at, later + 1000, later + 1000 + WHEEL_TICK_MS);

	begin(&near, START); /* set before the first look after the idleness */
	wheel_set(&wheel, &near, later + 1000);
	assert_null(wheel_expire(&wheel, later + 999));
	at = fires_at(&near, later + 999);
	assert_in_range(at, later + 1000, later + 1000 + WHEEL_TICK_MS);
}

/* A loop that sleeps as told wakes up for each turn of the wheel, no more. */
static void waits_without_spinning(void **state)
{
	struct wheel_timer t;
	uint64_t now = START;
	uint32_t wakes = 0;

	begin(&t, now);
	assert_int_equal(wheel_wait_ms(&wheel, now), UINT32_MAX);
	wheel_set(&wheel, &t, now + HOUR_MS);
	while (!wheel_expire(&wheel, now)) {
		uint32_t wait_ms = wheel_wait_ms(&wheel, now);

		assert_in_range(wait_ms, 1, TURN_MS);
		now += wait_ms;
		wakes++;
	}
	assert_in_range(now, START + HOUR_MS, START + HOUR_MS + WHEEL_TICK_MS);
	assert_in_range(wakes, 1, HOUR_MS / TURN_MS + 3);
}

/* ---- against a list, at random ------------------------------------------- */

#define TIMERS 64
#define STEPS  40000

struct model {
	struct wheel_timer timers[TIMERS];
	bool set[TIMERS];
	uint64_t deadline_ms[TIMERS];
	uint64_t now_ms;
	uint64_t random;
	uint32_t fired_n;
};

static uint64_t below(struct model *m, uint64_t n)
{
	m->random ^= m->random << 13;
	m->random ^= m->random >> 7;
	m->random ^= m->random << 17;
	return m->random % n;
}

/* Mostly short, now and then over a turn, at times long gone by. */
static uint64_t some_deadline(struct model *m)
{
	switch (below(m, 8)) {
	case 0: return m->now_ms + below(m, 4 * TURN_MS);
	case 1: return m->now_ms + TURN_MS - 128 + below(m, 256);
	case 2: return m->now_ms - below(m, 1000);
	case 3: return m->now_ms + below(m, 130);
	default: return m->now_ms + below(m, 10000);
	}
}

static uint64_t some_pause(struct model *m)
{
	switch (below(m, 16)) {
	case 0: return below(m, 2 * TURN_MS);
	case 1: return below(m, 500) ? TURN_MS : 3 * HOUR_MS;
	case 2: return wheel_wait_ms(&wheel, m->now_ms) % HOUR_MS;
	case 3: return 0;
	default: return below(m, 200);
	}
}

static void model_set(struct model *m, size_t i)
{
	m->set[i] = true;
	m->deadline_ms[i] = some_deadline(m);
	wheel_set(&wheel, &m->timers[i], m->deadline_ms[i]);
}

static void model_change(struct model *m)
{
	size_t i = below(m, TIMERS);

	if (below(m, 4)) {
		model_set(m, i);
	} else {
		wheel_cancel(&wheel, &m->timers[i]);
		m->set[i] = false;
	}
}

/* Fires what is due; some are set again at once, as sessions do. */
static void model_expire(struct model *m)
{
	struct wheel_timer *t;

	while ((t = wheel_expire(&wheel, m->now_ms))) {
		size_t i = (size_t)(t - m->timers);

		assert_true(m->set[i]);
		assert_true(m->deadline_ms[i] <= m->now_ms);
		m->set[i] = false;
		m->fired_n++;
		if (!below(m, 3))
			model_set(m, i);
	}
}

static void model_check(struct model *m)
{
	uint64_t soonest = UINT64_MAX;
	uint32_t wait_ms = wheel_wait_ms(&wheel, m->now_ms);
	uint32_t set_n = 0;

	for (size_t i = 0; i < TIMERS; i++) {
		assert_int_equal(wheel_timer_set(&m->timers[i]), m->set[i]);
		if (!m->set[i])
			continue;
		set_n++;
		assert_true(m->deadline_ms[i] + WHEEL_TICK_MS > m->now_ms);
		if (m->deadline_ms[i] < soonest)
			soonest = m->deadline_ms[i];
	}
	assert_int_equal(wheel.set_n, set_n);
	if (set_n)
		assert_in_range(wait_ms, 1,
				soonest + WHEEL_TICK_MS - m->now_ms);
	else
		assert_int_equal(wait_ms, UINT32_MAX);
}

static void agrees_with_a_list(void **state)
{
	static struct model m;

	for (uint64_t seed = 1; seed <= 5; seed++) {
		memset(&m, 0, sizeof(m));
		m.random = seed * 0x9e3779b97f4a7c15;
		m.now_ms = 1000 + below(&m, (uint64_t)1 << 42);
		wheel_init(&wheel, m.now_ms);
		for (int step = 0; step < STEPS; step++) {
			for (uint64_t n = below(&m, 4); n; n--)
				model_change(&m);
			m.now_ms += some_pause(&m);
			model_expire(&m);
			model_check(&m);
		}
		assert_true(m.fired_n > STEPS / 4);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fires_within_a_tick),
		cmocka_unit_test(fires_at_once_when_overdue),
		cmocka_unit_test(fires_once),
		cmocka_unit_test(cancelled_never_fires),
		cmocka_unit_test(moves_later_and_earlier),
		cmocka_unit_test(refreshed_for_long),
		cmocka_unit_test(catches_up_after_idleness),
		cmocka_unit_test(waits_without_spinning),
		cmocka_unit_test(agrees_with_a_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
