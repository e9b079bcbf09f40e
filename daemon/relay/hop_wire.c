/*
 * I1  While `send` flies, `out` and `said` are the kernel's: nobody appends to
 *     them. What the record layer has to say meanwhile gathers in `answers`, and
 *     goes out before anything else is sealed: records keep their order.
 * I2  Nothing is received between the end of a handshake and the first try to
 *     hand the records to the kernel: a receive in flight while the keys go in
 *     would see both kinds of bytes.
 * I3  close_notify is the last thing sealed, and no connection that can still
 *     carry it is closed without: a session cut off cannot be resumed (RFC 5246
 *     7.2.1).
 */
#include "relay/hop_wire.h"

#include "base/must.h"
#include "relay/hop_nic.h"
#include "relay/hop_pump.h"
#include "relay/runner.h"

#include <errno.h>

/* -- received -------------------------------------------------------------- */

/* LAST is the end, too: a peer that goes on talking is not heard any more, and
 * what was under way is tried again over another connection. */
static void take_result(struct hop *h, enum record_result result)
{
	switch (result) {
	case RECORD_OK: return;
	case RECORD_LOST: h->broken = true; break;
	case RECORD_CLOSED:
	case RECORD_FAILED:
	case RECORD_LAST: break;
	}
	h->peer_closed = true;
}

static void harvest_recv(struct runner *r, struct hop *h)
{
	bool control = h->hears_control;

	if (!op_take(&h->recv))
		return;
	h->hears_control = false;
	(void)loan_take(&h->wire, &r->bufring, h->recv.result, h->recv.flags);
	if (h->recv.result < 0)
		take_result(h,
			    record_receive_failed(&h->record, h->recv.result));
	else if (!h->recv.result)
		h->peer_closed = true;
	else if (control)
		take_result(h, record_open_control(&h->record, &h->heard,
						   (size_t)h->recv.result));
}

bool hop_wire_open(struct hop *h)
{
	size_t before = buf_len(&h->in);
	struct span from = loan_bytes(&h->wire);

	if (from.len || record_pending(&h->record))
		take_result(h, record_open(&h->record, &from, &h->in,
					   &h->answers));
	loan_used(&h->wire, from);
	return buf_len(&h->in) != before;
}

bool hop_wire_ended(const struct hop *h)
{
	return h->broken || (h->peer_closed && !loan_bytes(&h->wire).len &&
			     !record_pending(&h->record));
}

/* -- sent ------------------------------------------------------------------ */

static void harvest_send(struct hop *h)
{
	bool control = h->says_control;

	if (!op_take(&h->send))
		return;
	h->says_control = false;
	if (h->send.result <= 0 && (control || (h->send.result != -EINTR &&
						h->send.result != -EAGAIN))) {
		h->broken = true;
	} else if (control) {
		take_result(h, record_control_sent(&h->record));
	} else if (h->send.result > 0) {
		buf_consume(&h->out, (size_t)h->send.result);
		h->progressed = true;
	}
}

bool hop_wire_may_seal(const struct hop *h)
{
	return h->send.state == OP_IDLE && !buf_len(&h->answers); /* I1 */
}

void hop_wire_seal(struct hop *h)
{
	struct span clear = buf_span(&h->say);

	if (h->send.state != OP_IDLE ||
	    buf_len(&h->answers) > buf_room(&h->out))
		return;
	buf_put(&h->out, buf_span(&h->answers));
	buf_clear(&h->answers);
	if (clear.len && record_seal(&h->record, &clear, &h->out) != RECORD_OK)
		clear.len = 0; /* nobody will hear it */
	buf_consume(&h->say, buf_len(&h->say) - clear.len);
}

bool hop_wire_all_sent(const struct hop *h)
{
	return !buf_len(&h->say) && !buf_len(&h->answers) &&
	       !buf_len(&h->out) && h->send.state == OP_IDLE &&
	       !record_control_due(&h->record);
}

/* I3 */
bool hop_wire_shut(struct hop *h)
{
	hop_wire_seal(h);
	if (!h->shut && !buf_len(&h->say) && hop_wire_may_seal(h) &&
	    buf_room(&h->out) >= record_sealed_max(&h->record, 2)) {
		record_shutdown(&h->record, &h->out);
		h->shut = true;
	}
	return h->shut && hop_wire_all_sent(h);
}

/* -- the records, once the handshake is done -------------------------------- */

#define SAME_ORDER(config, policy)              \
	_Static_assert(                         \
		(int)(config) == (int)(policy), \
		"the configuration's words stand in the policy's order")
SAME_ORDER(CONFIG_KTLS_OFF, OFFLOAD_POLICY_OFF);
SAME_ORDER(CONFIG_KTLS_PREFER, OFFLOAD_POLICY_PREFER);
SAME_ORDER(CONFIG_KTLS_REQUIRE, OFFLOAD_POLICY_REQUIRE);

static bool quiet(const struct hop *h)
{
	return h->recv.state == OP_IDLE && !loan_held(&h->wire) &&
	       hop_wire_all_sent(h);
}

static bool give_up(struct runner *r, struct hop *h)
{
	enum offload_reason reason = record_offload_reason(&h->record);

	LOG(LOG_WARNING, "hop-tls", log_str("route", hop_route(r, h)->name),
	    log_str("offload", offload_name(reason)),
	    log_str("reason", offload_help(reason)));
	return false;
}

/* I2 */
bool hop_wire_offload(struct runner *r, struct hop *h)
{
	const struct config_route *route = hop_route(r, h);
	enum offload_policy policy = (enum offload_policy)route->ktls;

	/* A card that makes the records has its keys from the kernel. */
	if (route->nic == CONFIG_NIC_REQUIRE)
		policy = OFFLOAD_POLICY_REQUIRE;
	if (h->offload == HOP_OFFLOAD_SETTLED || !quiet(h))
		return true;
	switch (record_offload(&h->record, h->fd, &r->offload, policy,
			       r->now_ms)) {
	case RECORD_OFFLOAD_LATER: h->offload = HOP_OFFLOAD_LATER; return true;
	case RECORD_OFFLOAD_DONE:
		runner_count(r, METRIC_NEXT_HOPS_KERNEL, 1);
		offload_allow_zero_copy(h->fd);
		hop_nic_ask(r, h);
		break;
	case RECORD_OFFLOAD_NEVER:
		runner_count(r, METRIC_NEXT_HOPS_USERSPACE, 1);
		break;
	case RECORD_OFFLOAD_UNMET:
	case RECORD_OFFLOAD_FAILED:
		h->offload = HOP_OFFLOAD_SETTLED;
		return give_up(r, h);
	}
	h->offload = HOP_OFFLOAD_SETTLED;
	return true;
}

/* -- the operations --------------------------------------------------------- */

void hop_wire_harvest(struct runner *r, struct hop *h)
{
	harvest_recv(r, h);
	harvest_send(h);
	if (op_take(&h->room))
		h->full = false;
}

static void arm_send(struct runner *r, struct hop *h)
{
	struct ring_tag tag = hop_tag(h, RUNNER_OP_SEND);

	if (h->send.state != OP_IDLE)
		return;
	if (buf_len(&h->out)) {
		op_fly(&h->send);
		ring_send(&r->ring, h->fd, buf_span(&h->out), tag);
	} else if (record_take_control(&h->record, &h->said)) {
		h->says_control = true;
		op_fly(&h->send);
		ring_sendmsg(&r->ring, h->fd, &h->said.message, tag);
	}
}

static bool wants_input(const struct hop *h)
{
	return (h->state == HOP_HANDSHAKE || h->state == HOP_OPEN) &&
	       h->offload != HOP_OFFLOAD_WANTED && /* I2 */
	       !loan_held(&h->wire) && !h->peer_closed;
}

static void arm_recv(struct runner *r, struct hop *h)
{
	struct ring_tag tag = hop_tag(h, RUNNER_OP_RECV);

	if (h->recv.state != OP_IDLE || !wants_input(h))
		return;
	op_fly(&h->recv);
	if (record_wants_control(&h->record)) {
		h->hears_control = true;
		record_control_receive(&h->heard);
		ring_recvmsg(&r->ring, h->fd, &h->heard.message, tag);
	} else {
		ring_recv_provided(&r->ring, h->fd, r->bufring.group, tag);
	}
}

void hop_wire_arm(struct runner *r, struct hop *h)
{
	if (h->fd < 0 || h->state == HOP_CONNECTING)
		return;
	arm_send(r, h);
	arm_recv(r, h);
	if (h->full && h->room.state == OP_IDLE) {
		op_fly(&h->room);
		ring_poll_out(&r->ring, h->fd, hop_tag(h, RUNNER_OP_ROOM));
	}
}

static void cancel(struct runner *r, const struct hop *h, const struct op *op,
		   enum runner_op kind)
{
	if (!h->cancelled && op->state == OP_FLYING)
		ring_cancel(&r->ring, hop_tag(h, (uint8_t)kind), RING_NOBODY);
}

bool hop_wire_cancel(struct runner *r, struct hop *h)
{
	cancel(r, h, &h->connect, RUNNER_OP_CONNECT);
	cancel(r, h, &h->recv, RUNNER_OP_RECV);
	cancel(r, h, &h->send, RUNNER_OP_SEND);
	cancel(r, h, &h->room, RUNNER_OP_ROOM);
	h->cancelled = true;
	return h->connect.state != OP_FLYING && h->recv.state != OP_FLYING &&
	       h->send.state != OP_FLYING && h->room.state != OP_FLYING;
}
