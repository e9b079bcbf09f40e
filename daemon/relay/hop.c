/*
 * I1  A hop is freed in hop_close alone, when nothing of it is in flight and no
 *     job hangs on it; its slot's generation goes up, so late answers miss.
 * I2  A job is given up exactly once: by job_end_transaction or job_end_route,
 *     or taken to another connection.
 */
#include "relay/hop.h"

#include "base/must.h"
#include "relay/hop_pump.h"
#include "relay/hop_wire.h"
#include "relay/job.h"
#include "relay/runner.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <sys/socket.h>

#define CONNECT_MS 30000

const struct config_route *hop_route(const struct runner *r,
				     const struct hop *h)
{
	return &r->options->config->routes[h->site->route];
}

void hop_set_state(struct hop *h, enum hop_state state)
{
	MUST(h->state != HOP_DEAD || state == HOP_DEAD);
	h->state = state;
}

void hop_set_deadline(struct runner *r, struct hop *h, uint64_t after_ms)
{
	if (after_ms)
		wheel_set(&r->wheel, &h->timer, r->now_ms + after_ms);
	else
		wheel_cancel(&r->wheel, &h->timer);
}

void hop_touch(struct runner *r, struct hop *h)
{
	if (h->touched)
		return;
	h->touched = true;
	h->touched_next = r->touched_hops;
	r->touched_hops = h;
}

struct ring_tag hop_tag(const struct hop *h, uint8_t kind)
{
	return (struct ring_tag){ .kind = kind,
				  .slot = h->slot,
				  .generation = h->generation };
}

/* -- opening --------------------------------------------------------------- */

bool hop_open(struct runner *r, struct site *site, struct job *j)
{
	struct hop *h = slab_take(&r->hops);
	uint32_t slot;

	if (!h)
		return false;
	slot = slab_index(&r->hops, h);
	memset(h, 0, offsetof(struct hop, in_bytes));
	h->slot = slot;
	h->generation = r->hop_generations[slot];
	h->fd = -1;
	h->site = site;
	buf_init(&h->in, h->in_bytes, sizeof(h->in_bytes));
	buf_init(&h->say, h->say_bytes, sizeof(h->say_bytes));
	buf_init(&h->answers, h->answer_bytes, sizeof(h->answer_bytes));
	buf_init(&h->out, h->out_bytes, sizeof(h->out_bytes));
	record_init_clear(&h->record);
	client_init(&h->client, &site->client);
	site->hops_n++;
	hop_take(r, h, j);
	return true;
}

void hop_take(struct runner *r, struct hop *h, struct job *j)
{
	MUST(!h->job);
	h->job = j;
	h->job_begun = false;
	j->hop = h;
	j->state = JOB_HOP;
	hop_set_deadline(r, h, 0);
	hop_touch(r, h);
}

static bool resolve(struct runner *r, struct hop *h)
{
	const struct config_route *route = hop_route(r, h);

	if (resolver_numeric(route->host, route->port, &h->addresses)) {
		hop_set_state(h, HOP_CONNECTING);
		return true;
	}
	if (!r->resolver || !resolver_ask(r->resolver, route->host, route->port,
					  h->slot, h->generation)) {
		hop_unreachable(r, h, CLIENT_FOUND_RESOLVE_FAILED,
				"resolver busy");
		return true;
	}
	h->asked = true;
	return false;
}

void hop_on_resolved(struct runner *r, const struct resolver_answer *a)
{
	struct hop *h;

	if (r->hop_generations[a->slot] != a->generation)
		return;
	h = slab_at(&r->hops, a->slot);
	h->addresses = *a;
	hop_touch(r, h);
	if (h->state != HOP_RESOLVING)
		return;
	if (a->error)
		hop_unreachable(r, h, CLIENT_FOUND_RESOLVE_FAILED, a->error);
	else
		hop_set_state(h, HOP_CONNECTING);
}

static void begin_connect(struct runner *r, struct hop *h)
{
	const struct resolver_address *a = &h->addresses.addresses[h->address];
	int one = 1;

	h->fd = socket(a->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (h->fd < 0) {
		hop_unreachable(r, h, CLIENT_FOUND_CONNECT_FAILED,
				strerrordesc_np(errno));
		return;
	}
	(void)setsockopt(h->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	op_fly(&h->connect);
	ring_connect(&r->ring, h->fd, &a->sa, a->len,
		     hop_tag(h, RUNNER_OP_CONNECT));
	hop_set_deadline(r, h, CONNECT_MS);
}

static void connected(struct runner *r, struct hop *h)
{
	/* For sendfile alone: the ring waits for such a socket, too. Not before
	 * it is connected, or a connect could end with EINPROGRESS. */
	(void)fcntl(h->fd, F_SETFL, O_NONBLOCK);
	if (hop_route(r, h)->kind == CONFIG_HOP_SMTPS)
		hop_begin_handshake(r, h);
	else
		hop_set_state(h, HOP_OPEN);
}

/* The next address, or the end of trying. */
static void connect_failed(struct runner *r, struct hop *h, int error)
{
	ring_close(&r->ring, h->fd, RING_NOBODY);
	h->fd = -1;
	if (++h->address < h->addresses.n)
		return;
	hop_unreachable(r, h,
			error == -ECANCELED ? CLIENT_FOUND_TIMED_OUT :
					      CLIENT_FOUND_CONNECT_FAILED,
			strerrordesc_np(-error));
}

/* True when there is more to do at once. */
static bool step_connecting(struct runner *r, struct hop *h)
{
	if (!op_take(&h->connect)) {
		if (h->connect.state == OP_IDLE)
			begin_connect(r, h);
		return h->state != HOP_CONNECTING;
	}
	hop_set_deadline(r, h, 0);
	if (h->connect.result < 0)
		connect_failed(r, h, h->connect.result);
	else
		connected(r, h);
	return true;
}

/* -- idling ---------------------------------------------------------------- */

static void leave_idle_list(struct hop *h)
{
	struct hop **link = &h->site->idle;

	if (!h->idle)
		return;
	while (*link != h)
		link = &(*link)->idle_next;
	*link = h->idle_next;
	h->idle = false;
}

void hop_quit(struct runner *r, struct hop *h)
{
	MUST(h->idle);
	leave_idle_list(h);
	client_quit(&h->client);
	hop_touch(r, h);
}

/* -- completions and timers ------------------------------------------------ */

void hop_on_cqe(struct runner *r, const struct ring_completion *c)
{
	struct hop *h = slab_at(&r->hops, c->tag.slot);

	MUST(r->hop_generations[c->tag.slot] == c->tag.generation); /* I1 */
	switch (c->tag.kind) {
	case RUNNER_OP_CONNECT:
		op_on_cqe(&h->connect, c->result, c->flags);
		break;
	case RUNNER_OP_RECV: op_on_cqe(&h->recv, c->result, c->flags); break;
	case RUNNER_OP_SEND: op_on_cqe(&h->send, c->result, c->flags); break;
	case RUNNER_OP_ROOM: op_on_cqe(&h->room, c->result, c->flags); break;
	default: MUST(false); /* an operation of a hop */
	}
	hop_touch(r, h);
}

struct hop *hop_of_timer(struct wheel_timer *t)
{
	return (struct hop *)(void *)((uint8_t *)t -
				      offsetof(struct hop, timer));
}

void hop_on_timeout(struct runner *r, struct hop *h)
{
	hop_touch(r, h);
	switch (h->state) {
	case HOP_CONNECTING:
		ring_cancel(&r->ring, hop_tag(h, RUNNER_OP_CONNECT),
			    RING_NOBODY);
		return;
	case HOP_OPEN:
		if (h->idle)
			hop_quit(r, h);
		else
			hop_lost(h, CLIENT_FOUND_TIMED_OUT);
		return;
	case HOP_HANDSHAKE: hop_lost(h, CLIENT_FOUND_TIMED_OUT); return;
	case HOP_RESOLVING:
	case HOP_FLUSHING:
	case HOP_DEAD: hop_set_state(h, HOP_DEAD); return;
	}
}

/*
 * Who has not greeted us yet may never do so: the successor, which waits for
 * the end of this relay with all other mail, tries that job again.
 */
static void give_up(struct runner *r, struct hop *h)
{
	job_postpone(r, hop_detach(h), r->now_s);
	hop_set_state(h, HOP_DEAD);
	hop_touch(r, h);
}

void hop_drain(struct runner *r)
{
	for (uint32_t i = 0; i < r->hops.n; i++) {
		struct hop *h = slab_at(&r->hops, i);

		if (!h->site)
			continue; /* free */
		if (h->idle)
			hop_quit(r, h);
		else if (h->job && !h->greeted)
			give_up(r, h);
	}
}

/* -- the end --------------------------------------------------------------- */

/* I1: the only place where a hop is freed. */
static void hop_close(struct runner *r, struct hop *h)
{
	struct site *site = h->site;

	MUST(!h->job);
	leave_idle_list(h);
	wheel_cancel(&r->wheel, &h->timer);
	handshake_fini(&h->handshake);
	record_fini(&h->record);
	loan_end(&h->wire);
	if (h->fd >= 0)
		ring_close(&r->ring, h->fd, RING_NOBODY);
	site->sessions_n -= h->greeted;
	r->hop_generations[h->slot]++;
	h->site = NULL;
	slab_give(&r->hops, h);
	site_hop_gone(r, site);
}

void hop_pump(struct runner *r, struct hop *h)
{
	bool again = true;

	hop_wire_harvest(r, h);
	while (again) {
		switch (h->state) {
		case HOP_RESOLVING: again = !h->asked && resolve(r, h); break;
		case HOP_CONNECTING: again = step_connecting(r, h); break;
		case HOP_HANDSHAKE: again = hop_step_handshake(r, h); break;
		case HOP_OPEN: again = hop_step_open(r, h); break;
		case HOP_FLUSHING: again = hop_step_flushing(h); break;
		case HOP_DEAD: again = false; break;
		}
	}
	if (h->state != HOP_DEAD) {
		hop_wire_arm(r, h);
		return;
	}
	leave_idle_list(h);
	if (hop_wire_cancel(r, h) &&
	    !h->touched) /* I1; or on the list once more */
		hop_close(r, h);
}
