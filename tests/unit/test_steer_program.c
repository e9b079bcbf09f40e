/*
 * bpf/steer.bpf.c by itself: connections that nobody makes, by
 * BPF_PROG_TEST_RUN, to listeners of this test.
 */
#include "../../bpf/shared.h"
#include "base/prefix.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <bpf/bpf.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <steer.skel.h>

#define WORKERS 4 /* 0, 1: lane 0; 2, 3: lane 1 */
#define SERVICE 5
#define PORT    465
#define ROUNDS  64

static struct steer_bpf *programs;
static int fds[WORKERS];
static uint64_t cookies[WORKERS];

static uint64_t cookie_of(int fd)
{
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);

	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len),
			 0);
	return cookie;
}

/* Takes v4 and v6 alike. */
static int listen_somewhere(void)
{
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(listen(fd, 8), 0);
	return fd;
}

#define put(map, key, value)                                                   \
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(map), (key), (value), \
					     BPF_ANY),                         \
			 0)

static void put_listener(uint32_t worker, int fd)
{
	uint32_t slot = shared_slot(worker, SERVICE);
	uint64_t value = (uint64_t)fd;

	put(programs->maps.listeners, &slot, &value);
}

static void take_listener(uint32_t worker)
{
	uint32_t slot = shared_slot(worker, SERVICE);

	(void)bpf_map_delete_elem(bpf_map__fd(programs->maps.listeners), &slot);
}

static void put_lane(uint32_t index, uint32_t choose)
{
	struct shared_lane lane = { .first = index * 2,
				    .workers_n = 2,
				    .choose = choose };

	for (uint32_t i = 0; i < SHARED_SPREAD; i++)
		lane.spread[i] = (uint8_t)(i % 2);
	put(programs->maps.lanes, &index, &lane);
}

static struct prefix prefix(const char *text)
{
	struct prefix p;

	assert_true(prefix_parse(span_str(text), &p));
	return p;
}

static void put_service(const char *text, uint16_t port, uint32_t lane)
{
	struct prefix p = prefix(text);
	struct shared_service_key key = { .bits = SHARED_SERVICE_BITS + p.bits,
					  .family = p.family,
					  .port = htons(port) };
	struct shared_service value = { SERVICE, lane };

	memcpy(key.address, p.address, sizeof(key.address));
	put(programs->maps.services, &key, &value);
}

static void put_source(const char *text, uint32_t lane)
{
	struct prefix p = prefix(text);
	struct shared_source_key key = { .bits = SHARED_SOURCE_BITS + p.bits,
					 .family = p.family };
	struct shared_source value = { lane, SHARED_CONFIGURED };

	memcpy(key.address, p.address, sizeof(key.address));
	put(programs->maps.sources, &key, &value);
}

struct connection {
	const char *from;
	const char *to;
	uint16_t from_port;
	uint16_t to_port;
};

/* The worker whose listener the program chose; -1: nobody's. */
static int run(struct connection c)
{
	struct prefix from = prefix(c.from), to = prefix(c.to);
	bool six = from.family == PREFIX_V6;
	struct bpf_sk_lookup ctx = {
		.family = six ? AF_INET6 : AF_INET,
		.protocol = IPPROTO_TCP,
		.remote_port = htons(c.from_port),
		.local_port = c.to_port,
	};
	LIBBPF_OPTS(bpf_test_run_opts, o, .ctx_in = &ctx, .ctx_out = &ctx,
		    .ctx_size_in = sizeof(ctx), .ctx_size_out = sizeof(ctx));

	if (six) {
		memcpy(ctx.remote_ip6, from.address, 16);
		memcpy(ctx.local_ip6, to.address, 16);
	} else {
		memcpy(&ctx.remote_ip4, from.address, 4);
		memcpy(&ctx.local_ip4, to.address, 4);
	}
	assert_int_equal(bpf_prog_test_run_opts(
				 bpf_program__fd(programs->progs.steer), &o),
			 0);
	assert_int_equal(o.retval, SK_PASS);
	for (int i = 0; i < WORKERS; i++)
		if (ctx.cookie == cookies[i])
			return i;
	assert_int_equal(ctx.cookie, 0);
	return -1;
}

static int lane_of(const char *from, const char *to, uint16_t to_port)
{
	int worker = run((struct connection){ from, to, 40000, to_port });

	return worker < 0 ? -1 : worker / 2;
}

/* How many of ROUNDS connections, from different ports, came to `worker`. */
static int came_to(int worker)
{
	int n = 0;

	for (uint16_t i = 0; i < ROUNDS; i++)
		n += run((struct connection){ "192.0.2.1", "198.51.100.1",
					      (uint16_t)(30000 + i), PORT }) ==
		     worker;
	return n;
}

static struct shared_count count_of(const struct bpf_map *map, uint32_t key)
{
	int cpus = libbpf_num_possible_cpus();
	struct shared_count each[256], sum = { 0 };

	assert_in_range(cpus, 1, 256);
	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(map), &key, each), 0);
	for (int i = 0; i < cpus; i++) {
		sum.chosen += each[i].chosen;
		sum.passed_over += each[i].passed_over;
	}
	return sum;
}

static int setup(void **state)
{
	programs = steer_bpf__open();
	assert_non_null(programs);
	if (steer_bpf__load(programs)) {
		steer_bpf__destroy(programs);
		programs = NULL;
		return 0;
	}
	put_lane(0, SHARED_BY_HASH);
	put_lane(1, SHARED_BY_HASH);
	for (uint32_t i = 0; i < WORKERS; i++) {
		fds[i] = listen_somewhere();
		cookies[i] = cookie_of(fds[i]);
		put_listener(i, fds[i]);
	}
	put_service("198.51.100.1", PORT, 0);
	return 0;
}

static int teardown(void **state)
{
	if (!programs)
		return 0;
	for (uint32_t i = 0; i < WORKERS; i++)
		(void)close(fds[i]);
	steer_bpf__destroy(programs);
	return 0;
}

static void need_bpf(void)
{
	if (programs)
		return;
	print_message("needs CAP_BPF and CAP_NET_ADMIN\n");
	skip();
}

static void test_services(void **state)
{
	need_bpf();
	put_service("0.0.0.0/0", 587, 1);
	put_service("203.0.113.0/24", PORT, 1);
	put_service("203.0.113.9", PORT, 0);
	put_service("2001:db8::/64", PORT, 1);
	put_service("0.0.0.0/0", 2525, 0);
	put_service("203.0.113.128/25", 2525, 1);
	assert_int_equal(lane_of("192.0.2.1", "198.51.100.1", PORT), 0);
	assert_int_equal(lane_of("192.0.2.1", "198.51.100.2", PORT), -1);
	assert_int_equal(lane_of("192.0.2.1", "198.51.100.1", PORT + 1), -1);
	assert_int_equal(lane_of("192.0.2.1", "198.51.100.2", 587), 1);
	assert_int_equal(lane_of("192.0.2.1", "203.0.113.200", PORT), 1);
	assert_int_equal(lane_of("192.0.2.1", "203.0.113.9", PORT), 0);
	assert_int_equal(lane_of("192.0.2.1", "203.0.113.127", 2525), 0);
	assert_int_equal(lane_of("192.0.2.1", "203.0.113.128", 2525), 1);
	assert_int_equal(lane_of("192.0.2.1", "203.0.113.255", 2525), 1);
	assert_int_equal(lane_of("2001:db8::1", "2001:db8::2", PORT), 1);
	assert_int_equal(lane_of("2001:db8::1", "2001:db8:1::2", PORT), -1);
	assert_int_equal(lane_of("2001:db8::1", "2001:db8::2", 587), -1);
}

static void test_sources(void **state)
{
	need_bpf();
	put_service("::/0", PORT, 0);
	put_source("192.0.2.0/24", 1);
	put_source("192.0.2.128/25", 0);
	put_source("2001:db8:7::/48", 1);
	assert_int_equal(lane_of("192.0.2.1", "198.51.100.1", PORT), 1);
	assert_int_equal(lane_of("192.0.2.129", "198.51.100.1", PORT), 0);
	assert_int_equal(lane_of("192.0.3.1", "198.51.100.1", PORT), 0);
	assert_int_equal(lane_of("2001:db8:7::9", "2001:db8::1", PORT), 1);
	assert_int_equal(lane_of("2001:db8:8::9", "2001:db8::1", PORT), 0);
	/* A v4 prefix says nothing about v6, whatever its bytes. */
	assert_int_equal(lane_of("c000:200::1", "2001:db8::1", PORT), 0);
}

static void test_hash(void **state)
{
	need_bpf();
	assert_in_range(came_to(0), ROUNDS / 4, ROUNDS * 3 / 4);
	assert_in_range(came_to(1), ROUNDS / 4, ROUNDS * 3 / 4);
	for (int i = 0; i < 4; i++) /* the same connection, the same worker */
		assert_int_equal(lane_of("192.0.2.1", "198.51.100.1", PORT), 0);
}

static void test_load(void **state)
{
	uint32_t one = 1;
	struct shared_load load = { .sessions = 10 };

	need_bpf();
	put_lane(0, SHARED_BY_LOAD);
	put(programs->maps.loads, &one, &load);
	assert_int_equal(came_to(0), ROUNDS);
	one = 0;
	load.sessions = 11;
	put(programs->maps.loads, &one, &load);
	assert_int_equal(came_to(1), ROUNDS);
}

/* Test runs happen on the CPU that we are on: one of them for each round. */
static void test_cpu(void **state)
{
	struct shared_lane lane = { .workers_n = 2, .choose = SHARED_BY_CPU };
	uint32_t zero = 0;

	need_bpf();
	memset(lane.spread, 1, sizeof(lane.spread));
	put(programs->maps.lanes, &zero, &lane);
	assert_int_equal(came_to(1), ROUNDS);
	memset(lane.spread, 0, sizeof(lane.spread));
	put(programs->maps.lanes, &zero, &lane);
	assert_int_equal(came_to(0), ROUNDS);
}

static void test_passed_over(void **state)
{
	struct shared_count of_worker, of_lane;
	int by_hash;

	need_bpf();
	by_hash = came_to(0);
	take_listener(0);
	assert_int_equal(came_to(1), ROUNDS);
	of_worker = count_of(programs->maps.worker_counts, 0);
	assert_int_equal(of_worker.chosen, by_hash);
	assert_int_equal(of_worker.passed_over, by_hash);
	of_worker = count_of(programs->maps.worker_counts, 1);
	assert_int_equal(of_worker.chosen, ROUNDS - by_hash + ROUNDS);
	take_listener(1);
	assert_int_equal(came_to(-1), ROUNDS);
	of_lane = count_of(programs->maps.lane_counts, 0);
	assert_int_equal(of_lane.chosen, 2 * ROUNDS);
	assert_int_equal(of_lane.passed_over, ROUNDS);
}

/* A listener that is closed leaves the map by itself. */
static void test_closed(void **state)
{
	need_bpf();
	(void)close(fds[0]);
	assert_int_equal(came_to(1), ROUNDS);
	fds[0] = listen_somewhere();
	cookies[0] = cookie_of(fds[0]);
	put_listener(0, fds[0]);
	assert_true(came_to(0) > 0);
}

static void test_udp(void **state)
{
	struct bpf_sk_lookup ctx = { .family = AF_INET,
				     .protocol = IPPROTO_UDP,
				     .local_port = PORT };
	LIBBPF_OPTS(bpf_test_run_opts, o, .ctx_in = &ctx, .ctx_out = &ctx,
		    .ctx_size_in = sizeof(ctx), .ctx_size_out = sizeof(ctx));

	need_bpf();
	put_service("0.0.0.0/0", PORT, 0);
	assert_int_equal(bpf_prog_test_run_opts(
				 bpf_program__fd(programs->progs.steer), &o),
			 0);
	assert_int_equal(o.retval, SK_PASS);
	assert_int_equal(ctx.cookie, 0);
	assert_int_equal(count_of(programs->maps.lane_counts, 0).passed_over,
			 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_services),    TEST(test_sources), TEST(test_hash),
		TEST(test_load),        TEST(test_cpu),     TEST(test_closed),
		TEST(test_passed_over), TEST(test_udp),
	};

	(void)libbpf_set_print(NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
