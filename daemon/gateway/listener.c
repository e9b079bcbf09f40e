#include "gateway/listener.h"

#include "gateway/session.h"
#include "gateway/worker.h"
#include "steer/shield.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#define PAUSE_MS  1000
#define LOOKS_MAX 8

static struct ring_tag accept_tag(uint32_t index)
{
	return (struct ring_tag){ .kind = WORKER_OP_ACCEPT, .slot = index };
}

static bool wanted(const struct worker *w, const struct listener *l)
{
	return w->state == WORKER_SERVING && w->sessions.free_n > 0 &&
	       w->now_ms >= l->paused_until_ms;
}

void listener_pump(struct worker *w, uint32_t index)
{
	struct listener *l = &w->listeners[index];

	if (l->fd < 0)
		return;
	if (l->op.state == OP_DONE)
		(void)op_take(&l->op);
	if (wanted(w, l)) {
		if (l->op.state == OP_IDLE) {
			op_fly(&l->op);
			l->cancelling = false;
			ring_accept_multishot(&w->ring, l->fd,
					      accept_tag(index));
		}
	} else if (l->op.state == OP_FLYING && !l->cancelling) {
		l->cancelling = true;
		ring_cancel(&w->ring, accept_tag(index), RING_NOBODY);
	}
}

/* A client in clear is told why, at no cost to us. */
static void refuse(struct worker *w, uint32_t index, int fd, enum reply why)
{
	const struct worker_socket *socket = &w->options->sockets[index];
	struct buf reply;

	if (socket->config->tls == CONFIG_TLS_STARTTLS) {
		buf_init(&reply, w->reply, sizeof(w->reply));
		reply_put(&reply, why, span_str(w->options->config->hostname));
		(void)send(fd, reply.p, buf_len(&reply),
			   MSG_DONTWAIT | MSG_NOSIGNAL);
	}
	(void)close(fd);
}

static void accept_failed(struct worker *w, struct listener *l, int error)
{
	if (error == -ECANCELED)
		return;
	if (error == -EMFILE || error == -ENFILE || error == -ENOMEM ||
	    error == -ENOBUFS) {
		l->paused_until_ms = w->now_ms + PAUSE_MS;
		LOG(LOG_WARNING, "accept-paused", log_errno(error),
		    log_str("cure", "raise the limit of open descriptors "
				    "(LimitNOFILE) or lower limits.sessions"));
	}
	/* What befell one connection (ECONNABORTED, ...) ends no listener. */
}

void listener_on_cqe(struct worker *w, const struct ring_completion *c)
{
	struct listener *l = &w->listeners[c->tag.slot];
	enum reply verdict;

	if (!(c->flags & IORING_CQE_F_MORE))
		op_on_cqe(&l->op, c->result, c->flags);
	if (c->result >= 0 && w->options->is_shielded)
		(void)shield_detach(c->result); /* it was inherited */
	if (c->result >= 0 && w->options->load)
		atomic_fetch_add_explicit(&w->options->load->accepted, 1,
					  memory_order_relaxed);
	if (c->result < 0) {
		accept_failed(w, l, c->result);
		return;
	}
	verdict = w->state == WORKER_DRAINING ?
			  REPLY_SHUTTING_DOWN :
			  session_open(w, c->tag.slot, c->result);
	if (verdict != REPLY_OK)
		refuse(w, c->tag.slot, c->result, verdict);
}

static bool somebody_waits(const struct listener *l)
{
	struct pollfd fd = { .fd = l->fd, .events = POLLIN };

	return poll(&fd, 1, 0) > 0;
}

/*
 * An accept that a connection woke and that was cancelled before it ran leaves
 * the connection in the queue, and no other worker on the socket is woken for
 * it: the kernel wakes one. So we look, and take what waits; but not for ever:
 * a queue that keeps filling wakes the others, who then empty it.
 */
static void take_waiting(struct worker *w, uint32_t index)
{
	struct listener *l = &w->listeners[index];

	op_fly(&l->op);
	ring_accept_multishot(&w->ring, l->fd, accept_tag(index));
	l->cancelling = true; /* another worker may have been faster */
	ring_cancel(&w->ring, accept_tag(index), RING_NOBODY);
}

bool listener_stop(struct worker *w, uint32_t index)
{
	struct listener *l = &w->listeners[index];

	listener_pump(w, index);
	if (l->fd < 0 || l->op.state != OP_IDLE)
		return l->fd < 0;
	if (l->looks < LOOKS_MAX && somebody_waits(l)) {
		if (w->state == WORKER_RETIRING && !w->sessions.free_n)
			return false; /* until one is */
		l->looks++;
		take_waiting(w, index);
		return false;
	}
	(void)close(l->fd);
	l->fd = -1;
	return true;
}
