/*
 * I1  At most one receive flies, and none while bytes of the last one are left
 *     unopened: back-pressure.
 * I2  A receive waits for more than there is (`gathering`) only when the peer
 *     must send so much before it may expect an answer, so neither waits for
 *     the other; and never for longer than GATHER_LIMIT_MS, so a peer's
 *     progress is seen about when it is made.
 */
#include "gateway/session_receive.h"

#include "gateway/message.h"
#include "gateway/session.h"
#include "gateway/session_smtp.h"
#include "gateway/session_splice.h"
#include "gateway/session_wire.h"
#include "gateway/worker.h"

#include <errno.h>

#define GATHER_LIMIT_MS 1000

/* Harvest */

void session_receive_on_cqe(struct worker *w, const struct ring_completion *c)
{
	struct session *s = worker_session(w, c->tag.slot, c->tag.generation);

	MUST(s); /* what flies keeps its session alive */
	op_on_cqe(&s->recv, c->result, c->flags);
	worker_touch(w, s);
}

static void starve(struct worker *w, struct session *s)
{
	worker_count(w, METRIC_RECV_STARVED);
	if (s->starved)
		return;
	s->starved = true;
	s->starved_next = w->starved;
	w->starved = s;
}

static void no_buffer(struct worker *w, struct session *s)
{
	if (!s->recv_large) {
		starve(w, s);
		return;
	}
	worker_count(w, METRIC_RECV_CROWDED);
	s->crowded = true;
}

static void failed(struct worker *w, struct session *s, int error)
{
	if (error == -ENOBUFS)
		no_buffer(w, s);
	else if (error != -EINTR && error != -EAGAIN &&
		 !(error == -ECANCELED && s->gathering))
		session_wire_take_result(
			w, s, record_receive_failed(&s->record, error));
}

/* A peer that cannot fill a buffer in time is not asked to, until it does. */
static void judge_pace(struct session *s, uint32_t n)
{
	if (s->recv_large && n == s->wire.from->size)
		s->slow = false;
}

/* A look that found nothing to see is judged like a receive. */
static bool looked(struct worker *w, struct session *s)
{
	if (!s->looking)
		return false;
	s->looking = false;
	if (s->recv.result > 0)
		session_splice_move(w, s);
	return s->recv.result > 0;
}

static void take_buffer(struct worker *w, struct session *s)
{
	uint32_t n = loan_take(&s->wire,
			       s->recv_large ? &w->body_bufring : &w->bufring,
			       s->recv.result, s->recv.flags);

	s->bytes_in += n;
	if (n)
		judge_pace(s, n);
}

void session_receive_harvest(struct worker *w, struct session *s)
{
	if (!op_take(&s->recv) || looked(w, s))
		return;
	take_buffer(w, s);
	if (s->recv.result < 0)
		failed(w, s, s->recv.result);
	else if (s->control_in)
		session_wire_take_result(
			w, s,
			record_open_control(&s->record, s->control_in,
					    (size_t)s->recv.result));
	else if (s->recv.result == 0)
		s->peer_closed = true;
	session_wire_give_control(w, &s->control_in);
	s->gathering = s->recv_large = false;
}

/* Arm */

/* Clear bytes of a body that are surely or probably still to come. */
static uint64_t expected(struct session *s)
{
	if (!smtp_server_in_body(&s->smtp))
		return 0;
	if (smtp_server_chunk_left(&s->smtp))
		return smtp_server_chunk_left(&s->smtp);
	/* Nobody knows: as much again as there was. */
	return s->message ? txn_body_bytes(&s->message->txn) : 0;
}

/* Octets that one receive is to wait for (I2); 0: whatever there is. */
static uint32_t gathered(const struct worker *w, const struct session *s)
{
	uint64_t left = smtp_server_chunk_left(&s->smtp);
	uint64_t n;

	if (s->slow || left <= buf_len(&s->in))
		return 0;
	n = record_wire_min(&s->record, left - buf_len(&s->in));
	return n < w->body_bufring.size ? (uint32_t)n : w->body_bufring.size;
}

static void receive_large(struct worker *w, struct session *s,
			  struct ring_tag tag)
{
	uint32_t n = gathered(w, s);

	s->recv_large = true;
	if (!n) {
		ring_recv_provided(&w->ring, s->fd, w->body_bufring.group, tag);
		return;
	}
	s->gathering = true;
	ring_recv_whole(&w->ring, s->fd, w->body_bufring.group, n, tag);
	session_set_deadline(w, s, GATHER_LIMIT_MS);
}

static bool wants_large(const struct worker *w, struct session *s)
{
	bool crowded = s->crowded;

	s->crowded = false;
	return w->body_bufring.n && !crowded && s->state == SESSION_OPEN &&
	       expected(s) > w->bufring.size;
}

static void receive_control(struct worker *w, struct session *s,
			    struct ring_tag tag)
{
	s->control_in = session_wire_borrow_control(w);
	record_control_receive(s->control_in);
	ring_recvmsg(&w->ring, s->fd, &s->control_in->message, tag);
}

static void look(struct worker *w, struct session *s, struct ring_tag tag)
{
	s->looking = true;
	ring_recv_peek(&w->ring, s->fd, (struct span_mut){ &s->look, 1 }, tag);
}

void session_receive_arm(struct worker *w, struct session *s)
{
	struct ring_tag tag = session_wire_tag(s, WORKER_OP_RECV);

	op_fly(&s->recv);
	if (record_wants_control(&s->record))
		receive_control(w, s, tag);
	else if (session_splice_may(w, s))
		look(w, s, tag);
	else if (wants_large(w, s))
		receive_large(w, s, tag);
	else
		ring_recv_provided(&w->ring, s->fd, w->bufring.group, tag);
}

bool session_receive_hurry(struct worker *w, struct session *s)
{
	if (!s->gathering || s->slow)
		return false;
	if (s->recv.state == OP_FLYING)
		ring_cancel(&w->ring, session_wire_tag(s, WORKER_OP_RECV),
			    RING_NOBODY);
	s->slow = true;
	session_smtp_deadline(w, s);
	return true;
}
