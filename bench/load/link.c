/*
 * I1  A job ends exactly once: in end_job.
 * I2  A link is freed in link_pump alone, when it is DEAD and nothing flies.
 */
#include "load/link.h"

#include "base/must.h"
#include "kit/stopwatch.h"
#include "load/link_message.h"

#include <errno.h>
#include <stddef.h>

#define PATIENCE_MS 60000 /* without a byte from the server */
#define PARTING_MS  2000

struct link *link_of_timer(struct wheel_timer *t)
{
	return (struct link *)(void *)((uint8_t *)t -
				       offsetof(struct link, timer));
}

static void set_deadline(struct driver *d, struct link *l, uint64_t after_ms)
{
	wheel_set(&d->wheel, &l->timer, d->now_ns / 1000000 + after_ms);
}

static const struct load_options *options(const struct driver *d)
{
	return d->run->options;
}

/* -- opening ---------------------------------------------------------------- */

static void lost(struct driver *d, struct link *l, enum client_finding finding)
{
	client_lost(&l->client, finding);
	l->state = LINK_OPEN; /* where the client is heard out */
	driver_touch(d, l);
}

void link_open(struct driver *d, struct link *l)
{
	const struct sockaddr_storage *source =
		d->run->source.ss_family ? &d->run->source : NULL;
	int result;

	memset(l, 0, offsetof(struct link, mail));
	stream_init(&l->stream, slab_index(&d->links, l));
	buf_init(&l->stream.in, l->in_bytes, sizeof(l->in_bytes));
	buf_init(&l->stream.say, l->say_bytes, sizeof(l->say_bytes));
	buf_init(&l->stream.out, l->out_bytes, sizeof(l->out_bytes));
	client_init(&l->client, &d->run->client);
	d->opening_n++;
	l->opened_ns = stopwatch_ns();
	set_deadline(d, l, PATIENCE_MS);
	result = stream_connect(&d->loop, &l->stream, &d->run->target.address,
				source);
	if (!result)
		return;
	l->detail = strerrordesc_np(-result);
	lost(d, l, CLIENT_FOUND_CONNECT_FAILED);
}

static void begin_tls(struct driver *d, struct link *l)
{
	const char *name = options(d)->server_name;

	l->state = LINK_HANDSHAKE;
	l->handshake_ns = stopwatch_ns();
	if (stream_begin_tls(&l->stream, d->creds,
			     name ? name : d->run->target.host))
		lost(d, l, CLIENT_FOUND_TLS_FAILED);
}

static bool step_connecting(struct driver *d, struct link *l)
{
	if (!op_take(&l->stream.connect))
		return false;
	if (l->stream.connect.result < 0) {
		l->detail = strerrordesc_np(-l->stream.connect.result);
		lost(d, l, CLIENT_FOUND_CONNECT_FAILED);
		return true;
	}
	tally_time(&d->tally, TALLY_CONNECT, stopwatch_ns() - l->opened_ns);
	if (options(d)->tls == LOAD_TLS_IMPLICIT)
		begin_tls(d, l);
	else
		l->state = LINK_OPEN;
	return true;
}

static bool step_handshake(struct driver *d, struct link *l)
{
	struct handshake_facts facts;

	switch (stream_step_tls(&l->stream, &facts)) {
	case STREAM_TLS_GOING: return false;
	case STREAM_TLS_FAILED:
		l->detail = handshake_reason(&l->stream.handshake);
		lost(d, l, CLIENT_FOUND_TLS_FAILED);
		return true;
	case STREAM_TLS_DONE: break;
	}
	tally_time(&d->tally, TALLY_HANDSHAKE,
		   stopwatch_ns() - l->handshake_ns);
	d->tally.tls = facts;
	d->tally.handshakes_resumed += facts.resumed;
	d->tally.handshakes_full += !facts.resumed;
	if (options(d)->tls == LOAD_TLS_STARTTLS)
		client_tls_started(&l->client);
	l->state = LINK_OPEN;
	return true;
}

/* -- jobs ------------------------------------------------------------------- */

void link_take_job(struct driver *d, struct link *l, uint64_t number,
		   uint64_t due_ns)
{
	MUST(!l->has_job);
	l->has_job = true;
	l->job_begun = false;
	l->due_ns = due_ns;
	if (options(d)->mode == LOAD_MODE_MAIL)
		mails_make(d->run->mails, number, &d->dice, &l->mail);
	set_deadline(d, l, PATIENCE_MS);
}

/* I1 */
static void end_job(struct driver *d, struct link *l, bool good)
{
	MUST(l->has_job);
	l->has_job = l->job_begun = false;
	driver_job_done(d, good);
}

static void shut(struct driver *d, struct link *l)
{
	l->state = LINK_SHUTTING;
	set_deadline(d, l, PARTING_MS);
}

/* Connected, and in the end greeted, encrypted and logged in. */
static void become_ready(struct driver *d, struct link *l)
{
	MUST(!l->ready);
	l->ready = true;
	d->opening_n--;
	d->tally.connections++;
	tally_time(&d->tally, TALLY_READY, stopwatch_ns() - l->opened_ns);
}

/* A handshake is all that was wanted: there is no need to say more. */
static void handshake_done(struct driver *d, struct link *l)
{
	become_ready(d, l);
	tally_time(&d->tally, TALLY_MESSAGE,
		   stopwatch_ns() - (l->due_ns ? l->due_ns : l->opened_ns));
	if (l->due_ns && l->opened_ns - l->due_ns > d->tally.late_max_ns)
		d->tally.late_max_ns = l->opened_ns - l->due_ns;
	end_job(d, l, true);
	shut(d, l);
}

static bool has_served_enough(const struct driver *d, const struct link *l)
{
	uint64_t most = options(d)->per_connection;

	return !client_takes_more(&l->client) ||
	       (most && l->messages_n >= most);
}

static void rest_idle(struct driver *d, struct link *l)
{
	if (l->is_idle)
		return;
	l->is_idle = true;
	l->idle_prev = NULL;
	l->idle_next = d->idle;
	if (d->idle)
		d->idle->idle_prev = l;
	d->idle = l;
	wheel_cancel(&d->wheel, &l->timer);
}

static void leave_idle(struct driver *d, struct link *l)
{
	if (!l->is_idle)
		return;
	l->is_idle = false;
	if (l->idle_prev)
		l->idle_prev->idle_next = l->idle_next;
	else
		d->idle = l->idle_next;
	if (l->idle_next)
		l->idle_next->idle_prev = l->idle_prev;
}

void link_quit(struct driver *d, struct link *l)
{
	MUST(l->is_idle);
	leave_idle(d, l);
	client_quit(&l->client);
	set_deadline(d, l, PARTING_MS);
	driver_touch(d, l);
}

/* True: something to do was found. */
static bool on_ready(struct driver *d, struct link *l)
{
	if (!l->ready && options(d)->mode == LOAD_MODE_HANDSHAKE) {
		handshake_done(d, l);
		return true;
	}
	if (!l->ready)
		become_ready(d, l);
	if (l->has_job) {
		leave_idle(d, l);
		l->job_begun = true;
		l->messages_n++;
		link_message_begin(d, l);
		return true;
	}
	if (has_served_enough(d, l) || d->phase == RUN_CLOSE) {
		leave_idle(d, l);
		client_quit(&l->client);
		set_deadline(d, l, PARTING_MS);
		return true;
	}
	rest_idle(d, l);
	return false;
}

/* -- the end ---------------------------------------------------------------- */

static enum tally_stage stage_of(enum client_finding finding)
{
	switch ((int)finding) {
	case CLIENT_FOUND_CONNECT_FAILED: return TALLY_STAGE_CONNECT;
	case CLIENT_FOUND_TLS_FAILED:
	case CLIENT_FOUND_TLS_REFUSED:
	case CLIENT_FOUND_TLS_NOT_OFFERED:
	case CLIENT_FOUND_TLS_CLEAR_BYTES: return TALLY_STAGE_TLS;
	case CLIENT_FOUND_SESSION_REFUSED: return TALLY_STAGE_GREETING;
	case CLIENT_FOUND_AUTH_NOT_OFFERED:
	case CLIENT_FOUND_AUTH_REFUSED: return TALLY_STAGE_AUTH;
	default: return TALLY_STAGE_SESSION;
	}
}

/* With what the world said of it, where the client knows no more than that. */
static void tally_connection(struct driver *d, const struct link *l)
{
	struct client_verdict why = *client_verdict(&l->client);
	size_t len = l->detail ? strlen(l->detail) : 0;

	if (len && len <= sizeof(why.reply.text) &&
	    (why.finding == CLIENT_FOUND_CONNECT_FAILED ||
	     why.finding == CLIENT_FOUND_TLS_FAILED)) {
		memcpy(why.reply.text, l->detail, len);
		why.reply.text_len = (uint8_t)len;
	}
	tally_fail(&d->tally, stage_of(why.finding), &why);
}

/*
 * A connection that the server closed while nothing was to be done is no
 * failure of anything; one that idle mode was to hold is.
 */
static void closed(struct driver *d, struct link *l)
{
	bool held = options(d)->mode == LOAD_MODE_IDLE && d->phase != RUN_CLOSE;

	leave_idle(d, l);
	if (l->has_job || !l->ready || held)
		tally_connection(d, l);
	if (l->has_job)
		end_job(d, l, false);
	if (!l->ready)
		driver_refused(d);
	shut(d, l);
}

/* -- the client's wishes ----------------------------------------------------- */

static bool answer(struct driver *d, struct link *l, enum client_action action)
{
	switch (action) {
	case CLIENT_NEED_INPUT:
	case CLIENT_NEED_OUTPUT: break;
	case CLIENT_START_TLS:
		if (!stream_all_sent(&l->stream))
			break;
		begin_tls(d, l);
		return true;
	case CLIENT_READY:
		if (on_ready(d, l))
			return true;
		break;
	case CLIENT_NEXT_RECIPIENT: link_message_recipient(d, l); return true;
	case CLIENT_RECIPIENT_REFUSED: link_message_refused(d, l); return true;
	case CLIENT_SEND_BODY:
		if (link_message_send(l))
			return true;
		break;
	case CLIENT_MESSAGE_DONE:
		end_job(d, l, link_message_done(d, l));
		return true;
	case CLIENT_CLOSE: closed(d, l); return true;
	case CLIENT_AGAIN: MUST_NOT_REACH("never returned by client_step");
	}
	if (stream_ended(&l->stream)) {
		client_lost(&l->client, CLIENT_FOUND_CONNECTION_LOST);
		return true;
	}
	return false;
}

/* In handshake mode the greeting, which comes inside TLS, is the end. */
static bool hear(struct driver *d, struct link *l)
{
	if (l->heard)
		return false;
	l->heard = true;
	tally_time(&d->tally, TALLY_BANNER, stopwatch_ns() - l->opened_ns);
	if (options(d)->mode != LOAD_MODE_HANDSHAKE ||
	    options(d)->tls != LOAD_TLS_IMPLICIT)
		return false;
	handshake_done(d, l);
	return true;
}

static bool step_open(struct driver *d, struct link *l)
{
	struct stream *s = &l->stream;
	bool heard = stream_read(s);
	struct client_io io;
	enum client_action action;

	if (heard && !l->is_idle)
		set_deadline(d, l, PATIENCE_MS);
	if (heard && hear(d, l))
		return true;
	io = (struct client_io){ buf_span(&s->in), &s->say };
	action = client_step(&l->client, &io);
	buf_consume(&s->in, buf_len(&s->in) - io.in.len);
	/* MAIL, RCPT and what may follow go in one record (RFC 2920): who is
	 * told one by one answers one by one. A body takes along what was said
	 * before it. */
	if (action != CLIENT_NEXT_RECIPIENT && action != CLIENT_SEND_BODY)
		stream_seal(s);
	return answer(d, l, action) || heard;
}

static bool step_shutting(struct link *l)
{
	if (!l->stream.broken && l->stream.fd >= 0 &&
	    l->stream.connect.state == OP_IDLE && !stream_shut(&l->stream))
		return false;
	l->state = LINK_DEAD;
	return true;
}

void link_on_timeout(struct driver *d, struct link *l)
{
	driver_touch(d, l);
	if (l->state == LINK_SHUTTING || l->state == LINK_DEAD)
		l->state = LINK_DEAD;
	else
		lost(d, l, CLIENT_FOUND_TIMED_OUT);
}

void link_pump(struct driver *d, struct link *l)
{
	bool again = true;

	stream_harvest(&d->loop, &l->stream);
	while (again) {
		switch (l->state) {
		case LINK_CONNECTING: again = step_connecting(d, l); break;
		case LINK_HANDSHAKE: again = step_handshake(d, l); break;
		case LINK_OPEN: again = step_open(d, l); break;
		case LINK_SHUTTING: again = step_shutting(l); break;
		case LINK_DEAD: again = false; break;
		}
	}
	if (l->state != LINK_DEAD) {
		stream_arm(&d->loop, &l->stream);
		return;
	}
	if (!stream_cancel(&d->loop, &l->stream) || l->touched)
		return;
	if (!l->ready)
		d->opening_n--;
	wheel_cancel(&d->wheel, &l->timer);
	stream_fini(&d->loop, &l->stream); /* I2 */
	driver_give_link(d, l);
}
