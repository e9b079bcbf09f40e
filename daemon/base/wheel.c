/*
 * A hashed wheel of WHEEL_SLOTS slots, WHEEL_TICK_MS each (65 s a turn).
 *
 * I1  A set timer is linked in slot slot_tick % WHEEL_SLOTS.
 * I2  slot_tick is never later than the tick of its deadline: a timer is seen
 *     no later than one tick after its deadline, and put further if it moved.
 * I3  Every slot before `tick` has been emptied of due timers.
 * I4  `used` has the bit of each slot that holds a timer: a worker asks every
 *     turn how long it may wait, and the next deadline is often minutes off.
 */
#include "base/wheel.h"

#include "base/must.h"

#include <stddef.h>
#include <string.h>

static uint64_t tick_of(uint64_t ms)
{
	return ms / WHEEL_TICK_MS + 1; /* rounds up: never fires early */
}

static void unlink_timer(struct wheel *w, struct wheel_timer *t)
{
	uint64_t slot = t->slot_tick % WHEEL_SLOTS;

	t->prev->next = t->next;
	t->next->prev = t->prev;
	t->prev = t->next = NULL;
	if (w->slots[slot].next == &w->slots[slot])
		w->used[slot / 64] &= ~(1ull << slot % 64); /* I4 */
}

static void link_timer(struct wheel *w, struct wheel_timer *t)
{
	uint64_t tick = tick_of(t->deadline_ms);
	struct wheel_timer *head;
	uint64_t slot;

	if (tick < w->tick)
		tick = w->tick; /* I3: already past, seen with the next look */
	if (tick >= w->tick + WHEEL_SLOTS)
		tick = w->tick + WHEEL_SLOTS - 1; /* I2: looked at again */
	t->slot_tick = tick;
	slot = tick % WHEEL_SLOTS;
	w->used[slot / 64] |= 1ull << slot % 64; /* I4 */
	head = &w->slots[slot];
	t->prev = head->prev;
	t->next = head;
	head->prev->next = t;
	head->prev = t;
}

void wheel_init(struct wheel *w, uint64_t now_ms)
{
	for (size_t i = 0; i < WHEEL_SLOTS; i++)
		w->slots[i].prev = w->slots[i].next = &w->slots[i];
	memset(w->used, 0, sizeof(w->used));
	w->tick = now_ms / WHEEL_TICK_MS;
	w->set_n = 0;
}

void wheel_set(struct wheel *w, struct wheel_timer *t, uint64_t deadline_ms)
{
	t->deadline_ms = deadline_ms;
	if (wheel_timer_set(t)) {
		if (tick_of(deadline_ms) >= t->slot_tick)
			return; /* I2 holds where it is */
		unlink_timer(w, t);
	} else {
		w->set_n++;
	}
	link_timer(w, t);
}

void wheel_cancel(struct wheel *w, struct wheel_timer *t)
{
	if (!wheel_timer_set(t))
		return;
	unlink_timer(w, t);
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
			unlink_timer(w, t);
			w->set_n--;
			return t;
		}
		if (tick_of(t->deadline_ms) != w->tick) {
			unlink_timer(w, t);
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

/* Ticks from `tick` until the first whose slot is used, one turn at most. */
static uint64_t ticks_to_used(const struct wheel *w)
{
	uint64_t slot = w->tick % WHEEL_SLOTS, passed = 0;
	uint64_t bits = w->used[slot / 64] >> slot % 64;

	while (!bits && passed < WHEEL_SLOTS) {
		passed += 64 - slot % 64;
		slot = (w->tick + passed) % WHEEL_SLOTS;
		bits = w->used[slot / 64];
	}
	MUST(bits); /* I4: some timer is set */
	return passed + (uint64_t)__builtin_ctzll(bits);
}

uint32_t wheel_wait_ms(const struct wheel *w, uint64_t now_ms)
{
	uint64_t at;

	if (!w->set_n)
		return UINT32_MAX;
	at = (w->tick + ticks_to_used(w)) * WHEEL_TICK_MS;
	return at > now_ms ? (uint32_t)(at - now_ms) : 1;
}
