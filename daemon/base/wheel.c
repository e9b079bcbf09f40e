/*
 * A hashed wheel of WHEEL_SLOTS slots, WHEEL_TICK_MS each (65 s a turn).
 *
 * I1  A set timer is linked in slot slot_tick % WHEEL_SLOTS.
 * I2  slot_tick is never later than the tick of its deadline: a timer is seen
 *     no later than one tick after its deadline, and put further if it moved.
 * I3  Every slot before `tick` has been emptied of due timers.
 */
#include "base/wheel.h"

#include "base/must.h"

#include <stddef.h>

static uint64_t tick_of(uint64_t ms)
{
	return ms / WHEEL_TICK_MS + 1; /* rounds up: never fires early */
}

static void unlink_timer(struct wheel_timer *t)
{
	t->prev->next = t->next;
	t->next->prev = t->prev;
	t->prev = t->next = NULL;
}

static void link_timer(struct wheel *w, struct wheel_timer *t)
{
	uint64_t tick = tick_of(t->deadline_ms);
	struct wheel_timer *head;

	if (tick < w->tick)
		tick = w->tick; /* I3: already past, seen with the next look */
	if (tick >= w->tick + WHEEL_SLOTS)
		tick = w->tick + WHEEL_SLOTS - 1; /* I2: looked at again */
	t->slot_tick = tick;
	head = &w->slots[tick % WHEEL_SLOTS];
	t->prev = head->prev;
	t->next = head;
	head->prev->next = t;
	head->prev = t;
}

void wheel_init(struct wheel *w, uint64_t now_ms)
{
	for (size_t i = 0; i < WHEEL_SLOTS; i++)
		w->slots[i].prev = w->slots[i].next = &w->slots[i];
	w->tick = now_ms / WHEEL_TICK_MS;
	w->set_n = 0;
}

void wheel_set(struct wheel *w, struct wheel_timer *t, uint64_t deadline_ms)
{
	t->deadline_ms = deadline_ms;
	if (wheel_timer_set(t)) {
		if (tick_of(deadline_ms) >= t->slot_tick)
			return; /* I2 holds where it is */
		unlink_timer(t);
	} else {
		w->set_n++;
	}
	link_timer(w, t);
}

void wheel_cancel(struct wheel *w, struct wheel_timer *t)
{
	if (!wheel_timer_set(t))
		return;
	unlink_timer(t);
	MUST(w->set_n);
	w->set_n--;
}

/* Takes a due timer out of the slot of w->tick; moves the others on. */
static struct wheel_timer *expire_slot(struct wheel *w, uint64_t now_ms)
{
	struct wheel_timer *head = &w->slots[w->tick % WHEEL_SLOTS];
	struct wheel_timer *t = head->next;

	while (t != head) {
		struct wheel_timer *next = t->next;

		if (t->deadline_ms <= now_ms) {
			unlink_timer(t);
			w->set_n--;
			return t;
		}
		if (tick_of(t->deadline_ms) != w->tick) {
			unlink_timer(t);
			link_timer(w, t);
		}
		t = next;
	}
	return NULL;
}

struct wheel_timer *wheel_expire(struct wheel *w, uint64_t now_ms)
{
	uint64_t now_tick = now_ms / WHEEL_TICK_MS;

	if (!w->set_n) {
		w->tick = now_tick;
		return NULL;
	}
	for (;;) {
		struct wheel_timer *t = expire_slot(w, now_ms);

		if (t || w->tick >= now_tick)
			return t;
		w->tick++;
	}
}

uint32_t wheel_wait_ms(const struct wheel *w, uint64_t now_ms)
{
	if (!w->set_n)
		return UINT32_MAX;
	for (uint64_t tick = w->tick; tick < w->tick + WHEEL_SLOTS; tick++) {
		const struct wheel_timer *head = &w->slots[tick % WHEEL_SLOTS];
		uint64_t at = tick * WHEEL_TICK_MS;

		if (head->next != head)
			return at > now_ms ? (uint32_t)(at - now_ms) : 1;
	}
	return WHEEL_TICK_MS;
}
