#pragma once

/*
 * wheel: timers of a worker, one per session or attempt, embedded in their
 * owners. Setting and cancelling are O(1). A timer that is moved later stays
 * in its slot and is looked at again when that slot comes up, so refreshing a
 * deadline with every command costs one store. It has no clock and calls
 * nobody: the owner asks for expired timers with the time it read itself.
 */

#include <stdbool.h>
#include <stdint.h>

#define WHEEL_SLOTS   1024
#define WHEEL_TICK_MS 64

struct wheel_timer {
	struct wheel_timer *prev; /* NULL: not set */
	struct wheel_timer *next;
	uint64_t deadline_ms;
	uint64_t slot_tick;
};

struct wheel {
	struct wheel_timer slots[WHEEL_SLOTS]; /* heads of circular lists */
	uint64_t used[WHEEL_SLOTS / 64];       /* a bit for each slot */
	uint64_t tick;                         /* next one to look at */
	uint32_t set_n;
};

void wheel_init(struct wheel *w, uint64_t now_ms);

/* Fires at or up to one tick after deadline_ms. A set timer is moved. */
void wheel_set(struct wheel *w, struct wheel_timer *t, uint64_t deadline_ms);
void wheel_cancel(struct wheel *w, struct wheel_timer *t);

static inline bool wheel_timer_set(const struct wheel_timer *t)
{
	return t->prev;
}

/*
 * The next timer whose deadline has passed at now_ms, taken off the wheel, or
 * NULL. Call until NULL. The work of one call is bounded by the timers set and
 * the ticks passed since the last.
 */
struct wheel_timer *wheel_expire(struct wheel *w, uint64_t now_ms);

/* Milliseconds until the next tick with work may come; UINT32_MAX: none set. */
uint32_t wheel_wait_ms(const struct wheel *w, uint64_t now_ms);
