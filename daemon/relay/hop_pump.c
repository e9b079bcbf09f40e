/*
 * The order of one step: bytes from the wire become clear (`in`), the client
 * reads them and speaks (`say`), what it said is sealed into `out`, then its
 * wish is answered.
 */
#include "relay/hop_pump.h"

#include "base/must.h"
#include "relay/hop_body.h"
#include "relay/hop_nic.h"
#include "relay/hop_wire.h"
#include "relay/job.h"
#include "relay/runner.h"

#define HANDSHAKE_MS 60000
#define FLUSH_MS     10000
#define RETRIES_MAX  3 /* connections found dead when reused */

/* -- the handshake --------------------------------------------------------- */

void hop_begin_handshake(struct runner *r, struct hop *h)
{
	const struct config_route *route = hop_route(r, h);
	const char *name = route->tls_name ? route->tls_name : route->host;

	hop_set_state(h, HOP_HANDSHAKE);
	hop_set_deadline(r, h, HANDSHAKE_MS);
	if (!h->site->creds ||
	    handshake_open(&h->handshake, h->site->creds, name) ||
	    (route->ktls != CONFIG_KTLS_OFF &&
	     offload_expect_any(&r->offload, r->now_ms) == OFFLOAD_KERNEL &&
	     handshake_keep_secrets(&h->handshake)))
		hop_lost(h, CLIENT_FOUND_TLS_FAILED);
}

static void handshake_done(struct runner *r, struct hop *h)
{
	h->tls_version = handshake_facts(&h->handshake).version;
	record_take(&h->record, &h->handshake);
	h->offload = HOP_OFFLOAD_WANTED;
	if (hop_route(r, h)->kind == CONFIG_HOP_SMTP)
		client_tls_started(&h->client);
	hop_set_state(h, HOP_OPEN);
}

bool hop_step_handshake(struct runner *r, struct hop *h)
{
	struct span in = loan_bytes(&h->wire);
	enum handshake_result result;

	if (h->send.state != OP_IDLE)
		return false; /* I1 of hop_wire.c */
	result = handshake_step(&h->handshake, &in, &h->out);
	loan_used(&h->wire, in);
	switch (result) {
	case HANDSHAKE_NEED_INPUT:
		if (!h->peer_closed && !h->broken)
			return false;
		hop_lost(h, CLIENT_FOUND_TLS_FAILED);
		return true;
	case HANDSHAKE_NEED_OUTPUT: return false;
	case HANDSHAKE_DONE: handshake_done(r, h); return true;
	case HANDSHAKE_FAILED:
		LOG(LOG_WARNING, "hop-tls",
		    log_str("route", hop_route(r, h)->name),
		    log_str("reason", handshake_reason(&h->handshake)));
		hop_lost(h, CLIENT_FOUND_TLS_FAILED);
		return true;
	}
	return false;
}

/* -- the end of a job or of the talk ---------------------------------------- */

void hop_lost(struct hop *h, enum client_finding finding)
{
	client_lost(&h->client, finding);
	hop_set_state(h, HOP_OPEN); /* where the client is heard out */
}

struct job *hop_detach(struct hop *h)
{
	struct job *j = h->job;

	h->job = NULL;
	h->job_begun = false;
	j->hop = NULL;
	return j;
}

/*
 * No session came about. While other connections work, the job waits for one of
 * them; else the site rests.
 */
static void no_session(struct runner *r, struct hop *h,
		       const struct client_verdict *v)
{
	struct client_verdict verdict = *v;
	struct job *j = h->job ? hop_detach(h) : NULL;

	hop_set_state(h, HOP_DEAD);
	if (h->site->sessions_n) {
		h->site->no_more_until_ms = r->now_ms + site_rest_ms(r);
		if (j)
			site_wait(r, h->site, j);
		return;
	}
	verdict.outcome = CLIENT_DEFERRED;
	if (j)
		job_end_route(r, j, &verdict);
	site_rest(r, h->site, &verdict);
}

void hop_unreachable(struct runner *r, struct hop *h,
		     enum client_finding finding, const char *detail)
{
	struct client_verdict v;
	struct buf text;

	client_verdict_of(&v, finding, CLIENT_DEFERRED);
	buf_init(&text, (uint8_t *)v.reply.text, sizeof(v.reply.text));
	text.end = v.reply.text_len;
	buf_printf(&text, ": %s", detail ? detail : "unknown error");
	v.reply.text_len = (uint8_t)text.end;
	no_session(r, h, &v);
}

/* A connection kept open was closed meanwhile: that is nobody's failure. */
static bool was_stale(const struct hop *h, const struct client_verdict *v)
{
	return h->messages_n && !h->client.answered_n &&
	       h->job->hop_retries < RETRIES_MAX &&
	       (v->finding == CLIENT_FOUND_CONNECTION_LOST ||
		v->finding == CLIENT_FOUND_CLOSING);
}

static void move_job(struct runner *r, struct hop *h)
{
	struct job *j = hop_detach(h);

	j->hop_retries++;
	j->state = JOB_WAITING;
	site_take(r, h->site, j);
}

/*
 * A verdict on the sender, the message or the connection holds for recipients
 * that were not even named; one on the transaction only for its own.
 */
static void message_done(struct runner *r, struct hop *h)
{
	const struct client_verdict *v = client_verdict(&h->client);
	bool of_all = v->finding != CLIENT_FOUND_NONE || h->client.mail_refused;
	struct job *j = h->job;

	if (was_stale(h, v)) {
		move_job(r, h);
		return;
	}
	h->messages_n++;
	h->job_begun = false;
	j->tls = h->tls_version;
	j->records = record_name(&h->record);
	j->offload = offload_name(record_offload_reason(&h->record));
	if (hop_route(r, h)->nic != CONFIG_NIC_OFF)
		j->nic = diag_describe(h->makers);
	j->urgent = j->urgent || v->outcome == CLIENT_ACCEPTED;
	if (of_all)
		job_end_route(r, j, v);
	else if (job_end_transaction(r, j, v)) {
		if (!client_takes_more(&h->client))
			move_job(r, h);
		return;
	}
	(void)hop_detach(h);
}

static void closed(struct runner *r, struct hop *h)
{
	if (h->job && h->messages_n)
		move_job(r, h);
	else if (h->job)
		no_session(r, h, client_verdict(&h->client));
	if (h->state == HOP_DEAD)
		return;
	hop_set_state(h, HOP_FLUSHING);
	hop_set_deadline(r, h, FLUSH_MS);
}

bool hop_step_flushing(struct hop *h)
{
	if (hop_wire_shut(h) || h->broken)
		hop_set_state(h, HOP_DEAD);
	return h->state == HOP_DEAD;
}

/* -- the client's wishes ---------------------------------------------------- */

static void rest_idle(struct runner *r, struct hop *h)
{
	if (h->idle)
		return;
	h->idle = true;
	h->idle_next = h->site->idle;
	h->site->idle = h;
	hop_set_deadline(r, h, SITE_IDLE_MS);
}

/* True: something to do was found. */
static bool ready(struct runner *r, struct hop *h)
{
	struct job *next = NULL;

	h->site->sessions_n += !h->greeted;
	h->greeted = true;
	if (h->idle)
		return false;
	if (!h->job && client_takes_more(&h->client))
		next = site_next_job(r, h->site);
	if (next)
		hop_take(r, h, next);
	if (h->job) {
		job_begin_transaction(h->job);
		h->job_begun = true;
		client_message(&h->client, &h->job->message);
		return true;
	}
	if (r->state != RUNNER_SERVING || !client_takes_more(&h->client)) {
		client_quit(&h->client);
		return true;
	}
	rest_idle(r, h);
	return false;
}

static void give_recipient(struct hop *h)
{
	struct client_recipient to;

	if (job_next_recipient(h->job, &to))
		client_recipient(&h->client, &to, &h->say);
	else
		client_recipients_end(&h->client);
}

/* Waiting for the peer: its time runs from the last thing that moved. */
static void wait_for_peer(struct runner *r, struct hop *h)
{
	if (h->timed_state == h->client.state && !h->progressed &&
	    wheel_timer_set(&h->timer))
		return;
	h->timed_state = h->client.state;
	h->progressed = false;
	hop_set_deadline(r, h, client_timeout_ms(&h->client));
}

static bool answer(struct runner *r, struct hop *h, enum client_action action)
{
	switch (action) {
	case CLIENT_NEED_INPUT:
	case CLIENT_NEED_OUTPUT: wait_for_peer(r, h); break;
	case CLIENT_START_TLS:
		wait_for_peer(r, h);
		if (!hop_wire_all_sent(h))
			break;
		hop_begin_handshake(r, h);
		return true;
	case CLIENT_READY:
		if (ready(r, h))
			return true;
		break;
	case CLIENT_NEXT_RECIPIENT: give_recipient(h); return true;
	case CLIENT_RECIPIENT_REFUSED:
		job_refuse_recipient(h->job, client_recipient_index(&h->client),
				     client_verdict(&h->client));
		return true;
	case CLIENT_SEND_BODY:
		if (hop_body_send(r, h))
			return true;
		wait_for_peer(r, h);
		break;
	case CLIENT_MESSAGE_DONE: message_done(r, h); return true;
	case CLIENT_CLOSE: closed(r, h); return true;
	case CLIENT_AGAIN: MUST(false); /* returned by client_step */
	}
	if (hop_wire_ended(h)) {
		client_lost(&h->client, CLIENT_FOUND_CONNECTION_LOST);
		return true;
	}
	return false;
}

bool hop_step_open(struct runner *r, struct hop *h)
{
	bool heard = hop_wire_open(h);
	struct client_io io;
	enum client_action action;

	if (!hop_wire_offload(r, h))
		hop_lost(h, CLIENT_FOUND_KTLS_REQUIRED);
	switch (hop_nic_verdict(r, h)) {
	case HOP_NIC_GO: break;
	case HOP_NIC_WAIT: return false;
	case HOP_NIC_STOP:
		h->nic = HOP_NIC_NOT_ASKED; /* once */
		hop_lost(h, CLIENT_FOUND_NIC_REQUIRED);
		break;
	}
	io = (struct client_io){ buf_span(&h->in), &h->say };
	action = client_step(&h->client, &io);
	h->progressed = h->progressed || io.in.len != buf_len(&h->in);
	buf_consume(&h->in, buf_len(&h->in) - io.in.len);
	if (action != CLIENT_NEXT_RECIPIENT) /* the envelope is one record */
		hop_wire_seal(h);
	return answer(r, h, action) || heard;
}
