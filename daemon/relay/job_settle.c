/*
 * How a job ends: outcomes become changes for the journal, a line in the log
 * and counts. What becomes of a recipient is decided by schedule_fate alone.
 *
 * A recipient that was refused for good is tried again together with those that
 * were deferred; only when none of these is left is the message held. A refusal
 * is cheap to hear twice, and the queue remembers outcomes of messages, not
 * reasons of recipients.
 */
#include "relay/job.h"

#include "base/must.h"
#include "relay/runner.h"
#include "spool/envelope.h"

#include <errno.h>

/* -- outcomes of a route --------------------------------------------------- */

static enum schedule_outcome outcome_of(const struct client_verdict *v)
{
	switch (v->outcome) {
	case CLIENT_ACCEPTED: return SCHEDULE_DELIVERED;
	case CLIENT_DEFERRED: return SCHEDULE_DEFERRED;
	case CLIENT_REFUSED: return SCHEDULE_REFUSED;
	}
	return SCHEDULE_DEFERRED;
}

void job_set_outcome(struct job *j, struct job_recipient *to,
		     const struct client_verdict *v)
{
	to->outcome = (uint8_t)outcome_of(v);
	if (v->outcome >= j->verdict.outcome)
		j->verdict = *v; /* what matters most to the operator */
}

static const char *word_for(const struct job_report *p)
{
	if (p->refused_n)
		return "refused";
	return p->deferred_n ? "deferred" : "delivered";
}

void job_report(struct runner *r, const struct job_report *p)
{
	const struct config_route *route = NULL;
	struct span text = p->verdict ? client_reply_text(&p->verdict->reply) :
					span_of(NULL, 0);

	if (p->route < r->options->config->routes_n)
		route = &r->options->config->routes[p->route];
	LOG(p->refused_n ? LOG_WARNING : LOG_INFO, "delivery",
	    log_id("message", p->id), log_str("outcome", word_for(p)),
	    log_str("route", route ? route->name : "none"),
	    log_str("next_hop", route ? route->next_hop : "none"),
	    log_u64("delivered", p->delivered_n),
	    log_u64("deferred", p->deferred_n),
	    log_u64("refused", p->refused_n), log_u64("bytes", p->bytes),
	    log_str("tls", p->tls ? p->tls : "none"),
	    log_str("records", p->records ? p->records : "none"),
	    log_str("offload", p->offload ? p->offload : "none"),
	    log_str("nic", p->nic ? p->nic : "off"),
	    log_u64("delay_s",
		    r->now_s > p->arrival_s ? r->now_s - p->arrival_s : 0),
	    log_u64("code", p->verdict ? p->verdict->reply.code : 0),
	    log_span("reply", text));
	runner_count(r, METRIC_DELIVERIES_OK, p->delivered_n != 0);
	runner_count(r, METRIC_DELIVERIES_DEFERRED, p->deferred_n != 0);
	runner_count(r, METRIC_DELIVERIES_FAILED, p->refused_n != 0);
}

static void report_route(struct runner *r, struct job *j)
{
	struct job_report p = { .id = j->entry.frame.id,
				.arrival_s = j->entry.frame.arrival_s,
				.bytes = j->entry.frame.body_len,
				.route = j->route,
				.tls = j->tls,
				.records = j->records,
				.offload = j->offload,
				.nic = j->nic,
				.verdict = &j->verdict };

	for (uint32_t i = 0; i < j->recipients_n; i++) {
		const struct job_recipient *to = &j->recipients[i];

		if (to->route != (uint16_t)j->route || to->done_before)
			continue;
		p.delivered_n += to->outcome == SCHEDULE_DELIVERED;
		p.deferred_n += to->outcome == SCHEDULE_DEFERRED;
		p.refused_n += to->outcome == SCHEDULE_REFUSED;
	}
	job_report(r, &p);
	j->verdict = (struct client_verdict){ 0 };
}

void job_end_route(struct runner *r, struct job *j,
		   const struct client_verdict *v)
{
	for (uint32_t i = 0; i < j->recipients_n; i++) {
		struct job_recipient *to = &j->recipients[i];

		if (to->route == (uint16_t)j->route &&
		    to->outcome == SCHEDULE_OPEN)
			job_set_outcome(j, to, v);
	}
	report_route(r, j);
	j->state = JOB_ROUTING;
	job_touch(r, j);
}

/* -- the end of the message ------------------------------------------------ */

/* Marks those delivered now, one change for each word of 64. */
static void settle_recipients(struct runner *r, struct job *j)
{
	for (uint32_t first = 0; first < j->recipients_n; first += 64) {
		struct change c =
			index_change_recipient(r->index, j->ref, first);

		c.bits = 0;
		for (uint32_t i = first; i < first + 64 && i < j->recipients_n;
		     i++)
			if (j->recipients[i].outcome == SCHEDULE_DELIVERED &&
			    !j->recipients[i].done_before)
				c.bits |= (uint64_t)1 << i % 64;
		if (c.bits)
			runner_change(r, &c, j->urgent);
	}
}

static void settle_done(struct runner *r, struct job *j)
{
	struct change c = index_change(r->index, j->ref, CHANGE_DONE);

	runner_change(r, &c, j->urgent);
	if (j->entry.frame.type == FRAME_FILE)
		reclaim_body(&r->reclaim, j->entry.frame.id,
			     r->journal_appended);
}

static void settle_deferred(struct runner *r, struct job *j)
{
	struct change c = index_change(r->index, j->ref, CHANGE_DEFERRED);

	c.attempts = (uint16_t)(c.attempts + (c.attempts < UINT16_MAX));
	if (!c.first_failure_s)
		c.first_failure_s = (uint32_t)r->now_s;
	c.due_s = (uint32_t)(r->now_s +
			     schedule_delay_s(&r->schedule, c.attempts));
	runner_change(r, &c, false);
}

static void settle_held(struct runner *r, struct job *j)
{
	struct change c = index_change(r->index, j->ref, CHANGE_HELD);

	c.code = 500;
	runner_change(r, &c, false);
	LOG(LOG_WARNING, "message-held", log_id("message", j->entry.frame.id),
	    log_id("segment", j->entry.segment),
	    log_u64("offset", j->entry.frame.offset),
	    log_str("cure", "see the delivery lines of this message"));
}

/* A message that could not be loaded has no recipients to speak of. */
static enum schedule_fate fate_of_all(struct runner *r, const struct job *j)
{
	uint64_t first_s = index_get(r->index, j->ref)->first_failure_s;
	enum schedule_fate worst = SCHEDULE_FORGET;

	if (!j->recipients_n || j->read_error)
		return schedule_fate(&r->schedule, SCHEDULE_DEFERRED, first_s,
				     r->now_s);
	for (uint32_t i = 0; i < j->recipients_n; i++) {
		enum schedule_fate fate = schedule_fate(
			&r->schedule,
			(enum schedule_outcome)j->recipients[i].outcome,
			first_s, r->now_s);

		if (fate == SCHEDULE_RETRY)
			return fate;
		if (fate == SCHEDULE_HOLD)
			worst = fate;
	}
	return worst;
}

static void report_read_error(struct runner *r, struct job *j)
{
	LOG(LOG_ERROR, "message-load", log_id("segment", j->entry.segment),
	    log_u64("offset", j->entry.frame.offset), log_errno(j->read_error));
	runner_count(r, METRIC_DELIVERIES_DEFERRED, 1);
}

void job_settle(struct runner *r, struct job *j)
{
	if (j->released)
		return;
	if (j->read_error)
		report_read_error(r, j);
	switch (fate_of_all(r, j)) {
	case SCHEDULE_FORGET: settle_done(r, j); break;
	case SCHEDULE_RETRY:
		settle_recipients(r, j);
		settle_deferred(r, j);
		break;
	case SCHEDULE_HOLD:
		settle_recipients(r, j);
		settle_held(r, j);
		break;
	}
}

void job_release(struct runner *r, struct job *j)
{
	settle_recipients(r, j);
	j->released = true;
	j->state = JOB_ENDED;
	job_touch(r, j);
}

void job_postpone(struct runner *r, struct job *j, uint64_t due_s)
{
	job_release(r, j);
	index_postpone(r->index, j->ref, due_s);
}

/* -- messages that need no job --------------------------------------------- */

/* True when each recipient's route discards; *ret_n is their number. */
static bool all_discarded(struct runner *r, struct span envelope,
			  uint32_t *ret_route, uint32_t *ret_n)
{
	struct envelope_field field;
	uint32_t n = 0, route = ROUTE_NONE;

	while (envelope_next(&envelope, &field)) {
		if (field.type != ENVELOPE_FORWARD_PATH)
			continue;
		route = route_find(&r->routes, field.value);
		if (route == ROUTE_NONE ||
		    r->options->config->routes[route].kind !=
			    CONFIG_HOP_DISCARD)
			return false;
		n++;
	}
	*ret_route = route;
	*ret_n = n;
	return n;
}

bool job_discard(struct runner *r, struct index_ref ref, const struct frame *f,
		 struct span envelope)
{
	struct job_report p = { .id = f->id,
				.arrival_s = f->arrival_s,
				.bytes = f->body_len };
	struct change c;

	if (!all_discarded(r, envelope, &p.route, &p.delivered_n))
		return false;
	c = index_change(r->index, ref, CHANGE_DONE);
	runner_change(r, &c, false);
	if (f->type == FRAME_FILE)
		reclaim_body(&r->reclaim, f->id, r->journal_appended);
	job_report(r, &p);
	return true;
}
