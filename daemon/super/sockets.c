#include "super/sockets.h"

#include "base/must.h"
#include "config/lane.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BACKLOG        4096
#define PROBE_TRIES    30
#define PROBE_PAUSE_MS 100

static struct sockets_entry *find(struct sockets *s, const char *address,
				  uint32_t worker)
{
	for (uint32_t i = 0; i < s->n; i++)
		if (s->entries[i].worker == worker &&
		    !strcmp(s->entries[i].address, address))
			return &s->entries[i];
	return NULL;
}

/* Taken by `address`, or free; CONFIG_SERVICES_MAX: all are taken. */
static uint32_t service_for(const struct sockets *s, const char *address)
{
	bool taken[CONFIG_SERVICES_MAX] = { false };
	uint32_t service = 0;

	for (uint32_t i = 0; i < s->n; i++) {
		if (!strcmp(s->entries[i].address, address))
			return s->entries[i].service;
		taken[s->entries[i].service] = true;
	}
	while (service < CONFIG_SERVICES_MAX && taken[service])
		service++;
	return service;
}

uint32_t sockets_service(const struct sockets *s, const char *address)
{
	uint32_t service = service_for(s, address);

	MUST(service < CONFIG_SERVICES_MAX);
	return service;
}

static bool names(const struct config_listener *l, const char *address)
{
	for (uint32_t i = 0; i < l->addresses_n; i++)
		if (!strcmp(l->addresses[i].text, address))
			return true;
	return false;
}

static int set_option(int fd, int level, int option)
{
	const int on = 1;

	return setsockopt(fd, level, option, &on, sizeof(on)) ? -errno : 0;
}

/* TCP_NODELAY is inherited by accepted sockets: a banner never waits. */
static int set_options(int fd, const struct config_address *address,
		       bool shared)
{
	int result = 0;

	if (shared)
		result = set_option(fd, SOL_SOCKET, SO_REUSEADDR);
	if (!result && shared)
		result = set_option(fd, SOL_SOCKET, SO_REUSEPORT);
	if (!result)
		result = set_option(fd, IPPROTO_TCP, TCP_NODELAY);
	if (!result && address->sa.sa_family == AF_INET6)
		result = set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY);
	return result;
}

static int listen_on(const struct config_address *address, bool shared)
{
	int fd = socket(address->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int result;

	if (fd < 0)
		return -errno;
	result = set_options(fd, address, shared);
	if (!result && bind(fd, &address->sa, address->len))
		result = -errno;
	if (!result && listen(fd, BACKLOG))
		result = -errno;
	if (!result)
		return fd;
	(void)close(fd);
	return result;
}

static const char *cure(int error)
{
	switch (-error) {
	case EADDRINUSE:
		return "another program listens there: stop it, or choose "
		       "another port";
	case EACCES:
		return "ports below 1024 need root, CAP_NET_BIND_SERVICE, or "
		       "lanes with an sk_lookup program";
	case EADDRNOTAVAIL: return "this machine has no such address";
	case EMFILE: return "raise the limit of open files (LimitNOFILE=)";
	case ENOSPC: return "fewer addresses, or fewer workers";
	case EOPNOTSUPP:
		return "only an sk_lookup program leads to a range, and the "
		       "log of the start says why there is none";
	default: return "check `address`";
	}
}

/* SO_REUSEPORT would share a port with any process of our user: not here. */
static int bind_alone(const struct config_address *address)
{
	int fd = socket(address->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int result = 0;

	if (fd < 0)
		return -errno;
	(void)set_option(fd, SOL_SOCKET, SO_REUSEADDR);
	if (address->sa.sa_family == AF_INET6)
		(void)set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY);
	if (bind(fd, &address->sa, address->len))
		result = -errno;
	(void)close(fd);
	return result;
}

/*
 * Whether somebody else has the port. Workers whose supervisor was killed let
 * theirs go within moments, so a start asks for a busy port again for a while.
 */
static int probe_free(const struct config_address *address, bool patient)
{
	const struct timespec pause = { .tv_nsec = PROBE_PAUSE_MS * 1000000 };
	const int tries = patient ? PROBE_TRIES : 0;
	int result = bind_alone(address);

	for (int i = 0; result == -EADDRINUSE && i < tries; i++) {
		(void)nanosleep(&pause, NULL);
		result = bind_alone(address);
	}
	return result;
}

/*
 * True when a socket of ours has that port, on whatever address: it would be in
 * the way of the probe (a reload that goes from 0.0.0.0 to one address).
 */
static bool is_our_port(const struct sockets *s,
			const struct config_address *address)
{
	for (uint32_t i = 0; i < s->n; i++) {
		struct sockaddr_in6 name = { 0 };
		socklen_t len = sizeof(name);

		/* Both families have the port in the same place. */
		if (!getsockname(s->entries[i].fd, (struct sockaddr *)&name,
				 &len) &&
		    name.sin6_port == address->in6.sin6_port)
			return true;
	}
	return false;
}

/* In nobody's way: only a program sends connections there. */
static int listen_hidden(const struct config_address *address)
{
	struct config_address hidden = { .in = { .sin_family = AF_INET },
					 .len = address->len };

	if (address->sa.sa_family == AF_INET6)
		hidden.in6 = (struct sockaddr_in6){
			.sin6_family = AF_INET6,
			.sin6_addr = IN6ADDR_LOOPBACK_INIT,
		};
	else
		hidden.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return listen_on(&hidden, false);
}

static int listen_openly(const struct sockets *s,
			 const struct config_address *address)
{
	int result = 0;

	if (!is_our_port(s, address))
		result = probe_free(address, s->patient);
	return result ? result : listen_on(address, true);
}

static int bind_one(struct sockets *s, const struct config_address *address,
		    uint32_t worker, bool openly)
{
	struct sockets_entry *e = &s->entries[s->n];
	uint32_t service = service_for(s, address->text);
	int fd;

	if (s->n == SOCKETS_MAX || service == CONFIG_SERVICES_MAX)
		return -ENOSPC;
	fd = openly ? listen_openly(s, address) : listen_hidden(address);
	/* A port that is not ours to bind: the program leads there, too. */
	if (fd == -EACCES && s->reach == SOCKETS_HIDDEN)
		fd = listen_hidden(address);
	if (fd < 0)
		return fd;
	*e = (struct sockets_entry){ .worker = worker,
				     .service = service,
				     .fd = fd };
	(void)snprintf(e->address, sizeof(e->address), "%s", address->text);
	s->n++;
	return 0;
}

/*
 * `own`: of the listener's lane. Nobody can listen on a range, and never on
 * more than the range instead: there a program has to lead.
 */
static int ensure(struct sockets *s, const struct config_address *address,
		  uint32_t worker, bool own)
{
	const bool shows = own || s->reach == SOCKETS_SHARED;

	if (find(s, address->text, worker))
		return 0;
	if (address->range_bits && s->reach != SOCKETS_HIDDEN)
		return -EOPNOTSUPP;
	if (!own && s->reach == SOCKETS_OWN_LANE)
		return 0;
	return bind_one(s, address, worker, shows && !address->range_bits);
}

static int bind_listener(struct sockets *s, const struct config *config,
			 uint32_t listener, uint32_t workers, struct buf *error)
{
	const struct config_listener *l = &config->listeners[listener];
	const uint32_t lane = lane_of_listener(config, l);

	for (uint32_t a = 0; a < l->addresses_n; a++) {
		for (uint32_t w = 0; w < workers; w++) {
			const struct config_address *address = &l->addresses[a];
			bool own = lane_of_worker(config, w) == lane;
			int result = ensure(s, address, w, own);

			if (!result)
				continue;
			buf_printf(error,
				   "%s:%u: listener \"%s\": cannot listen on "
				   "%s: %s: %s\n",
				   config->file, l->line, l->name,
				   address->text, strerrordesc_np(-result),
				   cure(result));
			return result;
		}
	}
	return 0;
}

/* Everything is bound: from now on the entries say what `config` wants. */
static void assign(struct sockets *s, const struct config *config,
		   uint32_t workers)
{
	for (uint32_t i = 0; i < s->n; i++) {
		struct sockets_entry *e = &s->entries[i];

		e->wanted = false;
		for (uint32_t l = 0; l < config->listeners_n; l++) {
			if (e->worker >= workers ||
			    !names(&config->listeners[l], e->address))
				continue;
			e->listener = l;
			e->wanted = true;
		}
	}
}

int sockets_bind(struct sockets *s, const struct config *config,
		 uint32_t workers, struct buf *error)
{
	const uint32_t before = s->n;
	int result = 0;

	for (uint32_t i = 0; i < config->listeners_n && !result; i++)
		result = bind_listener(s, config, i, workers, error);
	while (result && s->n > before)
		(void)close(s->entries[--s->n].fd);
	if (!result)
		assign(s, config, workers);
	return result;
}

/* One address has one number, and no other has it. */
static bool service_fits(const struct sockets *s, const struct sockets_entry *e)
{
	for (uint32_t i = 0; i < s->n; i++)
		if ((s->entries[i].service == e->service) !=
		    !strcmp(s->entries[i].address, e->address))
			return false;
	return e->service < CONFIG_SERVICES_MAX;
}

bool sockets_take(struct sockets *s, const struct sockets_entry *e)
{
	int listens = 0;
	socklen_t len = sizeof(listens);

	if (s->n == SOCKETS_MAX || find(s, e->address, e->worker) ||
	    !service_fits(s, e) ||
	    getsockopt(e->fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) ||
	    !listens)
		return false;
	s->entries[s->n++] = *e;
	return true;
}

void sockets_prune(struct sockets *s)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < s->n; i++) {
		if (s->entries[i].wanted)
			s->entries[kept++] = s->entries[i];
		else
			(void)close(s->entries[i].fd);
	}
	s->n = kept;
}

void sockets_close_but(struct sockets *s, uint32_t worker)
{
	for (uint32_t i = 0; i < s->n; i++)
		s->entries[i].wanted = s->entries[i].worker == worker;
	sockets_prune(s);
}
