/*
 * Steering with real sockets, in a network namespace of this test's own and
 * with maps pinned on a bpffs of its own.
 */
#include "steer/steer.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <bpf/bpf.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORKERS 4 /* 0, 1: "bulk"; 2, 3: "desk" */
#define PORT    465
#define ROUNDS  24

static char folder[] = "/tmp/test-steer-XXXXXX";
static char pins[64];
static bool ready; /* namespaces could be made */
static struct steer *steer;
static struct steer_report report;
static struct steer_plan plan;
static struct steer_source sources[4];
static int fds[WORKERS];

static struct prefix prefix(const char *text)
{
	struct prefix p;

	assert_true(prefix_parse(span_str(text), &p));
	return p;
}

/* In the group of one address, or each at an address of its own. */
static int listen_at(const char *host, uint16_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	const int on = 1;

	assert_int_equal(inet_pton(AF_INET, host, &a.sin_addr), 1);
	if (port)
		assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on,
					    sizeof(on)),
				 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, 64), 0);
	return fd;
}

static void open_steer(enum steer_mode best, const char *where)
{
	const struct steer_options o = { .pins = where, .best = best };

	assert_int_equal(steer_open(&o, &report, &steer), 0);
}

static void make_plan(void)
{
	plan = (struct steer_plan){
		.lanes = { { .name = "bulk", .workers_n = 2 },
			   { .name = "desk", .first = 2, .workers_n = 2 } },
		.lanes_n = 2,
		.services = { { .local = prefix("127.0.0.0/8"),
				.port = PORT } },
		.services_n = 1,
		.sources = sources,
	};
}

static void put_listeners(const char *host, uint16_t port)
{
	for (uint32_t i = 0; i < WORKERS; i++) {
		fds[i] = listen_at(host, port);
		assert_int_equal(steer_put_listener(steer, i, 0, fds[i]), 0);
	}
}

static void apply(void)
{
	assert_int_equal(steer_apply(steer, &plan, &report), 0);
}

static void start(void)
{
	make_plan();
	open_steer(STEER_LOOKUP, pins);
	assert_int_equal(steer_mode(steer), STEER_LOOKUP);
	put_listeners("127.0.0.1", 0);
	apply();
}

static void stop(void)
{
	steer_close(steer);
	steer = NULL;
	for (uint32_t i = 0; i < WORKERS; i++) {
		(void)close(fds[i]);
		fds[i] = -1;
	}
}

/* The worker that a connection from there comes to. */
static uint32_t connect_from(const char *host)
{
	struct sockaddr_in from = { .sin_family = AF_INET };
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_port = htons(PORT) };
	struct sockaddr_in at = { 0 };
	struct pollfd polls[WORKERS];
	socklen_t len = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	(void)inet_pton(AF_INET, host, &from.sin_addr);
	(void)inet_pton(AF_INET, "127.4.5.6", &to.sin_addr);
	assert_int_equal(bind(fd, (struct sockaddr *)&from, sizeof(from)), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	for (uint32_t i = 0; i < WORKERS; i++)
		polls[i] = (struct pollfd){ fds[i], POLLIN, 0 };
	assert_int_equal(poll(polls, WORKERS, 10000), 1);
	for (uint32_t i = 0; i < WORKERS; i++) {
		int accepted;

		if (!polls[i].revents)
			continue;
		accepted = accept(fds[i], (struct sockaddr *)&at, &len);
		assert_true(accepted >= 0);
		assert_int_equal(at.sin_addr.s_addr, from.sin_addr.s_addr);
		assert_int_equal(
			getsockname(accepted, (struct sockaddr *)&at, &len), 0);
		assert_int_equal(at.sin_addr.s_addr, to.sin_addr.s_addr);
		assert_int_equal(at.sin_port, to.sin_port);
		(void)close(fd); /* ours: TIME_WAIT bothers nobody */
		(void)close(accepted);
		return i;
	}
	fail();
	return 0;
}

static uint32_t came_to(uint32_t worker, const char *host)
{
	uint32_t n = 0;

	for (int i = 0; i < ROUNDS; i++)
		n += connect_from(host) == worker;
	return n;
}

static void need_namespaces(void)
{
	if (ready)
		return;
	print_message("needs root, namespaces and CAP_BPF\n");
	skip();
}

static void test_lookup(void **state)
{
	need_namespaces();
	sources[0] = (struct steer_source){ prefix("127.7.0.0/16"), 1, false };
	start();
	plan.sources_n = 1;
	apply();
	for (int i = 0; i < ROUNDS; i++) {
		assert_in_range(connect_from("127.0.0.9"), 0, 1);
		assert_in_range(connect_from("127.7.0.9"), 2, 3);
	}
	assert_int_equal(steer_lane_count(steer, 0).chosen, ROUNDS);
	assert_int_equal(steer_lane_count(steer, 1).chosen, ROUNDS);
	assert_int_equal(steer_worker_count(steer, 0).chosen +
				 steer_worker_count(steer, 1).chosen,
			 ROUNDS);
	plan.sources_n = 0; /* as a reload would */
	apply();
	assert_in_range(connect_from("127.7.0.9"), 0, 1);
	stop();
}

static void test_reuseport(void **state)
{
	need_namespaces();
	make_plan();
	sources[0] = (struct steer_source){ prefix("127.7.0.0/16"), 1, false };
	plan.sources_n = 1;
	open_steer(STEER_REUSEPORT, pins);
	assert_int_equal(steer_mode(steer), STEER_REUSEPORT);
	put_listeners("0.0.0.0", PORT);
	apply();
	for (int i = 0; i < ROUNDS; i++) {
		assert_in_range(connect_from("127.0.0.9"), 0, 1);
		assert_in_range(connect_from("127.7.0.9"), 2, 3);
	}
	assert_int_equal(steer_lane_count(steer, 1).chosen, ROUNDS);
	stop();
}

static void test_weights_and_deaths(void **state)
{
	need_namespaces();
	start();
	assert_int_equal(steer_weight(steer, 0), STEER_WEIGHT_MOST);
	assert_int_equal(steer_weigh(steer, 0, 0), 0);
	assert_int_equal(came_to(1, "127.0.0.9"), ROUNDS);
	assert_int_equal(steer_set_down(steer, 1, true), 0);
	/* Nobody is left with a weight: both are as good. */
	assert_in_range(came_to(0, "127.0.0.9"), 1, ROUNDS - 1);
	assert_int_equal(steer_weigh(steer, 0, 1), 0);
	assert_int_equal(came_to(0, "127.0.0.9"), ROUNDS);
	assert_int_equal(steer_set_down(steer, 1, false), 0);
	assert_int_equal(steer_weigh(steer, 0, 0), 0);
	apply(); /* a reload leaves weights alone */
	assert_int_equal(came_to(1, "127.0.0.9"), ROUNDS);
	(void)close(fds[1]);
	fds[1] = -1;
	assert_int_equal(came_to(0, "127.0.0.9"), ROUNDS);
	assert_int_equal(steer_worker_count(steer, 1).passed_over, ROUNDS);
	stop();
}

static void test_load(void **state)
{
	need_namespaces();
	start();
	plan.lanes[0].choose = STEER_BY_LOAD;
	apply();
	atomic_store(&steer_load(steer, 0)->sessions, 7);
	atomic_store(&steer_load(steer, 1)->sessions, 6);
	assert_int_equal(came_to(1, "127.0.0.9"), ROUNDS);
	atomic_store(&steer_load(steer, 1)->sessions, 8);
	assert_int_equal(came_to(0, "127.0.0.9"), ROUNDS);
	stop();
}

/* A worker that is bound to a CPU takes what that CPU takes. */
static void test_cpu(void **state)
{
	cpu_set_t all, one;
	uint16_t cpu = 0;

	need_namespaces();
	assert_int_equal(sched_getaffinity(0, sizeof(all), &all), 0);
	while (!CPU_ISSET(cpu, &all))
		cpu++;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
	start();
	plan.lanes[0].choose = STEER_BY_CPU;
	plan.lanes[0].cpus_n = 2;
	plan.lanes[0].cpus[0] = (uint16_t)(cpu + 1);
	plan.lanes[0].cpus[1] = cpu;
	apply();
	assert_int_equal(came_to(1, "127.0.0.9"), ROUNDS);
	assert_int_equal(steer_weigh(steer, 1, 0), 0);
	assert_int_equal(came_to(0, "127.0.0.9"), ROUNDS);
	stop();
	assert_int_equal(sched_setaffinity(0, sizeof(all), &all), 0);
}

static uint32_t find_source(const char *text, struct steer_source *ret)
{
	struct steer_source found[8];
	uint32_t n = steer_sources(steer, found, 8);
	struct prefix wanted = prefix(text);

	for (uint32_t i = 0; i < n && i < 8; i++)
		if (!memcmp(&found[i].prefix, &wanted, sizeof(wanted)))
			*ret = found[i];
	return n;
}

static void test_restart(void **state)
{
	struct prefix desk = prefix("127.8.0.0/16"),
		      gone = prefix("127.9.0.0/16");
	struct steer_source found = { .lane = 99 };

	need_namespaces();
	sources[0] = (struct steer_source){ prefix("127.7.0.0/16"), 1, false };
	start();
	plan.sources_n = 1;
	plan.lanes_n = 3;
	plan.lanes[2] = (struct steer_lane){ .name = "gone",
					     .first = 4,
					     .workers_n = 1 };
	apply();
	assert_int_equal(steer_assign(steer, &desk, 1), 0);
	assert_int_equal(steer_assign(steer, &gone, 2), 0);
	assert_int_equal(steer_weigh(steer, 3, 0), 0);
	(void)connect_from("127.8.0.1");
	stop();
	/* Started again with its lanes in another order. */
	make_plan();
	plan.lanes[0].name = "desk";
	plan.lanes[1].name = "bulk";
	open_steer(STEER_LOOKUP, pins);
	put_listeners("127.0.0.1", 0);
	apply();
	assert_int_equal(find_source("127.8.0.0/16", &found), 1);
	assert_int_equal(found.lane, 0);
	assert_true(found.assigned);
	assert_int_equal(report.sources_dropped, 1);
	assert_int_equal(steer_weight(steer, 1), 0);
	assert_int_equal(steer_weight(steer, 3), STEER_WEIGHT_MOST);
	assert_int_equal(steer_worker_count(steer, 2).chosen, 0);
	assert_int_equal(connect_from("127.8.0.1"), 0);
	assert_int_equal(steer_weigh(steer, 1, 100), 0);
	assert_int_equal(steer_release(steer, &desk), 0);
	assert_int_equal(steer_release(steer, &desk), -ENOENT);
	stop();
}

/* What the operator assigned counts more than what is configured. */
static void test_assigned(void **state)
{
	struct prefix p = prefix("127.7.0.0/16");

	need_namespaces();
	sources[0] = (struct steer_source){ p, 1, false };
	start();
	plan.sources_n = 1;
	apply();
	assert_int_equal(steer_release(steer, &p), -ENOENT);
	assert_int_equal(steer_assign(steer, &p, 0), 0);
	assert_in_range(connect_from("127.7.0.9"), 0, 1);
	apply();
	assert_in_range(connect_from("127.7.0.9"), 0, 1);
	assert_int_equal(steer_release(steer, &p), 0);
	apply();
	assert_in_range(connect_from("127.7.0.9"), 2, 3);
	stop();
}

static void pin_foreign(uint32_t value_bytes, uint32_t version)
{
	uint8_t value[64] = { 0 };
	char path[128];
	uint32_t zero = 0;
	int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "settings", 4, value_bytes,
				1, NULL);

	assert_true(fd >= 0);
	memcpy(value, &version, sizeof(version));
	assert_int_equal(bpf_map_update_elem(fd, &zero, value, BPF_ANY), 0);
	(void)snprintf(path, sizeof(path), "%s/settings", pins);
	(void)unlink(path);
	assert_int_equal(bpf_obj_pin(fd, path), 0);
	(void)close(fd);
}

static void test_other_version(void **state)
{
	need_namespaces();
	start();
	assert_false(report.pins_replaced);
	stop();
	pin_foreign(8, 99);
	start();
	assert_true(report.pins_replaced);
	assert_int_equal(report.pins_version, 99);
	(void)connect_from("127.0.0.9");
	stop();
	pin_foreign(16, 0); /* the layout alone tells */
	start();
	assert_true(report.pins_replaced);
	(void)connect_from("127.0.0.9");
	stop();
	start();
	assert_false(report.pins_replaced);
	stop();
}

/* What arrives at a successor over a socket, and it opens. */
static int go_on(const struct steer_passed *passed, struct steer **ret)
{
	struct steer_passed copies = *passed;
	const struct steer_options o = { .pins = pins, .passed = &copies };

	for (uint32_t i = 0; i < copies.fds.fds_n; i++)
		copies.fds.fds[i] = dup(passed->fds.fds[i]);
	return steer_open(&o, &report, ret);
}

/* Which program is attached to this network namespace, alone. */
static uint32_t attached(void)
{
	uint32_t ids[4] = { 0 }, n = 4;
	int net = open("/proc/self/ns/net", O_RDONLY);

	assert_int_equal(bpf_prog_query(net, BPF_SK_LOOKUP, 0, NULL, ids, &n),
			 0);
	assert_int_equal(n, 1);
	(void)close(net);
	return ids[0];
}

/* The successor's program takes the place of the old one, which lets go. */
static void hand_over(void)
{
	struct steer *old = steer;
	struct steer_passed passed;

	steer_pass(old, &passed);
	assert_int_equal(go_on(&passed, &steer), 0);
	assert_int_equal(steer_mode(steer), passed.mode);
	for (uint32_t i = 0; i < WORKERS; i++)
		assert_int_equal(steer_put_listener(steer, i, 0, fds[i]), 0);
	apply();
	steer_let_go(old);
	assert_int_equal(steer_mode(old), STEER_PLAIN);
	assert_int_equal(steer_set_down(old, 0, true), 0);
	steer_close(old);
}

static void test_passed(void **state)
{
	const struct steer_options o = { .pins = pins, .best = STEER_LOOKUP };
	struct prefix p = prefix("127.7.0.0/16");
	struct steer *second = NULL;

	need_namespaces();
	start();
	assert_int_equal(steer_assign(steer, &p, 1), 0);
	assert_int_equal(steer_weigh(steer, 0, 0), 0);
	assert_in_range(connect_from("127.7.0.9"), 2, 3);
	for (int i = 0; i < 3; i++) {
		uint32_t before = attached();

		hand_over();
		assert_int_not_equal(attached(), before);
	}
	assert_in_range(connect_from("127.7.0.9"), 2, 3);
	assert_int_equal(came_to(1, "127.0.0.9"), ROUNDS);
	assert_int_equal(steer_lane_count(steer, 1).chosen, 2);
	assert_int_equal(steer_worker_count(steer, 1).passed_over, 0);
	assert_int_equal(steer_open(&o, &report, &second), -EBUSY);
	stop();
}

/* Whichever program is attached, the old one's is again once it says so. */
static void test_passed_in_vain(void **state)
{
	struct steer_passed passed;
	struct steer *second = NULL;
	uint32_t ours;

	need_namespaces();
	start();
	ours = attached();
	steer_pass(steer, &passed);
	assert_int_equal(go_on(&passed, &second), 0);
	assert_int_equal(attached(), ours); /* until it has a plan */
	assert_int_equal(steer_apply(second, &plan, &report), 0);
	assert_int_not_equal(attached(), ours);
	steer_close(second);
	apply();
	assert_int_equal(attached(), ours);
	assert_in_range(connect_from("127.0.0.9"), 0, 1);
	assert_int_equal(steer_lane_count(steer, 0).chosen, 1);
	passed.mode = STEER_REUSEPORT; /* not what its maps are for */
	second = NULL;
	assert_int_equal(go_on(&passed, &second), -EPROTO);
	assert_null(second);
	stop();
}

static void test_passed_in_a_group(void **state)
{
	need_namespaces();
	make_plan();
	open_steer(STEER_REUSEPORT, "/proc/none/none"); /* not pinned */
	put_listeners("0.0.0.0", PORT);
	apply();
	assert_in_range(connect_from("127.0.0.9"), 0, 1);
	hand_over();
	hand_over();
	assert_int_equal(steer_mode(steer), STEER_REUSEPORT);
	assert_in_range(connect_from("127.0.0.9"), 0, 1);
	assert_int_equal(steer_lane_count(steer, 0).chosen, 2);
	stop();
}

static void test_pins(void **state)
{
	const struct steer_options o = { .pins = pins, .best = STEER_LOOKUP };
	struct steer *second = NULL;
	char elsewhere[64];

	need_namespaces();
	start();
	assert_int_equal(steer_open(&o, &report, &second), -EBUSY);
	assert_null(second);
	stop();
	(void)snprintf(elsewhere, sizeof(elsewhere), "%s/none", folder);
	open_steer(STEER_LOOKUP, elsewhere);
	assert_int_equal(report.pins_error, -ENOTSUP);
	assert_int_equal(steer_mode(steer), STEER_LOOKUP);
	assert_int_equal(access(elsewhere, F_OK), -1); /* left nothing */
	steer_close(steer);
	open_steer(STEER_LOOKUP, "/proc/none/none");
	assert_int_equal(report.pins_error, -ENOENT);
	assert_int_equal(steer_mode(steer), STEER_LOOKUP);
	steer_close(steer);
	steer = NULL;
}

/* In a child: as a daemon without these capabilities. */
static int open_without(uint64_t dropped)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[2];
	struct steer_options o = { .pins = pins, .best = STEER_LOOKUP };
	struct steer_report r;
	struct steer *s;

	if (syscall(SYS_capget, &header, data))
		return 90;
	data[0].effective &= (uint32_t)~dropped;
	data[1].effective &= (uint32_t)(~dropped >> 32);
	if (syscall(SYS_capset, &header, data) || steer_open(&o, &r, &s))
		return 91;
	if (r.lookup_error != -EPERM)
		return 92;
	if (steer_mode(s) == STEER_PLAIN && r.reuseport_error != -EPERM)
		return 93;
	/* Where there is nothing, all of it succeeds. */
	if (steer_mode(s) == STEER_PLAIN &&
	    (steer_apply(s, &plan, &r) || steer_put_listener(s, 0, 0, 0) ||
	     steer_weigh(s, 0, 1) || steer_load(s, 0)))
		return 94;
	return (int)steer_mode(s);
}

static int mode_without(uint64_t dropped)
{
	int status = 0;
	pid_t pid = fork();

	if (!pid)
		_exit(open_without(dropped));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

#define BIT(cap) (UINT64_C(1) << (cap))

static void test_capabilities(void **state)
{
	need_namespaces();
	make_plan();
	assert_int_equal(mode_without(BIT(CAP_NET_ADMIN) | BIT(CAP_SYS_ADMIN)),
			 STEER_REUSEPORT);
	assert_int_equal(mode_without(BIT(CAP_NET_ADMIN) | BIT(CAP_SYS_ADMIN) |
				      BIT(CAP_BPF)),
			 STEER_PLAIN);
}

/* Nothing is left of the test before. */
static int remove_pins(void **state)
{
	static const char *const names[] = {
		"settings",      "services",    "sources",   "lanes", "loads",
		"worker_counts", "lane_counts", "listeners", "group"
	};
	char path[128];

	if (steer)
		stop();
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", pins, names[i]);
		(void)unlink(path);
	}
	return 0;
}

static int set_up_loopback(void)
{
	struct ifreq request = { .ifr_name = "lo" };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	int result;

	request.ifr_flags = IFF_UP | IFF_RUNNING;
	result = ioctl(fd, SIOCSIFFLAGS, &request);
	(void)close(fd);
	return result;
}

static int enter_namespaces(void **state)
{
	struct steer_options o = { .pins = pins, .best = STEER_LOOKUP };

	if (!mkdtemp(folder))
		return -1;
	if (unshare(CLONE_NEWNET | CLONE_NEWNS) || set_up_loopback() ||
	    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return 0;
	(void)snprintf(pins, sizeof(pins), "%s/fs", folder);
	if (mkdir(pins, 0700) || mount("bpf", pins, "bpf", 0, NULL))
		return 0;
	(void)snprintf(pins, sizeof(pins), "%s/fs/sluice", folder);
	if (steer_open(&o, &report, &steer))
		return 0;
	ready = steer_mode(steer) == STEER_LOOKUP;
	if (!ready)
		print_message("sk_lookup: %s; %s\n",
			      strerrordesc_np(-report.lookup_error),
			      report.excerpt);
	steer_close(steer);
	steer = NULL;
	return remove_pins(state);
}

static int leave_namespaces(void **state)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "%s/fs", folder);
	(void)umount2(path, MNT_DETACH);
	(void)rmdir(path);
	(void)rmdir(folder);
	return 0;
}

#define TEST(f) cmocka_unit_test_teardown(f, remove_pins)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_lookup),
		TEST(test_reuseport),
		TEST(test_weights_and_deaths),
		TEST(test_load),
		TEST(test_cpu),
		TEST(test_restart),
		TEST(test_assigned),
		TEST(test_other_version),
		TEST(test_passed),
		TEST(test_passed_in_vain),
		TEST(test_passed_in_a_group),
		TEST(test_pins),
		TEST(test_capabilities),
	};

	return cmocka_run_group_tests(tests, enter_namespaces,
				      leave_namespaces);
}
