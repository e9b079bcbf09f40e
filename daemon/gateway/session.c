/*
 * I1  The session steps only between sends (session_wire.c says why).
 * I2  A session is freed in session_close alone, when nothing of it is in
 *     flight; its slot's generation goes up, so late answers miss.
 * I3  While the core waits for an answer (`asked`), it is not stepped, and what
 *     arrives stays unopened in the one receive buffer: back-pressure.
 */
#include "gateway/session.h"

#include "gateway/fairness.h"
#include "gateway/message.h"
#include "gateway/offence.h"
#include "gateway/session_auth.h"
#include "gateway/session_nic.h"
#include "gateway/session_receive.h"
#include "gateway/session_smtp.h"
#include "gateway/session_wire.h"
#include "gateway/worker.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/socket.h>

#define FLUSH_LIMIT_MS  30000
#define LINGER_LIMIT_MS 2000

static const struct config *config_of(const struct worker *w)
{
	return w->options->config;
}

static void set_state(struct session *s, enum session_state state)
{
	MUST(s->state != SESSION_DEAD || state == SESSION_DEAD);
	s->state = state;
}

void session_set_deadline(struct worker *w, struct session *s,
			  uint64_t after_ms)
{
	wheel_set(&w->wheel, &s->timer, w->now_ms + after_ms);
}

/* The session is over without a further word; the first reason is kept. */
void session_kill(struct session *s, const char *why)
{
	if (!s->ended)
		s->ended = why;
	set_state(s, SESSION_DEAD);
}

/* Sends what is in `out`, then ends. */
void session_finish(struct worker *w, struct session *s, const char *why)
{
	if (!s->ended)
		s->ended = why;
	set_state(s, SESSION_FLUSHING);
	session_set_deadline(w, s, FLUSH_LIMIT_MS);
}

/* Opening and closing */

union peer {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

static union peer peer_of(int fd)
{
	union peer peer = { .sa.sa_family = AF_UNSPEC };
	socklen_t len = sizeof(peer);

	if (getpeername(fd, &peer.sa, &len))
		peer.sa.sa_family = AF_UNSPEC; /* it is gone already */
	return peer;
}

static void set_address(struct session *s, const union peer *peer)
{
	char text[INET6_ADDRSTRLEN] = "unknown";
	const char *prefix = "";

	(void)prefix_of_address(&peer->sa, &s->source);
	if (peer->sa.sa_family == AF_INET6) {
		prefix = "IPv6:";
		(void)inet_ntop(AF_INET6, &peer->in6.sin6_addr, text,
				sizeof(text));
	} else if (peer->sa.sa_family == AF_INET) {
		(void)inet_ntop(AF_INET, &peer->in.sin_addr, text,
				sizeof(text));
	}
	(void)snprintf(s->address, sizeof(s->address), "%s%s", prefix, text);
}

static void begin_smtp(struct worker *w, struct session *s)
{
	smtp_server_init(&s->smtp, &w->smtp[s->listener],
			 (struct smtp_peer){ s->address });
	set_state(s, SESSION_OPEN);
}

int session_begin_handshake(struct worker *w, struct session *s)
{
	const struct worker_socket *socket = &w->options->sockets[s->listener];
	int result = handshake_open(&s->handshake, socket->creds, NULL);

	if (!result && socket->config->ktls != CONFIG_KTLS_OFF &&
	    offload_expect_any(&w->offload, w->now_ms) == OFFLOAD_KERNEL)
		result = handshake_keep_secrets(&s->handshake);
	if (result)
		return result;
	handshakes_enter(w, s);
	set_state(s, SESSION_HANDSHAKE);
	session_set_deadline(w, s, config_of(w)->timeouts.handshake * 1000ull);
	return 0;
}

static void link_live(struct worker *w, struct session *s)
{
	s->live_next = w->live;
	s->live_link = &w->live;
	if (w->live)
		w->live->live_link = &s->live_next;
	w->live = s;
}

static void unlink_live(struct session *s)
{
	*s->live_link = s->live_next;
	if (s->live_next)
		s->live_next->live_link = s->live_link;
}

/* Whether a further connection can be served, or how it is refused. */
static enum reply admit(struct worker *w, const struct config_listener *config)
{
	if (!w->sessions.free_n) {
		worker_count(w, METRIC_CONNECTIONS_REFUSED);
		return REPLY_OVERLOADED;
	}
	if (config->tls == CONFIG_TLS_IMPLICIT &&
	    handshakes_full(&w->handshakes)) {
		worker_count(w, METRIC_HANDSHAKES_REFUSED);
		return REPLY_OVERLOADED;
	}
	return REPLY_OK;
}

enum reply session_open(struct worker *w, uint32_t listener, int fd)
{
	const struct config_listener *config =
		w->options->sockets[listener].config;
	enum reply verdict = admit(w, config);
	union peer peer;
	struct session *s;
	uint32_t slot;

	if (verdict != REPLY_OK)
		return verdict;
	peer = peer_of(fd);
	s = slab_take(&w->sessions);
	slot = slab_index(&w->sessions, s);
	*s = (struct session){
		.slot = slot,
		.generation = w->session_generations[slot],
		.fd = fd,
		.listener = listener,
		.id = worker_next_id(w),
		.opened_ms = w->now_ms,
	};
	verdict = fairness_connect(w, s, &peer.sa);
	if (verdict != REPLY_OK) {
		slab_give(&w->sessions, s);
		return verdict;
	}
	set_address(s, &peer);
	record_init_clear(&s->record);
	link_live(w, s);
	worker_count(w, METRIC_CONNECTIONS_ACCEPTED);
	worker_count(w, METRIC_CONNECTIONS_NOW);
	if (config->tls == CONFIG_TLS_STARTTLS) {
		begin_smtp(w, s);
		session_set_deadline(w, s,
				     config_of(w)->timeouts.command * 1000ull);
	} else if (session_begin_handshake(w, s)) {
		session_kill(s, "no memory for TLS");
	}
	worker_touch(w, s);
	return REPLY_OK;
}

static void log_end(const struct worker *w, const struct session *s)
{
	LOG(LOG_INFO, "session", log_id("session", s->id),
	    log_str("listener", w->options->sockets[s->listener].config->name),
	    log_str("lane", w->options->lane), log_str("peer", s->address),
	    log_str("tls", s->tls_version ? s->tls_version : "none"),
	    log_str("cipher", s->tls_cipher ? s->tls_cipher : "none"),
	    log_str("records", record_name(&s->record)),
	    log_str("offload", offload_name(record_offload_reason(&s->record))),
	    log_str("nic", session_nic_describe(w, s)),
	    log_str("user", smtp_server_user(&s->smtp)),
	    log_u64("messages", s->messages_n),
	    log_u64("bytes_in", s->bytes_in),
	    log_u64("bytes_out", s->bytes_out),
	    log_u64("duration_ms", w->now_ms - s->opened_ms),
	    log_str("ended", s->ended ? s->ended : ""));
}

/* I2: the only place where a session is freed. */
static void session_close(struct worker *w, struct session *s)
{
	log_end(w, s);
	if (s->message) {
		if (s->asked != SESSION_ASKED_COMMIT)
			worker_count(w, METRIC_MESSAGES_ABANDONED);
		message_abandon(w, s->message);
	}
	if (s->asked != SESSION_ASKED_VERIFIER)
		session_auth_drop(w, s); /* else the worker gives it back */
	wheel_cancel(&w->wheel, &s->timer);
	handshakes_leave(w, s);
	fairness_disconnect(w, s);
	handshake_fini(&s->handshake);
	record_fini(&s->record);
	session_wire_close(w, s);
	metric_sub(w->options->metrics, METRIC_CONNECTIONS_NOW, 1);
	unlink_live(s);
	w->session_generations[s->slot]++;
	slab_give(&w->sessions, s);
}

/* Step: the handshake */

static void handshake_ended(struct worker *w, struct session *s)
{
	struct handshake_facts facts = handshake_facts(&s->handshake);

	handshakes_leave(w, s);
	record_take(&s->record, &s->handshake);
	worker_count(w, METRIC_HANDSHAKES_OK);
	if (facts.resumed)
		worker_count(w, METRIC_HANDSHAKES_RESUMED);
	if (w->options->sockets[s->listener].config->tls == CONFIG_TLS_IMPLICIT)
		begin_smtp(w, s);
	s->tls_version = facts.version;
	s->tls_cipher = facts.cipher;
	smtp_server_tls_started(&s->smtp, facts.version, facts.cipher);
	set_state(s, SESSION_OPEN);
	session_set_deadline(w, s, config_of(w)->timeouts.command * 1000ull);
	session_wire_secured(w, s);
}

/* True when the session has moved on and should be stepped again. */
static bool step_handshake(struct worker *w, struct session *s)
{
	struct span in = loan_bytes(&s->wire);
	enum handshake_result result;

	if (in.len && !handshakes_may_go_on(w, s))
		return false;
	session_wire_borrow(w, &s->out);
	result = handshake_step(&s->handshake, &in, &s->out);
	loan_used(&s->wire, in);
	switch (result) {
	case HANDSHAKE_NEED_INPUT:
		if (s->peer_closed) {
			worker_count(w, METRIC_HANDSHAKES_FAILED);
			offence_tell(w, s, OFFENCE_HANDSHAKE);
			session_kill(s, "handshake broken off");
		}
		return false;
	case HANDSHAKE_NEED_OUTPUT: return false;
	case HANDSHAKE_DONE: handshake_ended(w, s); return true;
	case HANDSHAKE_FAILED:
		worker_count(w, METRIC_HANDSHAKES_FAILED);
		offence_tell(w, s, OFFENCE_HANDSHAKE);
		handshakes_leave(w, s);
		session_finish(w, s, handshake_reason(&s->handshake));
		return false;
	}
	return false;
}

/* Our side is shut; what still comes is read and dropped for a while. */
static void linger(struct session *s)
{
	loan_end(&s->wire);
	if (s->peer_closed)
		session_kill(s, "closed");
}

static void flushed(struct worker *w, struct session *s)
{
	bool talks_still = !s->peer_closed &&
			   smtp_server_last_reply(&s->smtp) != REPLY_BYE;

	if (!talks_still) {
		session_kill(s, "closed");
		return;
	}
	/* Closing with unread bytes would reset the connection and could take
	 * our last reply with it. */
	(void)shutdown(s->fd, SHUT_WR);
	set_state(s, SESSION_LINGERING);
	session_set_deadline(w, s, LINGER_LIMIT_MS);
}

static bool step_once(struct worker *w, struct session *s)
{
	switch (s->state) {
	case SESSION_HANDSHAKE: return step_handshake(w, s);
	case SESSION_OPEN: return session_smtp_step(w, s);
	case SESSION_FLUSHING:
		if (session_wire_all_sent(s))
			flushed(w, s);
		return false;
	case SESSION_LINGERING: linger(s); return false;
	case SESSION_DEAD: return false;
	}
	return false;
}

/* I1, I3. A new state is looked at even when the old one wants to wait. */
static void step(struct worker *w, struct session *s)
{
	while (s->state != SESSION_DEAD && s->send.state == OP_IDLE &&
	       s->asked == SESSION_ASKED_NOTHING) {
		enum session_state before = s->state;

		if (!step_once(w, s) && s->state == before)
			return;
	}
}

/* The pump */

void session_pump(struct worker *w, struct session *s)
{
	session_wire_harvest(w, s);
	step(w, s);
	session_smtp_count(w, s);
	session_wire_arm(w, s);
	if (s->state == SESSION_DEAD && session_wire_cancel(w, s) &&
	    !s->starved && !s->touched &&
	    s->pace != SESSION_PACE_QUEUED) /* I2: no list knows it */
		session_close(w, s);
}

/* Ends of the worker's making */

struct session *session_of_timer(struct wheel_timer *t)
{
	return (struct session *)(void *)((uint8_t *)t -
					  offsetof(struct session, timer));
}

void session_on_timeout(struct worker *w, struct session *s)
{
	bool can_be_told = s->state == SESSION_OPEN && s->send.state == OP_IDLE;

	if (session_receive_hurry(w, s))
		return;
	if (s->asked != SESSION_ASKED_NOTHING && s->state == SESSION_OPEN) {
		/* We are the slow side: the peer's time does not run. */
		session_set_deadline(w, s,
				     config_of(w)->timeouts.command * 1000ull);
		return;
	}
	if (s->state == SESSION_OPEN || s->state == SESSION_HANDSHAKE)
		worker_count(w, METRIC_SESSIONS_TIMED_OUT);
	if (s->state == SESSION_HANDSHAKE)
		offence_tell(w, s, OFFENCE_HANDSHAKE);
	if (can_be_told) {
		smtp_server_end(&s->smtp, REPLY_TIMED_OUT);
		session_set_deadline(w, s, FLUSH_LIMIT_MS);
	} else {
		session_kill(s, "timed out");
	}
	worker_touch(w, s);
}

void session_drain(struct worker *w, struct session *s)
{
	if (s->state == SESSION_HANDSHAKE) {
		session_kill(s, "shutting down");
		worker_touch(w, s);
	} else if (s->state == SESSION_OPEN &&
		   s->asked == SESSION_ASKED_NOTHING &&
		   smtp_server_between_messages(&s->smtp)) {
		smtp_server_end(&s->smtp, REPLY_SHUTTING_DOWN);
		worker_touch(w, s);
	}
}
