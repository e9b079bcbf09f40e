/*
 * The side of the one that takes over. It is nobody until all its gateways
 * accept connections: only then it writes the pid file, answers the operator
 * and says READY. Should the old one die before, it leaves at once, as if it
 * were one of its workers; what it cannot do, it says, and leaves.
 */
#include "super/supervisor_inside.h"

#include "base/must.h"
#include "super/lockfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

/* All of the welcome was sent before we began, or never comes. */
#define WELCOME_PATIENCE_S 10
#define PACKETS_PER_TURN   16
#define DEATHS_MAX         3 /* of a gateway that never served */

/* The welcome */

static bool complain(struct buf *errors, const char *what)
{
	buf_printf(errors, "cannot take over: %s\n", what);
	return false;
}

static bool receive(struct supervisor *s, struct handover *h,
		    struct passing *with, struct buf *errors)
{
	struct takeover *t = &s->takeover;
	int result;

	buf_init(&t->packet, t->storage, sizeof(t->storage));
	result = passing_receive(t->fd, &t->packet, with);
	if (result) {
		buf_printf(errors, "cannot take over: %s\n",
			   strerrordesc_np(-result));
		return false;
	}
	switch (handover_parse(buf_span(&t->packet), h)) {
	case HANDOVER_GOOD:
		if (with->fds_n == handover_fds(h))
			return true;
		complain(errors, "descriptors are missing: raise the limit of "
				 "open files (LimitNOFILE=)");
		break;
	case HANDOVER_OTHER_VERSION:
		complain(errors, "the running version hands over in another "
				 "way: stop it, then start this one");
		break;
	case HANDOVER_BAD: complain(errors, "the handover is broken"); break;
	}
	passing_close(with);
	return false;
}

/* All that is kept came in one packet, so that it fits. */
struct terms {
	struct config config;
	uint8_t storage[HANDOVER_BYTES];
};

static const char *keep(struct buf *strings, const char *s)
{
	size_t room;
	const char *kept = (const char *)buf_reserve(strings, &room);

	if (!s)
		return NULL;
	buf_put_str(strings, s);
	buf_put_byte(strings, '\0');
	return kept;
}

/* What must not change, in the form that a reload compares. */
static bool keep_terms(struct supervisor *s, const struct handover_welcome *w)
{
	struct terms *terms = calloc(1, sizeof(*terms));
	struct config *c;

	if (!terms)
		return false;
	c = &terms->config;
	buf_init(&c->strings, terms->storage, sizeof(terms->storage));
	c->workers = w->configured_workers;
	c->user = keep(&c->strings, w->user);
	c->pid_file = keep(&c->strings, w->pid_file);
	c->control = keep(&c->strings, w->control);
	c->spool.directory = keep(&c->strings, w->spool);
	MUST(!c->strings.overflowed);
	s->takeover.terms = terms;
	return true;
}

static bool accept_welcome(struct supervisor *s, const struct handover *h,
			   const struct passing *with, struct buf *errors)
{
	const struct handover_welcome *w = &h->welcome;
	uint32_t next = HANDOVER_FDS;
	bool fresh;

	s->generation = w->generation;
	s->workers = w->workers;
	s->rotate_ms = w->rotate_ms;
	s->relay_doorbell = with->fds[2];
	if (w->pid_file)
		s->lock_fd = with->fds[next++];
	if (w->control)
		s->takeover.control_fd = with->fds[next];
	s->takeover.sockets_n = w->sockets_n;
	if (shared_adopt(&s->shared, with->fds[0], with->fds[1], &fresh))
		return complain(errors, "the running version shares memory in "
					"another way: stop it, then start this "
					"one");
	if (fresh)
		LOG_PLAIN(LOG_NOTICE, "counters-begin-anew");
	return keep_terms(s, w) || complain(errors, "no memory");
}

static bool accept_sockets(struct supervisor *s, const struct handover *h,
			   const struct passing *with, struct buf *errors)
{
	for (uint32_t i = 0; i < h->sockets_n; i++) {
		const struct handover_socket *from = &h->sockets[i];
		struct sockets_entry e = { .worker = from->worker,
					   .service = from->service,
					   .fd = with->fds[i] };

		(void)snprintf(e.address, sizeof(e.address), "%s",
			       from->address);
		if (!sockets_take(&s->sockets, &e))
			return complain(errors, "what came is no listening "
						"socket");
	}
	return true;
}

bool takeover_receive(struct supervisor *s, struct buf *errors)
{
	static const struct timeval patience = { .tv_sec = WELCOME_PATIENCE_S };
	struct passing with;
	struct handover h;

	(void)setsockopt(s->takeover.fd, SOL_SOCKET, SO_RCVTIMEO, &patience,
			 sizeof(patience));
	if (!receive(s, &h, &with, errors))
		return false;
	if (h.kind != HANDOVER_WELCOME)
		return complain(errors, "no welcome");
	if (!accept_welcome(s, &h, &with, errors))
		return false;
	while (s->sockets.n < s->takeover.sockets_n) {
		if (!receive(s, &h, &with, errors))
			return false;
		if (h.kind != HANDOVER_SOCKETS)
			return complain(errors, "sockets are missing");
		if (!accept_sockets(s, &h, &with, errors))
			return false;
	}
	if (fcntl(s->takeover.fd, F_SETFD, FD_CLOEXEC) ||
	    fcntl(s->takeover.fd, F_SETFL, O_NONBLOCK))
		return complain(errors, strerrordesc_np(errno));
	return true;
}

bool takeover_allows(struct supervisor *s, const struct config *config,
		     struct buf *errors)
{
	struct config *terms = &s->takeover.terms->config;
	bool good;

	/* The old one has neither lanes nor a shield: that alone counts. */
	terms->steering = config->steering;
	terms->shield = config->shield;
	terms->shield.line = 0;
	good = !config_diff(terms, config, errors);
	free(s->takeover.terms);
	s->takeover.terms = NULL;
	return good;
}

/* Refusal */

void takeover_refuse(struct supervisor *s, struct span lines)
{
	uint8_t storage[HANDOVER_BYTES];
	struct handover h = { .kind = HANDOVER_REFUSED };
	struct buf packet;
	const size_t room = sizeof(storage) - 64;

	h.text = span_head(lines, lines.len < room ? lines.len : room);
	buf_init(&packet, storage, sizeof(storage));
	handover_put(&packet, &h);
	(void)passing_send(s->takeover.fd, buf_span(&packet), NULL);
}

/* The lock is the old one's: nobody shall wait for us to be gone. */
static void give_up(struct supervisor *s, const char *why)
{
	takeover_refuse(s, span_str(why));
	if (s->lock_fd >= 0)
		(void)close(s->lock_fd);
	s->lock_fd = -1;
	supervisor_drain(s);
}

/* Ready */

static bool a_gateway_keeps_dying(const struct supervisor *s)
{
	for (uint32_t i = 0; i < PROCESS_MAX; i++) {
		const struct process *p = &s->processes.entries[i];

		if (p->state != PROCESS_FREE && p->kind == PROCESS_GATEWAY &&
		    p->restarts >= DEATHS_MAX)
			return true;
	}
	return false;
}

void takeover_step(struct supervisor *s)
{
	int result = 0;

	if (s->state != SUPERVISOR_ARRIVING)
		return;
	if (a_gateway_keeps_dying(s)) {
		give_up(s, "the new program's gateways die: see the log\n");
		return;
	}
	if (!children_serve(s))
		return;
	if (s->lock_fd >= 0)
		result = lockfile_renew(s->lock_fd);
	if (result) {
		give_up(s, "the new program cannot write the pid file\n");
		return;
	}
	if (upgrade_say(s->takeover.fd, HANDOVER_READY))
		return; /* the old one died: heard of next */
	s->state = SUPERVISOR_RUNNING;
	s->settled = true;
	s->takeover.leaves_first = true;
	LOG(LOG_NOTICE, "took-over", log_u64("generation", s->generation));
}

/* After */

void takeover_say(struct supervisor *s, enum handover_kind kind)
{
	if (s->takeover.fd >= 0)
		(void)upgrade_say(s->takeover.fd, kind);
}

static void lose_predecessor(struct supervisor *s)
{
	(void)close(s->takeover.fd);
	s->takeover.fd = -1;
	if (s->state == SUPERVISOR_ARRIVING) {
		LOG(LOG_ERROR, "predecessor-died",
		    log_str("means", "we never served, and leave"));
		(void)log_flush();
		_exit(EXIT_FAILURE); /* our children hear of it by that */
	}
	LOG_PLAIN(LOG_NOTICE, "predecessor-left");
	shared_sweep(&s->shared); /* what a killed one left */
}

/* Said by one that has not retired, whatever we said: it waits for us. */
static void hear_drain(struct supervisor *s)
{
	s->settled = false;
	s->takeover.leaves_first = false;
	if (s->state != SUPERVISOR_DRAINING)
		supervisor_drain(s);
}

void takeover_hear(struct supervisor *s)
{
	for (int i = 0; i < PACKETS_PER_TURN && s->takeover.fd >= 0; i++) {
		uint8_t storage[HANDOVER_BYTES];
		struct passing with = { 0 };
		struct handover h;
		struct buf packet;
		int result;

		buf_init(&packet, storage, sizeof(storage));
		result = passing_receive(s->takeover.fd, &packet, &with);
		passing_close(&with);
		if (result == -EAGAIN || result == -EINTR)
			return;
		if (result) {
			lose_predecessor(s);
			return;
		}
		if (handover_parse(buf_span(&packet), &h) == HANDOVER_GOOD &&
		    h.kind == HANDOVER_DRAIN)
			hear_drain(s);
	}
}
