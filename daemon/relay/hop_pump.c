/*
 * The order of one step: bytes from the wire become clear (`in`), the client
 * reads them and speaks (`say`), what it said is sealed into `out`, then its
 * wish is answered. A body is sealed piece by piece straight from the job's
 * block.
 */
#include "relay/hop_pump.h"

#include "base/must.h"
#include "relay/job.h"
#include "relay/runner.h"

#include <errno.h>

#define HANDSHAKE_MS 60000
#define FLUSH_MS     10000
#define RETRIES_MAX  3 /* connections found dead when reused */

/* -- bytes ----------------------------------------------------------------- */

static struct span wire(const struct runner *r, const struct hop *h)
{
	if (!h->wire_held)
		return span_of(NULL, 0);
	return span_of(bufring_at(&r->bufring, h->wire_index) + h->wire_start,
		       h->wire_end - h->wire_start);
}

static void wire_used(struct runner *r, struct hop *h, struct span rest)
{
	if (!h->wire_held)
		return;
	h->wire_start = h->wire_end - (uint32_t)rest.len;
	if (rest.len)
		return;
	bufring_give(&r->bufring, h->wire_index);
	h->wire_held = false;
}

static void harvest_recv(struct runner *r, struct hop *h)
{
	if (!op_take(&h->recv))
		return;
	if (h->recv.flags & IORING_CQE_F_BUFFER) {
		h->wire_index = bufring_take(&r->bufring, h->recv.flags);
		h->wire_held = true;
		h->wire_start = 0;
		h->wire_end = h->recv.result > 0 ? (uint32_t)h->recv.result : 0;
		wire_used(r, h, wire(r, h));
	}
	if (h->recv.result <= 0 && h->recv.result != -EINTR &&
	    h->recv.result != -EAGAIN && h->recv.result != -ENOBUFS)
		h->peer_closed = true;
}

void hop_harvest(struct runner *r, struct hop *h)
{
	harvest_recv(r, h);
	if (!op_take(&h->send))
		return;
	if (h->send.result > 0) {
		buf_consume(&h->out, (size_t)h->send.result);
		h->progressed = true;
	} else if (h->send.result != -EINTR && h->send.result != -EAGAIN) {
		h->broken = true;
	}
}

void hop_arm(struct runner *r, struct hop *h)
{
	bool listens = h->state == HOP_HANDSHAKE || h->state == HOP_OPEN;

	if (h->fd < 0 || h->state == HOP_CONNECTING)
		return;
	if (buf_len(&h->out) && h->send.state == OP_IDLE) {
		op_fly(&h->send);
		ring_send(&r->ring, h->fd, buf_span(&h->out),
			  hop_tag(h, RUNNER_OP_SEND));
	}
	if (listens && h->recv.state == OP_IDLE && !h->wire_held &&
	    !h->peer_closed) {
		op_fly(&h->recv);
		ring_recv_provided(&r->ring, h->fd, r->bufring.group,
				   hop_tag(h, RUNNER_OP_RECV));
	}
}

/* Decrypts what has come. True: there are new clear bytes. */
static bool open_records(struct runner *r, struct hop *h)
{
	size_t before = buf_len(&h->in);
	struct span from = wire(r, h);
	enum record_result result = RECORD_OK;

	if (from.len || record_pending(&h->record))
		result = record_open(&h->record, &from, &h->in, &h->answers);
	wire_used(r, h, from);
	if (result != RECORD_OK)
		h->peer_closed = true;
	return buf_len(&h->in) != before;
}

/* Moves what is to be said into `out`, the record layer's words first. */
static void seal(struct hop *h)
{
	struct span clear = buf_span(&h->say);

	if (h->send.state != OP_IDLE)
		return; /* I1 of hop.c */
	if (buf_len(&h->answers) > buf_room(&h->out))
		return;
	buf_put(&h->out, buf_span(&h->answers));
	buf_clear(&h->answers);
	if (clear.len)
		(void)record_seal(&h->record, &clear, &h->out);
	buf_consume(&h->say, buf_len(&h->say) - clear.len);
}

static bool all_sent(const struct hop *h)
{
	return !buf_len(&h->say) && !buf_len(&h->out) &&
	       h->send.state == OP_IDLE;
}

/* -- the handshake --------------------------------------------------------- */

void hop_begin_handshake(struct runner *r, struct hop *h)
{
	const struct config_route *route = hop_route(r, h);
	const char *name = route->tls_name ? route->tls_name : route->host;

	hop_set_state(h, HOP_HANDSHAKE);
	hop_set_deadline(r, h, HANDSHAKE_MS);
	if (!h->site->creds ||
	    handshake_open(&h->handshake, h->site->creds, name))
		hop_lost(h, CLIENT_FOUND_TLS_FAILED);
}

static void handshake_done(struct runner *r, struct hop *h)
{
	h->tls_version = handshake_facts(&h->handshake).version;
	record_take(&h->record, &h->handshake);
	if (hop_route(r, h)->kind == CONFIG_HOP_SMTP)
		client_tls_started(&h->client);
	hop_set_state(h, HOP_OPEN);
}

bool hop_step_handshake(struct runner *r, struct hop *h)
{
	struct span in = wire(r, h);
	enum handshake_result result;

	if (h->send.state != OP_IDLE)
		return false; /* I1 of hop.c */
	result = handshake_step(&h->handshake, &in, &h->out);
	wire_used(r, h, in);
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

static struct job *detach(struct hop *h)
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
	struct job *j = h->job ? detach(h) : NULL;

	hop_set_state(h, HOP_DEAD);
	if (h->site->sessions_n) {
		h->site->no_more_until_ms = r->now_ms + site_rest_ms(r);
		if (j)
			site_wait(h->site, j);
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
	struct job *j = detach(h);

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
	j->urgent = j->urgent || v->outcome == CLIENT_ACCEPTED;
	if (of_all)
		job_end_route(r, j, v);
	else if (job_end_transaction(r, j, v)) {
		if (!client_takes_more(&h->client))
			move_job(r, h);
		return;
	}
	(void)detach(h);
}

static void closed(struct runner *r, struct hop *h)
{
	if (h->job && h->messages_n)
		move_job(r, h);
	else if (h->job)
		no_session(r, h, client_verdict(&h->client));
	if (h->state == HOP_DEAD)
		return;
	record_shutdown(&h->record, &h->answers);
	hop_set_state(h, HOP_FLUSHING);
	hop_set_deadline(r, h, FLUSH_MS);
}

bool hop_step_flushing(struct hop *h)
{
	seal(h);
	if (h->broken || h->peer_closed || all_sent(h))
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

/* Seals as much of the body as `out` takes. True: it is all there. */
static bool send_body(struct runner *r, struct hop *h)
{
	struct client_body *body = client_body(&h->client);

	while (!buf_len(&h->say) && h->send.state == OP_IDLE &&
	       !client_body_done(body)) {
		struct span block = job_body(r, h->job, client_body_at(body));
		struct client_piece piece = client_body_next(body, block);
		struct span part = piece.literal.len ?
					   piece.literal :
					   span_head(block, piece.stored);
		struct span rest = part;

		if (!part.len) {
			if (!h->job->read_error)
				return false; /* it is being read */
			hop_lost(h, CLIENT_FOUND_LOCAL);
			return true;
		}
		(void)record_seal(&h->record, &rest, &h->out);
		if (rest.len == part.len)
			return false; /* no room: sending makes some */
		client_body_sent(body, span_head(part, part.len - rest.len));
	}
	if (!client_body_done(body))
		return false;
	client_body_is_sent(&h->client);
	return true;
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

/* True when the peer is gone and nothing it said is left. */
static bool nobody_there(const struct runner *r, const struct hop *h)
{
	return h->broken || (h->peer_closed && !wire(r, h).len &&
			     !record_pending(&h->record));
}

static bool answer(struct runner *r, struct hop *h, enum client_action action)
{
	switch (action) {
	case CLIENT_NEED_INPUT:
	case CLIENT_NEED_OUTPUT: wait_for_peer(r, h); break;
	case CLIENT_START_TLS:
		wait_for_peer(r, h);
		if (!all_sent(h))
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
		wait_for_peer(r, h);
		if (send_body(r, h))
			return true;
		break;
	case CLIENT_MESSAGE_DONE: message_done(r, h); return true;
	case CLIENT_CLOSE: closed(r, h); return true;
	case CLIENT_AGAIN: MUST(false); /* returned by client_step */
	}
	if (nobody_there(r, h)) {
		client_lost(&h->client, CLIENT_FOUND_CONNECTION_LOST);
		return true;
	}
	return false;
}

bool hop_step_open(struct runner *r, struct hop *h)
{
	bool heard = open_records(r, h);
	struct client_io io = { buf_span(&h->in), &h->say };
	enum client_action action = client_step(&h->client, &io);

	h->progressed = h->progressed || io.in.len != buf_len(&h->in);
	buf_consume(&h->in, buf_len(&h->in) - io.in.len);
	seal(h);
	return answer(r, h, action) || heard;
}
