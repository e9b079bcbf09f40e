/*
 * I1  A guest is freed in guest_pump alone, when it is DEAD and nothing flies.
 * I2  Behind STARTTLS no clear byte is heard: what was pipelined ends the talk.
 */
#include "sink/guest.h"

#include "base/must.h"
#include "sink/guest_smtp.h"

#include <stddef.h>

#define PATIENCE_MS 300000
#define PARTING_MS  2000
#define BURST_BYTES 65536

struct guest *guest_of_timer(struct wheel_timer *t)
{
	return (struct guest *)(void *)((uint8_t *)t -
					offsetof(struct guest, timer));
}

static void set_deadline(struct host *h, struct guest *g, uint64_t after_ms)
{
	wheel_set(&h->wheel, &g->timer, h->now_ms + after_ms);
}

static void begin_tls(struct host *h, struct guest *g)
{
	g->state = GUEST_HANDSHAKE;
	g->starting_tls = false;
	if (stream_begin_tls(&g->stream, h->sink->creds, NULL))
		g->state = GUEST_DEAD;
}

void guest_open(struct host *h, struct guest *g, int fd,
		enum sink_service service)
{
	memset(g, 0, offsetof(struct guest, intake));
	stream_init(&g->stream, slab_index(&h->guests, g));
	buf_init(&g->stream.in, g->in_bytes, sizeof(g->in_bytes));
	buf_init(&g->stream.say, g->say_bytes, sizeof(g->say_bytes));
	buf_init(&g->stream.out, g->out_bytes, sizeof(g->out_bytes));
	stream_accepted(&g->stream, fd);
	g->service = service;
	g->throttled_ms = h->now_ms;
	h->counts.connections++;
	set_deadline(h, g, PATIENCE_MS);
	if (service == SINK_SMTPS) {
		begin_tls(h, g);
	} else {
		g->state = GUEST_COMMANDS;
		guest_smtp_greet(h, g);
	}
	host_touch(h, g);
}

static bool step_handshake(struct host *h, struct guest *g)
{
	struct handshake_facts facts;

	switch (stream_step_tls(&g->stream, &facts)) {
	case STREAM_TLS_GOING: return false;
	case STREAM_TLS_FAILED: g->state = GUEST_SHUTTING; return true;
	case STREAM_TLS_DONE: break;
	}
	h->counts.handshakes++;
	g->encrypted = true;
	g->state = GUEST_COMMANDS;
	if (g->service == SINK_SMTPS)
		guest_smtp_greet(h, g);
	return true;
}

/* -- the throttle ----------------------------------------------------------------- */

/* What was heard beyond the rate makes it deaf until the rate has caught up. */
static void throttle(struct host *h, struct guest *g, size_t heard)
{
	uint64_t rate = h->sink->options->throttle;
	uint64_t due_ms;

	if (!rate)
		return;
	g->heard_bytes += heard;
	if (g->heard_bytes <= BURST_BYTES && g->heard_bytes <= rate)
		return;
	due_ms = g->throttled_ms + g->heard_bytes * 1000 / rate;
	if (due_ms > h->now_ms) {
		g->stream.deaf = true;
		wheel_set(&h->wheel, &g->timer, due_ms);
	}
	if (g->throttled_ms < h->now_ms && due_ms <= h->now_ms) {
		g->throttled_ms = h->now_ms;
		g->heard_bytes = 0;
	}
}

void guest_on_timeout(struct host *h, struct guest *g)
{
	host_touch(h, g);
	if (!g->stream.deaf && g->state != GUEST_DELAYED) {
		g->state = GUEST_DEAD;
		return;
	}
	g->stream.deaf = false;
	set_deadline(h, g, PATIENCE_MS);
	if (g->state == GUEST_DELAYED)
		guest_smtp_reply(g);
}

/* -- the pump ----------------------------------------------------------------------- */

static bool step_talk(struct host *h, struct guest *g)
{
	struct stream *s = &g->stream;
	size_t before = buf_len(&s->in);
	bool heard = !g->starting_tls && stream_read(s);
	struct span in = buf_span(&s->in);
	bool again = false;

	if (heard) {
		throttle(h, g, buf_len(&s->in) - before);
		if (!s->deaf && g->state != GUEST_DELAYED)
			set_deadline(h, g, PATIENCE_MS);
	}
	if (!g->starting_tls)
		again = guest_smtp_step(h, g, &in);
	buf_consume(&s->in, buf_len(&s->in) - in.len);
	stream_seal(s);
	if (g->starting_tls && stream_all_sent(s)) {
		if (buf_len(&s->in)) /* I2 */
			g->state = GUEST_DEAD;
		else
			begin_tls(h, g);
		return true;
	}
	if (stream_ended(s) && !again && !heard) {
		g->state = GUEST_SHUTTING;
		return true;
	}
	return again || heard;
}

static bool step_shutting(struct host *h, struct guest *g)
{
	if (!g->stream.shut)
		set_deadline(h, g, PARTING_MS);
	if (!stream_shut(&g->stream))
		return false;
	g->state = GUEST_DEAD;
	return true;
}

static bool step(struct host *h, struct guest *g)
{
	switch (g->state) {
	case GUEST_HANDSHAKE: return step_handshake(h, g);
	case GUEST_COMMANDS:
	case GUEST_DATA:
	case GUEST_CHUNK:
	case GUEST_DELAYED:
	case GUEST_REPLYING: return step_talk(h, g);
	case GUEST_SHUTTING: return step_shutting(h, g);
	case GUEST_DEAD: break;
	}
	return false;
}

void guest_pump(struct host *h, struct guest *g)
{
	stream_harvest(&h->loop, &g->stream);
	while (step(h, g))
		;
	if (g->state != GUEST_DEAD) {
		stream_arm(&h->loop, &g->stream);
		return;
	}
	if (!stream_cancel(&h->loop, &g->stream) || g->touched)
		return;
	h->counts.broken += !g->said_quit;
	wheel_cancel(&h->wheel, &g->timer);
	stream_fini(&h->loop, &g->stream); /* I1 */
	host_give_guest(h, g);
}
