#include "sink/host.h"

#include "base/clock.h"
#include "base/must.h"
#include "sink/guest.h"

#include <errno.h>
#include <unistd.h>

#define RECV_BYTES 65536
#define TURN_MS    50 /* the word to stop is heard so soon */

int host_open(struct host *h, struct sink *sink, uint32_t index)
{
	const struct sink_options *o = sink->options;
	uint32_t n = (uint32_t)((o->connections + o->threads - 1) / o->threads);

	*h = (struct host){ .sink = sink };
	h->dice = dice_from(o->seed + index);
	return slab_init(&h->guests, sizeof(struct guest), n);
}

void host_close(struct host *h)
{
	slab_fini(&h->guests);
}

void host_touch(struct host *h, struct guest *g)
{
	if (g->touched)
		return;
	g->touched = true;
	g->touched_next = h->touched;
	h->touched = g;
}

void host_give_guest(struct host *h, struct guest *g)
{
	slab_give(&h->guests, g);
}

static void on_accept(struct host *h, const struct ring_completion *c)
{
	struct guest *g;

	if (!(c->flags & IORING_CQE_F_MORE))
		h->accepting[c->tag.slot] = false;
	if (c->result < 0)
		return; /* that connection is gone; or no descriptor is left */
	g = slab_take(&h->guests);
	if (!g) {
		h->counts.turned_away++;
		(void)close(c->result);
		return;
	}
	guest_open(h, g, c->result, h->sink->listeners[c->tag.slot].service);
}

static void on_cqe(struct host *h, const struct ring_completion *c)
{
	struct guest *g;

	if (c->tag.kind == STREAM_OP_NONE)
		return;
	if (c->tag.kind == HOST_OP_ACCEPT) {
		on_accept(h, c);
		return;
	}
	g = slab_at(&h->guests, c->tag.slot);
	stream_on_cqe(&g->stream, c);
	host_touch(h, g);
}

static void arm_accepts(struct host *h)
{
	for (uint32_t i = 0; i < h->sink->listeners_n; i++) {
		if (h->accepting[i])
			continue;
		h->accepting[i] = true;
		ring_accept_multishot(&h->loop.ring, h->sink->listeners[i].fd,
				      (struct ring_tag){ .kind = HOST_OP_ACCEPT,
							 .slot = i });
	}
}

static int turn(struct host *h)
{
	int result = ring_wait(&h->loop.ring, TURN_MS);
	struct ring_completion c;
	struct wheel_timer *t;

	if (result)
		return result;
	h->now_ms = clock_ms();
	while (ring_next(&h->loop.ring, &c))
		on_cqe(h, &c);
	while ((t = wheel_expire(&h->wheel, h->now_ms)))
		guest_on_timeout(h, guest_of_timer(t));
	while (h->touched) {
		struct guest *g = h->touched;

		h->touched = g->touched_next;
		g->touched = false;
		guest_pump(h, g);
	}
	if (h->wrote && fflush(h->sink->account))
		atomic_store(&h->sink->account_failed, true);
	h->wrote = false;
	arm_accepts(h);
	return 0;
}

/* Those who are still there at the end are cut off by the end of the process. */
static void *run_thread(void *host)
{
	struct host *h = host;

	h->result = stream_loop_init(&h->loop, h->guests.n, RECV_BYTES);
	if (h->result)
		return NULL;
	h->now_ms = clock_ms();
	wheel_init(&h->wheel, h->now_ms);
	arm_accepts(h);
	while (!h->result && !atomic_load(&h->sink->stop))
		h->result = turn(h);
	return NULL;
}

int host_start(struct host *h)
{
	return -pthread_create(&h->thread, NULL, run_thread, h);
}
