/*
 * I1  While `send` flies, `out` and `control_out` are the kernel's: nobody
 *     appends to them. So the session steps only between sends.
 * I2  `in` and `out` hold a buffer of the worker's only while they hold bytes
 *     or a step is going on; each session may always have both, and one control
 *     record each way, so a session never waits for memory.
 * I3  Nothing is received between the end of a handshake and the first try to
 *     hand the records to the kernel: a receive in flight while the keys go in
 *     would see both kinds of bytes.
 */
#include "gateway/session_wire.h"

#include "gateway/session.h"
#include "gateway/session_nic.h"
#include "gateway/session_receive.h"
#include "gateway/worker.h"

#include <errno.h>

struct ring_tag session_wire_tag(const struct session *s, uint8_t kind)
{
	return (struct ring_tag){ .kind = kind,
				  .slot = s->slot,
				  .generation = s->generation };
}

/* Buffers */

static uint8_t *take(struct slab *slab)
{
	uint8_t *object = slab_take(slab);

	MUST(object); /* I2 */
	return object;
}

void session_wire_borrow(struct worker *w, struct buf *b)
{
	if (!b->p)
		buf_init(b, take(&w->buffers), WORKER_BUFFER_BYTES);
}

static void give_back(struct worker *w, struct buf *b)
{
	if (!b->p)
		return;
	slab_give(&w->buffers, b->p);
	*b = (struct buf){ 0 };
}

struct record_control *session_wire_borrow_control(struct worker *w)
{
	return (struct record_control *)(void *)take(&w->controls);
}

void session_wire_give_control(struct worker *w, struct record_control **c)
{
	if (*c)
		slab_give(&w->controls, *c);
	*c = NULL;
}

/* Harvest */

void session_wire_on_send(struct worker *w, const struct ring_completion *c)
{
	struct session *s = worker_session(w, c->tag.slot, c->tag.generation);

	MUST(s); /* what flies keeps its session alive */
	op_on_cqe(&s->send, c->result, c->flags);
	worker_touch(w, s);
}

void session_wire_take_result(struct worker *w, struct session *s,
			      enum record_result result)
{
	if (s->state == SESSION_DEAD)
		return; /* what completed was cancelled with it */
	switch (result) {
	case RECORD_OK: return;
	case RECORD_CLOSED: s->peer_closed = true; return;
	case RECORD_LAST: s->last_input = true; return;
	case RECORD_FAILED: session_finish(w, s, "bad TLS record"); return;
	case RECORD_LOST: session_kill(s, "connection lost"); return;
	}
}

static void harvest_send(struct worker *w, struct session *s)
{
	if (!op_take(&s->send))
		return;
	if (s->send.result == -EINTR || s->send.result == -EAGAIN)
		return; /* what was to be sent still is */
	if (s->send.result < 0) {
		session_kill(s, "connection lost");
	} else if (s->control_out) {
		session_wire_take_result(w, s, record_control_sent(&s->record));
	} else {
		buf_consume(&s->out, (size_t)s->send.result);
		s->bytes_out += (uint64_t)s->send.result;
	}
	session_wire_give_control(w, &s->control_out);
}

void session_wire_harvest(struct worker *w, struct session *s)
{
	session_receive_harvest(w, s);
	harvest_send(w, s);
}

/* The records, once the handshake is done */

#define SAME_ORDER(config, policy)              \
	_Static_assert(                         \
		(int)(config) == (int)(policy), \
		"the configuration's words stand in the policy's order")
SAME_ORDER(CONFIG_KTLS_OFF, OFFLOAD_POLICY_OFF);
SAME_ORDER(CONFIG_KTLS_PREFER, OFFLOAD_POLICY_PREFER);
SAME_ORDER(CONFIG_KTLS_REQUIRE, OFFLOAD_POLICY_REQUIRE);

static bool quiet(const struct session *s)
{
	return s->recv.state == OP_IDLE && !loan_held(&s->wire) &&
	       session_wire_all_sent(s);
}

/* A counter for each reason, in their order. */
#define COUNTED(reason, name, help)                                        \
	_Static_assert((int)METRIC_##reason ==                             \
			       (int)METRIC_OFFLOAD_KERNEL + (int)(reason), \
		       "METRIC_TABLE has the reasons in their order");
OFFLOAD_REASON_TABLE(COUNTED)

static const struct config_listener *listener_of(const struct worker *w,
						 const struct session *s)
{
	return w->options->sockets[s->listener].config;
}

/* A card that makes the records has its keys from the kernel. */
static enum offload_policy policy_of(const struct config_listener *l)
{
	return l->nic == CONFIG_NIC_REQUIRE ? OFFLOAD_POLICY_REQUIRE :
					      (enum offload_policy)l->ktls;
}

void session_wire_refuse(struct worker *w, struct session *s)
{
	bool nic = listener_of(w, s)->nic == CONFIG_NIC_REQUIRE;

	worker_count_at(w, s->listener,
			nic ? METRIC_NIC_UNMET : METRIC_OFFLOAD_UNMET);
	if (s->state != SESSION_OPEN)
		return; /* it is ending anyway */
	smtp_server_end(&s->smtp,
			nic ? REPLY_NIC_REQUIRED : REPLY_KTLS_REQUIRED);
	worker_touch(w, s); /* the session has stepped in this turn */
}

static void count_records(struct worker *w, const struct session *s)
{
	enum offload_reason reason = record_offload_reason(&s->record);

	worker_count_at(w, s->listener,
			(enum metric)(METRIC_OFFLOAD_KERNEL + reason));
}

static void settle(struct worker *w, struct session *s,
		   enum record_offload outcome)
{
	switch (outcome) {
	case RECORD_OFFLOAD_LATER: s->offload = SESSION_OFFLOAD_LATER; return;
	case RECORD_OFFLOAD_DONE: session_nic_ask(w, s); break;
	case RECORD_OFFLOAD_NEVER: break;
	case RECORD_OFFLOAD_UNMET: session_wire_refuse(w, s); break;
	case RECORD_OFFLOAD_FAILED:
		session_kill(s,
			     offload_help(record_offload_reason(&s->record)));
		break;
	}
	s->offload = SESSION_OFFLOAD_SETTLED;
	count_records(w, s);
}

/*
 * What can be told now is: a client that came in vain is not served first,
 * whatever it said behind its Finished.
 */
void session_wire_secured(struct worker *w, struct session *s)
{
	enum record_offload outcome =
		record_offload_foresee(&s->record, &w->offload,
				       policy_of(listener_of(w, s)), w->now_ms);

	if (outcome == RECORD_OFFLOAD_LATER)
		s->offload = SESSION_OFFLOAD_WANTED;
	else
		settle(w, s, outcome);
}

/* I3. Not while the core waits for an answer: it could not be told to end. */
static void offload(struct worker *w, struct session *s)
{
	if (s->offload == SESSION_OFFLOAD_SETTLED || !quiet(s) ||
	    s->asked != SESSION_ASKED_NOTHING)
		return;
	settle(w, s,
	       record_offload(&s->record, s->fd, &w->offload,
			      policy_of(listener_of(w, s)), w->now_ms));
}

/* Arm */

bool session_wire_all_sent(const struct session *s)
{
	return !buf_len(&s->out) && s->send.state == OP_IDLE &&
	       !s->control_out && !record_control_due(&s->record);
}

/* The next control record, in memory that stays put until it is sent. */
static void take_control(struct worker *w, struct session *s)
{
	s->control_out = session_wire_borrow_control(w);
	MUST(record_take_control(&s->record, s->control_out));
}

static void arm_send(struct worker *w, struct session *s)
{
	struct ring_tag tag = session_wire_tag(s, WORKER_OP_SEND);

	if (session_wire_all_sent(s) || s->send.state != OP_IDLE)
		return;
	op_fly(&s->send);
	if (buf_len(&s->out)) {
		ring_send(&w->ring, s->fd, buf_span(&s->out), tag);
		return;
	}
	if (!s->control_out)
		take_control(w, s);
	ring_sendmsg(&w->ring, s->fd, &s->control_out->message, tag);
}

/* I3, and while the keys are to go in later: first the try, then more bytes. */
static bool awaits_offload(const struct session *s)
{
	return s->offload == SESSION_OFFLOAD_WANTED ||
	       (s->offload == SESSION_OFFLOAD_LATER &&
		!session_wire_all_sent(s));
}

static bool wants_input(const struct worker *w, const struct session *s)
{
	return s->state != SESSION_FLUSHING && !awaits_offload(s) &&
	       !session_nic_waits(w, s) && s->asked == SESSION_ASKED_NOTHING &&
	       !loan_held(&s->wire) && !s->peer_closed && !s->last_input &&
	       !s->starved;
}

void session_wire_arm(struct worker *w, struct session *s)
{
	offload(w, s);
	session_nic_settle(w, s);
	if (s->state != SESSION_DEAD) {
		arm_send(w, s);
		if (s->recv.state == OP_IDLE && wants_input(w, s))
			session_receive_arm(w, s);
	}
	if (!buf_len(&s->in))
		give_back(w, &s->in);
	if (!buf_len(&s->out) && s->send.state == OP_IDLE)
		give_back(w, &s->out);
}

bool session_wire_cancel(struct worker *w, struct session *s)
{
	bool first = !s->cancelled;

	s->cancelled = true;
	if (first && s->recv.state == OP_FLYING)
		ring_cancel(&w->ring, session_wire_tag(s, WORKER_OP_RECV),
			    RING_NOBODY);
	if (first && s->send.state == OP_FLYING)
		ring_cancel(&w->ring, session_wire_tag(s, WORKER_OP_SEND),
			    RING_NOBODY);
	return s->recv.state == OP_IDLE && s->send.state == OP_IDLE;
}

void session_wire_close(struct worker *w, struct session *s)
{
	loan_end(&s->wire);
	give_back(w, &s->in);
	give_back(w, &s->out);
	session_wire_give_control(w, &s->control_in);
	session_wire_give_control(w, &s->control_out);
	ring_close(&w->ring, s->fd, RING_NOBODY);
}
