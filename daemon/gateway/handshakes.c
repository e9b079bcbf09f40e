#include "gateway/handshakes.h"

#include "base/clock.h"
#include "base/must.h"
#include "gateway/session.h"
#include "gateway/worker.h"

#define REST_TIMES 3 /* as long as the handshake before took */

void handshakes_init(struct handshakes *h, uint32_t most)
{
	*h = (struct handshakes){ .most = most };
}

bool handshakes_full(const struct handshakes *h)
{
	return h->under_way >= h->most;
}

uint64_t handshakes_wait_us(const struct worker *w)
{
	const struct handshakes *h = &w->handshakes;
	uint64_t now_us;

	if (!h->first)
		return UINT64_MAX;
	if (w->store_op.state != OP_FLYING)
		return 0;
	now_us = clock_us();
	return now_us < h->rest_until_us ? h->rest_until_us - now_us : 0;
}

void handshakes_enter(struct worker *w, struct session *s)
{
	MUST(s->pace == SESSION_PACE_NONE);
	s->pace = SESSION_PACE_IDLE;
	w->handshakes.under_way++;
}

void handshakes_leave(struct worker *w, struct session *s)
{
	if (s->pace == SESSION_PACE_NONE)
		return;
	MUST(s->pace != SESSION_PACE_QUEUED && w->handshakes.under_way);
	s->pace = SESSION_PACE_NONE;
	w->handshakes.under_way--;
}

static void append(struct handshakes *h, struct session *s)
{
	s->pace = SESSION_PACE_QUEUED;
	s->handshake_next = NULL;
	if (h->last)
		h->last->handshake_next = s;
	else
		h->first = s;
	h->last = s;
}

static struct session *take_first(struct handshakes *h)
{
	struct session *s = h->first;

	h->first = s->handshake_next;
	if (!h->first)
		h->last = NULL;
	s->pace = SESSION_PACE_ITS_TURN;
	return s;
}

bool handshakes_may_go_on(struct worker *w, struct session *s)
{
	switch (s->pace) {
	case SESSION_PACE_NONE: break;
	case SESSION_PACE_IDLE: append(&w->handshakes, s); return false;
	case SESSION_PACE_QUEUED: return false;
	case SESSION_PACE_ITS_TURN: s->pace = SESSION_PACE_IDLE; return true;
	}
	MUST_NOT_REACH("a session without a handshake");
}

/*
 * One a turn: so an established session waits for one signature, a quarter of a
 * millisecond, and a message of four turns for four. Several a turn would save
 * each a system call, some hundredths of what it costs.
 */
void handshakes_pump(struct worker *w)
{
	struct handshakes *h = &w->handshakes;
	uint64_t begin_us, end_us;

	if (handshakes_wait_us(w))
		return;
	begin_us = clock_us();
	ring_flush(&w->ring); /* replies leave before we are busy */
	session_pump(w, take_first(h));
	end_us = clock_us();
	h->rest_until_us = end_us + REST_TIMES * (end_us - begin_us);
	if (h->first)
		worker_count(w, METRIC_HANDSHAKES_PUT_OFF);
}
