#include "gateway/session_nic.h"

#include "gateway/session.h"
#include "gateway/session_wire.h"
#include "gateway/worker.h"

#include <errno.h>

static enum config_nic wish(const struct worker *w, const struct session *s)
{
	return w->options->sockets[s->listener].config->nic;
}

static enum metric metric_of(struct diag_makers m)
{
	if (m.tx == DIAG_DEVICE)
		return m.rx == DIAG_DEVICE ? METRIC_NIC_BOTH : METRIC_NIC_TX;
	if (m.rx == DIAG_DEVICE)
		return METRIC_NIC_RX;
	return m.tx == DIAG_UNKNOWN && m.rx == DIAG_UNKNOWN ?
		       METRIC_NIC_UNKNOWN :
		       METRIC_NIC_SOFTWARE;
}

static void take(struct worker *w, struct session *s, struct diag_makers makers)
{
	s->nic = SESSION_NIC_ANSWERED;
	s->makers = makers;
	worker_touch(w, s);
}

void session_nic_ask(struct worker *w, struct session *s)
{
	if (wish(w, s) == CONFIG_NIC_OFF)
		return;
	s->nic = SESSION_NIC_ASKED;
	if (!diag_send_question(w->options->census_fd, s->fd, s->slot,
				s->generation))
		take(w, s, (struct diag_makers){ 0 });
}

/*
 * Mail comes in: the card must open its records. What we say is little. Not
 * while the core waits for an answer: it could not be told to end.
 */
void session_nic_settle(struct worker *w, struct session *s)
{
	if (s->nic != SESSION_NIC_ANSWERED || s->asked != SESSION_ASKED_NOTHING)
		return;
	s->nic = SESSION_NIC_SETTLED;
	worker_count_at(w, s->listener, metric_of(s->makers));
	if (wish(w, s) == CONFIG_NIC_REQUIRE && s->makers.rx != DIAG_DEVICE)
		session_wire_refuse(w, s);
}

const char *session_nic_describe(const struct worker *w,
				 const struct session *s)
{
	return wish(w, s) == CONFIG_NIC_OFF ? "off" : diag_describe(s->makers);
}

bool session_nic_waits(const struct worker *w, const struct session *s)
{
	return s->nic != SESSION_NIC_SETTLED &&
	       wish(w, s) == CONFIG_NIC_REQUIRE;
}

void session_nic_arm(struct worker *w)
{
	if (w->options->census_fd < 0 || w->census_ended ||
	    w->census_op.state != OP_IDLE)
		return;
	op_fly(&w->census_op);
	ring_read(&w->ring, w->options->census_fd,
		  (struct span_mut){ (uint8_t *)&w->census_answer,
				     sizeof(w->census_answer) },
		  (struct ring_tag){ .kind = WORKER_OP_CENSUS });
}

void session_nic_hear(struct worker *w)
{
	const struct diag_answer *a = &w->census_answer;
	struct session *s;

	if (!op_take(&w->census_op))
		return;
	if (w->census_op.result != (int)sizeof(*a)) {
		w->census_ended = w->census_op.result != -EINTR;
		return;
	}
	s = worker_session(w, a->slot, a->generation);
	if (s && s->nic == SESSION_NIC_ASKED) /* else it ended meanwhile */
		take(w, s, a->makers);
}
