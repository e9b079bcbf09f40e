/*
 * What a supervisor passes on to its successor, on both sides: WELCOME and
 * SOCKETS. Descriptors are shared, not moved: as long as the new one is not
 * ready, the old one serves with its own. What the configuration must leave as
 * it was is compared as a reload compares it.
 */
#include "super/welcome.h"

#include "super/supervisor_inside.h"

#include "base/must.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>

_Static_assert(CONFIG_LISTENERS_MAX <= HANDOVER_LANES_MAX, "listeners");
_Static_assert(CONFIG_LANES_MAX <= HANDOVER_LANES_MAX, "lanes");
_Static_assert(HANDOVER_MAPS_MAX <= PINS_FDS_MAX, "descriptors");

/* All of the welcome was sent before we began, or never comes. */
#define WELCOME_PATIENCE_S 10

/* Saying it */

static uint32_t say_lanes(const struct config *config,
			  struct handover_lane *ret)
{
	for (uint32_t i = 0; i < config->lanes_n; i++)
		ret[i] = (struct handover_lane){
			.name = config->lanes[i].name,
			.lane = config->lanes[i].name,
			.workers = config->lanes[i].workers,
		};
	return config->lanes_n;
}

static uint32_t say_listeners(const struct config *config,
			      struct handover_lane *ret)
{
	for (uint32_t i = 0; i < config->listeners_n; i++)
		ret[i] = (struct handover_lane){
			.name = config->listeners[i].name,
			.lane = config->listeners[i].lane,
		};
	return config->listeners_n;
}

static void add_fds(struct passing *with, const struct pins_passed *fds)
{
	for (uint32_t i = 0; i < fds->fds_n; i++)
		with->fds[with->fds_n++] = fds->fds[i];
}

/* What of the kernel's steers and shields now. */
static void say_steering(struct supervisor *s, struct handover_welcome *ret,
			 struct passing *with)
{
	const struct config *config = s->assets->config;
	struct pins_passed shield;
	struct steer_passed steer;

	steer_pass(s->steer, &steer);
	shield_pass(s->guard.shield, &shield);
	ret->steer_pins = config->steering.pins;
	ret->steer_program = config->steering.program;
	ret->steer_mode = steer.mode;
	ret->steer_fds_n = steer.fds.fds_n;
	ret->shield_pins = config->shield.pins;
	ret->shield = !config->shield.line ? 0 : 1u + config->shield.required;
	ret->shield_fds_n = shield.fds_n;
	ret->lanes_n = say_lanes(config, ret->lanes);
	ret->listeners_n = say_listeners(config, ret->listeners);
	add_fds(with, &steer.fds);
	add_fds(with, &shield);
}

static int say_terms(struct supervisor *s)
{
	const struct config *config = s->assets->config;
	struct handover h = {
		.kind = HANDOVER_WELCOME,
		.welcome = {
			.generation = s->generation,
			.workers = s->workers,
			.configured_workers = config->workers,
			.sockets_n = s->sockets.n,
			.rotate_ms = s->rotate_ms,
			.user = config->user,
			.pid_file = config->pid_file,
			.control = config->control,
			.spool = config->spool.directory,
		},
	};
	struct passing with = {
		.fds = { s->shared.common_fd, s->shared.metrics_fd,
			 s->relay_doorbell },
		.fds_n = HANDOVER_FDS,
	};

	if (config->pid_file)
		with.fds[with.fds_n++] = s->lock_fd;
	if (config->control)
		with.fds[with.fds_n++] = s->control.fd;
	say_steering(s, &h.welcome, &with);
	MUST(with.fds_n == handover_fds(&h));
	return upgrade_send(s->upgrade.fd, &h, &with);
}

static int say_sockets(struct supervisor *s)
{
	struct handover h = { .kind = HANDOVER_SOCKETS };
	struct passing with = { 0 };
	int result = 0;

	for (uint32_t i = 0; i < s->sockets.n && !result; i++) {
		const struct sockets_entry *e = &s->sockets.entries[i];

		h.sockets[h.sockets_n++] = (struct handover_socket){
			.address = e->address,
			.worker = e->worker,
			.service = e->service,
		};
		with.fds[with.fds_n++] = e->fd;
		if (with.fds_n < PASSING_FDS && i + 1 < s->sockets.n)
			continue;
		result = upgrade_send(s->upgrade.fd, &h, &with);
		h.sockets_n = with.fds_n = 0;
	}
	return result;
}

int welcome_say(struct supervisor *s)
{
	int result = say_terms(s);

	return result ? result : say_sockets(s);
}

/* Hearing it */

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

static void keep_steering(struct config *c, const struct handover_welcome *w)
{
	c->steering.program = (enum config_steer)w->steer_program;
	c->steering.pins = keep(&c->strings, w->steer_pins);
	c->shield.line = w->shield;
	c->shield.required = w->shield > 1;
	c->shield.pins = keep(&c->strings, w->shield_pins);
	c->lanes_n = w->lanes_n;
	for (uint32_t i = 0; i < w->lanes_n && i < CONFIG_LANES_MAX; i++)
		c->lanes[i] = (struct config_lane){
			.name = keep(&c->strings, w->lanes[i].name),
			.workers = w->lanes[i].workers,
		};
	c->listeners_n = w->listeners_n;
	for (uint32_t i = 0; i < w->listeners_n; i++) {
		const struct handover_lane *l = &w->listeners[i];

		c->listeners[i].name = keep(&c->strings, l->name);
		c->listeners[i].lane = keep(&c->strings, l->lane);
	}
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
	keep_steering(c, w);
	MUST(!c->strings.overflowed);
	s->takeover.terms = terms;
	return true;
}

static uint32_t keep_fds(const int *fds, uint32_t n, struct pins_passed *ret)
{
	memcpy(ret->fds, fds, n * sizeof(*fds));
	ret->fds_n = n;
	return n;
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
		s->takeover.control_fd = with->fds[next++];
	s->takeover.steer.mode = (enum steer_mode)w->steer_mode;
	next += keep_fds(&with->fds[next], w->steer_fds_n,
			 &s->takeover.steer.fds);
	(void)keep_fds(&with->fds[next], w->shield_fds_n, &s->takeover.shield);
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

bool welcome_receive(struct supervisor *s, struct buf *errors)
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

bool welcome_allows(struct supervisor *s, const struct config *config,
		    struct buf *errors)
{
	bool good = !config_diff(&s->takeover.terms->config, config, errors);

	free(s->takeover.terms);
	s->takeover.terms = NULL;
	return good;
}
