/*
 * Listening sockets: shared by workers, kept over reloads, never half changed.
 * All on loopback addresses of this test's own, at ports that are free.
 */
#include "super/sockets.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define HOST    "127.83.79.1" /* any in 127/8 is local */
#define TEXTS   8
#define WORKERS 2

/* Who holds a port may let go while we wait for it: here, at the second try. */
static int leaving_fd;
static uint32_t naps_n;

int nanosleep(const struct timespec *wanted, struct timespec *rest)
{
	if (++naps_n == 2 && leaving_fd >= 0) {
		(void)close(leaving_fd);
		leaving_fd = -1;
	}
	return 0;
}

static struct sockets sockets;
static struct config config;
static struct buf error;
static char error_text[1024];
static char texts[TEXTS][64];
static uint32_t texts_n;

static int setup(void **state)
{
	memset(&sockets, 0, sizeof(sockets));
	memset(&config, 0, sizeof(config));
	memset(error_text, 0, sizeof(error_text));
	buf_init(&error, (uint8_t *)error_text, sizeof(error_text) - 1);
	config.file = "t.conf";
	texts_n = 0;
	leaving_fd = -1;
	naps_n = 0;
	return 0;
}

static int teardown(void **state)
{
	sockets_close_but(&sockets, SOCKETS_NO_WORKER);
	return 0;
}

static struct config_address make_address(const char *host, uint16_t port)
{
	struct config_address a = { .text = texts[texts_n] };
	bool six = strchr(host, ':');

	assert_in_range(texts_n, 0, TEXTS - 1);
	(void)snprintf(texts[texts_n++], sizeof(texts[0]),
		       six ? "[%s]:%u" : "%s:%u", host, port);
	if (six) {
		a.in6.sin6_family = AF_INET6;
		a.in6.sin6_port = htons(port);
		a.len = sizeof(a.in6);
		assert_int_equal(inet_pton(AF_INET6, host, &a.in6.sin6_addr),
				 1);
	} else {
		a.in.sin_family = AF_INET;
		a.in.sin_port = htons(port);
		a.len = sizeof(a.in);
		assert_int_equal(inet_pton(AF_INET, host, &a.in.sin_addr), 1);
	}
	return a;
}

static uint32_t add_listener(const char *name)
{
	struct config_listener *l = &config.listeners[config.listeners_n];

	*l = (struct config_listener){ .name = name,
				       .line = config.listeners_n + 11 };
	return config.listeners_n++;
}

static void add_address(const char *host, uint16_t port)
{
	struct config_listener *l = &config.listeners[config.listeners_n - 1];

	l->addresses[l->addresses_n++] = make_address(host, port);
}

static void add_range(const char *host, uint16_t port, uint8_t bits)
{
	struct config_listener *l = &config.listeners[config.listeners_n - 1];
	struct config_address a = make_address(host, port);

	a.range_bits = bits;
	(void)snprintf(texts[texts_n - 1], sizeof(texts[0]), "%s/%u:%u", host,
		       bits, port);
	l->addresses[l->addresses_n++] = a;
}

static int foreign(const char *host, uint16_t port, bool reuseport)
{
	struct config_address a = make_address(host, port);
	int fd = socket(a.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const int on = reuseport;

	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
	assert_int_equal(bind(fd, &a.sa, a.len), 0);
	assert_int_equal(listen(fd, 1), 0);
	return fd;
}

static uint16_t port_of(int fd)
{
	struct sockaddr_in6 name = { 0 };
	socklen_t len = sizeof(name);

	assert_int_equal(getsockname(fd, (struct sockaddr *)&name, &len), 0);
	return ntohs(name.sin6_port);
}

/* One that nobody has now, on any address. */
static uint16_t free_port(void)
{
	int fd = foreign("0.0.0.0", 0, false);
	uint16_t port = port_of(fd);

	(void)close(fd);
	texts_n--;
	return port;
}

static void bind_good(void)
{
	assert_int_equal(sockets_bind(&sockets, &config, WORKERS, &error), 0);
	assert_string_equal(error_text, "");
}

static int option_of(int fd, int level, int option)
{
	int value = -1;
	socklen_t len = sizeof(value);

	assert_int_equal(getsockopt(fd, level, option, &value, &len), 0);
	return value;
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static int connect_to(const char *host, uint16_t port)
{
	struct config_address a = make_address(host, port);
	int fd = socket(a.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	texts_n--;
	assert_int_equal(connect(fd, &a.sa, a.len), 0);
	return fd;
}

static bool has_waiting(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

/* ---- binding ------------------------------------------------------------- */

static void workers_share_a_port(void **state)
{
	uint16_t port = free_port();
	uint32_t got[WORKERS] = { 0 };
	int fds[64];

	(void)add_listener("a");
	add_address(HOST, port);
	bind_good();
	assert_int_equal(sockets.n, WORKERS);
	for (uint32_t i = 0; i < WORKERS; i++) {
		assert_int_equal(sockets.entries[i].worker, i);
		assert_int_equal(port_of(sockets.entries[i].fd), port);
	}
	for (int i = 0; i < 64; i++)
		fds[i] = connect_to(HOST, port);
	for (uint32_t i = 0; i < WORKERS; i++) {
		while (has_waiting(sockets.entries[i].fd)) {
			int fd = accept(sockets.entries[i].fd, NULL, NULL);

			assert_int_equal(
				option_of(fd, IPPROTO_TCP, TCP_NODELAY), 1);
			(void)close(fd);
			got[i]++;
		}
	}
	assert_int_equal(got[0] + got[1], 64);
	assert_true(got[0] && got[1]);
	for (int i = 0; i < 64; i++)
		(void)close(fds[i]);
}

static void sockets_are_set_up(void **state)
{
	(void)add_listener("a");
	add_address(HOST, free_port());
	bind_good();
	for (uint32_t i = 0; i < sockets.n; i++) {
		int fd = sockets.entries[i].fd;

		assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
		assert_true(option_of(fd, SOL_SOCKET, SO_ACCEPTCONN));
		assert_true(option_of(fd, SOL_SOCKET, SO_REUSEPORT));
		assert_true(option_of(fd, SOL_SOCKET, SO_REUSEADDR));
	}
}

static void both_families_have_the_same_port(void **state)
{
	uint16_t port = free_port();

	(void)add_listener("a");
	add_address("0.0.0.0", port);
	add_address("::", port);
	bind_good();
	assert_int_equal(sockets.n, 2 * WORKERS);
	for (uint32_t i = WORKERS; i < sockets.n; i++)
		assert_true(option_of(sockets.entries[i].fd, IPPROTO_IPV6,
				      IPV6_V6ONLY));
}

static void entries_know_their_listener(void **state)
{
	uint16_t port = free_port();

	(void)add_listener("a");
	add_address(HOST, port);
	(void)add_listener("b");
	add_address("127.83.79.2", port);
	add_address("127.83.79.3", port);
	bind_good();
	assert_int_equal(sockets.n, 3 * WORKERS);
	for (uint32_t i = 0; i < sockets.n; i++) {
		const struct sockets_entry *e = &sockets.entries[i];

		assert_int_equal(e->listener, !strstr(e->address, HOST));
		assert_true(e->wanted);
	}
}

/* ---- lanes --------------------------------------------------------------- */

static const struct sockets_entry *entry_of(uint32_t worker)
{
	for (uint32_t i = 0; i < sockets.n; i++)
		if (sockets.entries[i].worker == worker)
			return &sockets.entries[i];
	return NULL;
}

/* Worker 0 is of the listener's lane, worker 1 is not. */
static uint16_t bind_lanes(enum sockets_reach reach)
{
	uint16_t port = free_port();

	config.lanes[0] = (struct config_lane){ .name = "own", .workers = 1 };
	config.lanes[1] = (struct config_lane){ .name = "other", .workers = 1 };
	config.lanes_n = 2;
	sockets.reach = reach;
	config.listeners[add_listener("a")].lane = "own";
	add_address(HOST, port);
	bind_good();
	return port;
}

static void own_lane_alone(void **state)
{
	uint16_t port = bind_lanes(SOCKETS_OWN_LANE);

	assert_int_equal(sockets.n, 1);
	assert_int_equal(port_of(entry_of(0)->fd), port);
}

static void lanes_share_a_port(void **state)
{
	uint16_t port = bind_lanes(SOCKETS_SHARED);

	assert_int_equal(port_of(entry_of(0)->fd), port);
	assert_int_equal(port_of(entry_of(1)->fd), port);
}

/* Nothing but a program leads there: the port is any, the address local. */
static void other_lanes_are_hidden(void **state)
{
	uint16_t port = bind_lanes(SOCKETS_HIDDEN);
	struct sockaddr_in name = { 0 };
	socklen_t len = sizeof(name);
	int fd;

	assert_int_equal(port_of(entry_of(0)->fd), port);
	fd = entry_of(1)->fd;
	assert_int_not_equal(port_of(fd), port);
	assert_false(option_of(fd, SOL_SOCKET, SO_REUSEPORT));
	assert_int_equal(getsockname(fd, (struct sockaddr *)&name, &len), 0);
	assert_int_equal(name.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
	bind_good(); /* as at a reload: nothing new */
	assert_int_equal(sockets.n, 2);
}

/* Not of the kernel's address: a program leads there, or nobody listens. */
static void a_range_is_hidden(void **state)
{
	uint16_t port = bind_lanes(SOCKETS_HIDDEN);

	add_range("127.83.79.0", port, 24);
	bind_good();
	assert_int_equal(sockets.n, 4);
	for (uint32_t i = 2; i < 4; i++) {
		const struct sockets_entry *e = &sockets.entries[i];
		struct sockaddr_in name = { 0 };
		socklen_t len = sizeof(name);

		assert_string_equal(e->address, texts[1]);
		assert_int_equal(
			getsockname(e->fd, (struct sockaddr *)&name, &len), 0);
		assert_int_equal(name.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
		assert_int_not_equal(ntohs(name.sin_port), port);
	}
	bind_good(); /* as at a reload: nothing new */
	assert_int_equal(sockets.n, 4);
}

static void addresses_have_numbers(void **state)
{
	uint16_t port = free_port();

	(void)add_listener("a");
	add_address(HOST, port);
	add_address("127.83.79.2", port);
	bind_good();
	assert_int_equal(sockets_service(&sockets, texts[0]), 0);
	assert_int_equal(sockets_service(&sockets, texts[1]), 1);
	config.listeners[0].addresses[0] = config.listeners[0].addresses[1];
	config.listeners[0].addresses_n = 1;
	bind_good();
	sockets_prune(&sockets);
	assert_int_equal(sockets_service(&sockets, texts[1]), 1);
	add_address("127.83.79.3", port); /* takes the number that is free */
	bind_good();
	assert_int_equal(sockets_service(&sockets, texts[2]), 0);
	for (uint32_t i = 0; i < sockets.n; i++)
		assert_int_equal(sockets.entries[i].service,
				 strcmp(sockets.entries[i].address, texts[2]) !=
					 0);
}

/* ---- what can be in the way ---------------------------------------------- */

static void fails(int wanted, const char *line)
{
	uint32_t before = sockets.n;
	int result = sockets_bind(&sockets, &config, WORKERS, &error);

	assert_int_equal(result, wanted);
	assert_string_equal(error_text, line);
	assert_int_equal(sockets.n, before);
}

static void says_who_is_in_the_way(void **state)
{
	for (int reuseport = 0; reuseport < 2; reuseport++) {
		uint16_t port = free_port(), other = free_port();
		int fd = foreign(HOST, port, reuseport);
		char line[256];

		(void)setup(NULL);
		(void)add_listener("first");
		add_address(HOST, other);
		(void)add_listener("second");
		add_address(HOST, port);
		(void)snprintf(line, sizeof(line),
			       "t.conf:12: listener \"second\": cannot listen "
			       "on " HOST ":%u: Address already in use: "
			       "another program listens there: stop it, or "
			       "choose another port\n",
			       port);
		fails(-EADDRINUSE, line);
		(void)close(fd);
		(void)close(foreign(HOST, other, false)); /* free again */
	}
}

/* Workers of a supervisor that was killed leave a moment after it. */
static void waits_for_who_is_leaving(void **state)
{
	uint16_t port = free_port();

	leaving_fd = foreign(HOST, port, true);
	(void)add_listener("a");
	add_address(HOST, port);
	/* A reload has others to serve meanwhile. */
	assert_int_equal(sockets_bind(&sockets, &config, WORKERS, &error),
			 -EADDRINUSE);
	assert_int_equal(naps_n, 0);
	memset(error_text, 0, sizeof(error_text));
	sockets.patient = true;
	bind_good();
	assert_int_equal(sockets.n, WORKERS);
	assert_int_equal(naps_n, 2);
}

static void says_when_the_address_is_not_ours(void **state)
{
	(void)add_listener("a");
	add_address("192.0.2.1", 4465); /* TEST-NET-1 */
	fails(-EADDRNOTAVAIL,
	      "t.conf:11: listener \"a\": cannot listen on 192.0.2.1:4465: "
	      "Cannot assign requested address: this machine has no such "
	      "address\n");
}

/* Neither at start nor at a reload is it served as anything else. */
static void a_range_needs_a_program(void **state)
{
	static const enum sockets_reach without[] = { SOCKETS_OWN_LANE,
						      SOCKETS_SHARED };

	for (int i = 0; i < 2; i++) {
		char line[256];

		(void)setup(state);
		(void)bind_lanes(without[i]);
		add_range("127.83.79.0", 25, 24);
		(void)snprintf(
			line, sizeof(line),
			"t.conf:11: listener \"a\": cannot listen on %s: "
			"Operation not supported: only an sk_lookup "
			"program leads to a range, and the log of the "
			"start says why there is none\n",
			texts[1]);
		fails(-EOPNOTSUPP, line);
		(void)teardown(state);
	}
}

static void the_table_is_bounded(void **state)
{
	uint16_t port = free_port();

	sockets.n = SOCKETS_MAX - 1;
	for (uint32_t i = 0; i < sockets.n; i++)
		sockets.entries[i] = (struct sockets_entry){ .fd = -1 };
	(void)add_listener("a");
	add_address(HOST, port);
	assert_int_equal(sockets_bind(&sockets, &config, WORKERS, &error),
			 -ENOSPC);
	assert_non_null(strstr(error_text, "fewer addresses"));
	assert_int_equal(sockets.n, SOCKETS_MAX - 1);
	(void)close(foreign(HOST, port, false));
}

/* ---- reload -------------------------------------------------------------- */

static void a_reload_keeps_sockets_and_who_waits_in_them(void **state)
{
	uint16_t port = free_port();
	int fds[WORKERS];
	int client;

	(void)add_listener("a");
	add_address(HOST, port);
	bind_good();
	for (uint32_t i = 0; i < WORKERS; i++)
		fds[i] = sockets.entries[i].fd;
	client = connect_to(HOST, port);
	add_address(HOST, free_port());
	bind_good();
	sockets_prune(&sockets);
	assert_int_equal(sockets.n, 2 * WORKERS);
	for (uint32_t i = 0; i < WORKERS; i++)
		assert_int_equal(sockets.entries[i].fd, fds[i]);
	assert_true(has_waiting(fds[0]) || has_waiting(fds[1]));
	(void)close(client);
}

static void a_reload_closes_what_is_named_no_more(void **state)
{
	uint16_t port = free_port();
	int gone;

	(void)add_listener("a");
	add_address(HOST, port);
	(void)add_listener("b");
	add_address(HOST, free_port());
	bind_good();
	gone = sockets.entries[WORKERS].fd;
	config.listeners_n = 1;
	bind_good();
	assert_true(is_open(gone)); /* the new ones may still fail */
	sockets_prune(&sockets);
	assert_false(is_open(gone));
	assert_int_equal(sockets.n, WORKERS);
	assert_int_equal(port_of(sockets.entries[0].fd), port);
}

static void a_reload_moves_addresses_between_listeners(void **state)
{
	struct config_listener first;

	(void)add_listener("a");
	add_address(HOST, free_port());
	(void)add_listener("b");
	add_address(HOST, free_port());
	bind_good();
	first = config.listeners[0];
	config.listeners[0] = config.listeners[1];
	config.listeners[1] = first;
	bind_good();
	assert_int_equal(sockets.n, 2 * WORKERS);
	for (uint32_t i = 0; i < sockets.n; i++)
		assert_int_equal(sockets.entries[i].listener, i < WORKERS);
}

/*
 * A restarted worker of the old configuration looks its listener up by the
 * index in the entry: that of a configuration that was refused is another
 * listener, or none.
 */
static void a_refused_reload_changes_nothing(void **state)
{
	struct sockets before;
	uint16_t busy = free_port();
	int fd = foreign(HOST, busy, false);

	(void)add_listener("a");
	add_address(HOST, free_port());
	(void)add_listener("b");
	add_address(HOST, free_port());
	bind_good();
	before = sockets;
	config.listeners[0] = config.listeners[1]; /* "a" is gone */
	config.listeners_n = 1;
	(void)add_listener("c");
	add_address(HOST, busy);
	assert_int_equal(sockets_bind(&sockets, &config, WORKERS, &error),
			 -EADDRINUSE);
	assert_int_equal(sockets.n, before.n);
	assert_memory_equal(sockets.entries, before.entries,
			    before.n * sizeof(before.entries[0]));
	sockets_prune(&sockets);
	assert_int_equal(sockets.n, before.n);
	(void)close(fd);
}

/* What is in the way is our own: no reason to refuse the reload. */
static void a_reload_narrows_and_widens_an_address(void **state)
{
	static const char *const hosts[] = { "0.0.0.0", HOST, "0.0.0.0" };
	uint16_t port = free_port();

	(void)add_listener("a");
	for (int i = 0; i < 3; i++) {
		config.listeners[0].addresses_n = 0;
		add_address(hosts[i], port);
		bind_good();
		sockets_prune(&sockets);
		assert_int_equal(sockets.n, WORKERS);
		(void)close(connect_to(HOST, port));
	}
	assert_int_equal(naps_n, 0);
}

/* ---- in a child ---------------------------------------------------------- */

static void a_child_keeps_its_own(void **state)
{
	int fds[2 * WORKERS];

	(void)add_listener("a");
	add_address(HOST, free_port());
	add_address(HOST, free_port());
	bind_good();
	for (uint32_t i = 0; i < 2 * WORKERS; i++)
		fds[i] = sockets.entries[i].fd;
	sockets_close_but(&sockets, 1);
	assert_int_equal(sockets.n, 2);
	for (uint32_t i = 0; i < 2 * WORKERS; i++)
		assert_int_equal(is_open(fds[i]), i % WORKERS == 1);
	for (uint32_t i = 0; i < sockets.n; i++)
		assert_int_equal(sockets.entries[i].worker, 1);
	sockets_close_but(&sockets, SOCKETS_NO_WORKER);
	assert_int_equal(sockets.n, 0);
	for (uint32_t i = 0; i < 2 * WORKERS; i++)
		assert_false(is_open(fds[i]));
}

/* What another supervisor hands over: it listens, and its number fits. */
static void takes_over_what_listens(void **state)
{
	struct sockets_entry e = { .address = "127.0.0.1:465", .worker = 1 };
	int pair[2];

	e.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_false(sockets_take(&sockets, &e)); /* not yet */
	assert_int_equal(listen(e.fd, 1), 0);
	e.service = CONFIG_SERVICES_MAX;
	assert_false(sockets_take(&sockets, &e));
	e.service = 3;
	assert_true(sockets_take(&sockets, &e));
	assert_false(sockets_take(&sockets, &e)); /* there is one */
	e.worker = 2;
	e.service = 4;
	assert_false(sockets_take(&sockets, &e)); /* it has another number */
	e.service = 3;
	(void)snprintf(e.address, sizeof(e.address), "127.0.0.1:587");
	assert_false(sockets_take(&sockets, &e)); /* the other's number */
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	e = (struct sockets_entry){ .address = "x", .fd = pair[0] };
	assert_false(sockets_take(&sockets, &e));
	(void)close(pair[0]);
	(void)close(pair[1]);
	assert_int_equal(sockets.n, 1);
	assert_int_equal(sockets_service(&sockets, "127.0.0.1:465"), 3);
}

#define SOCKETS_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SOCKETS_TEST(workers_share_a_port),
		SOCKETS_TEST(sockets_are_set_up),
		SOCKETS_TEST(both_families_have_the_same_port),
		SOCKETS_TEST(entries_know_their_listener),
		SOCKETS_TEST(own_lane_alone),
		SOCKETS_TEST(lanes_share_a_port),
		SOCKETS_TEST(other_lanes_are_hidden),
		SOCKETS_TEST(a_range_is_hidden),
		SOCKETS_TEST(addresses_have_numbers),
		SOCKETS_TEST(says_who_is_in_the_way),
		SOCKETS_TEST(waits_for_who_is_leaving),
		SOCKETS_TEST(says_when_the_address_is_not_ours),
		SOCKETS_TEST(a_range_needs_a_program),
		SOCKETS_TEST(the_table_is_bounded),
		SOCKETS_TEST(takes_over_what_listens),
		SOCKETS_TEST(a_reload_keeps_sockets_and_who_waits_in_them),
		SOCKETS_TEST(a_reload_closes_what_is_named_no_more),
		SOCKETS_TEST(a_reload_moves_addresses_between_listeners),
		SOCKETS_TEST(a_refused_reload_changes_nothing),
		SOCKETS_TEST(a_reload_narrows_and_widens_an_address),
		SOCKETS_TEST(a_child_keeps_its_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
