/*
 * The shield: its program by BPF_PROG_TEST_RUN with packets that nobody sends,
 * and with real connections in a network namespace of this test's own.
 */
#include "steer/shield.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <bpf/bpf.h>
#include <cmocka.h>
#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SYN 0x02
#define ACK 0x10
#define ETH 14

static char folder[] = "/tmp/test-shield-XXXXXX";
static char pins[64];
static bool ready;
static struct shield *shield;
static struct shield_report report;
static struct prefix allowed[2], denied[2];
static struct shield_rules rules;

static struct prefix prefix(const char *text)
{
	struct prefix p;

	assert_true(prefix_parse(span_str(text), &p));
	return p;
}

static uint64_t now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static int open_shield(struct shield **ret)
{
	const struct shield_options o = { .wanted = true, .pins = pins };

	return shield_open(&o, &report, ret);
}

static void start(void)
{
	assert_int_equal(open_shield(&shield), 0);
	assert_true(shield_works(shield));
	rules = (struct shield_rules){ .prefix_ipv4 = 32,
				       .prefix_ipv6 = 64,
				       .allowed = allowed,
				       .denied = denied };
	assert_int_equal(shield_apply(shield, &rules), 0);
}

static void need_bpf(void)
{
	if (ready)
		return;
	print_message("needs root, namespaces and CAP_BPF\n");
	skip();
}

/* ---- packets that nobody sends ------------------------------------------- */

static bool passes_packet(const uint8_t *packet, uint32_t len)
{
	LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = packet,
		    .data_size_in = len);

	assert_int_equal(bpf_prog_test_run_opts(shield_program(shield), &o), 0);
	return o.retval != 0;
}

static bool passes(const char *from, uint8_t flags)
{
	struct prefix p = prefix(from);
	uint8_t packet[ETH + 60] = { 0 };
	bool six = p.family == PREFIX_V6;
	uint8_t *ip = packet + ETH;

	packet[12] = six ? 0x86 : 0x08;
	packet[13] = six ? 0xdd : 0x00;
	ip[0] = six ? 0x60 : 0x45;
	ip[six ? 6 : 9] = IPPROTO_TCP;
	memcpy(ip + (six ? 8 : 12), p.address, six ? 16 : 4);
	ip[(six ? 40 : 20) + 13] = flags;
	return passes_packet(packet, sizeof(packet));
}

/* Behind an options header of sixteen bytes, which says what comes `next`. */
static bool passes_extended(const char *from, uint8_t flags, uint8_t next)
{
	struct prefix p = prefix(from);
	uint8_t packet[ETH + 76] = { [12] = 0x86, [13] = 0xdd, [ETH] = 0x60 };
	uint8_t *ip = packet + ETH;

	ip[6] = 60; /* destination options */
	memcpy(ip + 8, p.address, 16);
	ip[40] = next;
	ip[41] = 1;
	ip[56 + 13] = flags;
	return passes_packet(packet, sizeof(packet));
}

static void deny(const char *text, uint64_t until_ms)
{
	struct shield_denial d = { prefix(text), SHIELD_AUTH, now_ms(),
				   until_ms };

	assert_int_equal(shield_deny(shield, &d), 0);
}

static void test_denied(void **state)
{
	need_bpf();
	start();
	assert_true(passes("192.0.2.1", SYN));
	deny("192.0.2.0/24", 0);
	deny("2001:db8::/32", 0);
	assert_false(passes("192.0.2.1", SYN));
	assert_false(passes("192.0.2.255", SYN));
	assert_true(passes("192.0.3.1", SYN));
	assert_false(passes("2001:db8:ffff::1", SYN));
	assert_true(passes("2001:db9::1", SYN));
	assert_true(passes("c000:200::1", SYN)); /* the bytes of 192.0.2.0 */
	/* Packets of a connection are no SYNs. */
	assert_true(passes("192.0.2.1", ACK));
	assert_true(passes("192.0.2.1", SYN | ACK));
	assert_int_equal(shield_counts(shield).denied, 3);
	assert_int_equal(shield_counts(shield).passed, 4);
}

static void test_extension_headers(void **state)
{
	need_bpf();
	start();
	deny("2001:db8::/32", 0);
	assert_false(passes_extended("2001:db8::1", SYN, IPPROTO_TCP));
	assert_true(passes_extended("2001:db8::1", ACK, IPPROTO_TCP));
	assert_true(passes_extended("2001:db9::1", SYN, IPPROTO_TCP));
	/* What is not understood counts as a SYN. */
	assert_false(passes_extended("2001:db8::1", ACK, 60));
}

static void test_allowed_wins(void **state)
{
	need_bpf();
	start();
	allowed[0] = prefix("192.0.2.7");
	rules.allowed_n = 1;
	rules.syn_rate = 1;
	assert_int_equal(shield_apply(shield, &rules), 0);
	deny("192.0.2.0/24", 0);
	deny("192.0.2.7", 0);
	for (int i = 0; i < 8; i++)
		assert_true(passes("192.0.2.7", SYN));
	assert_false(passes("192.0.2.8", SYN));
	assert_int_equal(shield_counts(shield).allowed, 8);
	rules.allowed_n = 0;
	assert_int_equal(shield_apply(shield, &rules), 0);
	assert_false(passes("192.0.2.7", SYN));
}

static void test_until(void **state)
{
	struct shield_swept swept;
	struct shield_denial d;
	struct prefix p = prefix("192.0.2.1");

	need_bpf();
	start();
	deny("192.0.2.1", now_ms() - 1); /* over */
	assert_true(passes("192.0.2.1", SYN));
	deny("192.0.2.1", now_ms() + 3600000);
	assert_false(passes("192.0.2.1", SYN));
	/* What is over hides no shorter one that is not. */
	deny("192.0.2.1", now_ms() - 1);
	deny("192.0.2.0/24", 0);
	assert_false(passes("192.0.2.1", SYN));
	assert_int_equal(shield_explain(shield, &p, now_ms(), &d),
			 SHIELD_DENIED);
	assert_int_equal(d.prefix.bits, 24);
	swept = shield_sweep(shield, now_ms());
	assert_int_equal(swept.over, 1);
	assert_int_equal(swept.left, 1);
	assert_int_equal(shield_list(shield, &d, 1), 1);
	assert_int_equal(d.prefix.bits, 24);
}

static void test_meter(void **state)
{
	int passed = 0;

	need_bpf();
	start();
	rules.syn_rate = 1; /* a second: no test takes so long */
	rules.syn_burst = 5;
	assert_int_equal(shield_apply(shield, &rules), 0);
	for (int i = 0; i < 20; i++)
		passed += passes("192.0.2.1", SYN);
	assert_in_range(passed, 6, 7);
	assert_true(passes("192.0.2.2", SYN)); /* another source */
	passed = 0;
	for (int i = 0; i < 20; i++) {
		char from[64];

		(void)snprintf(from, sizeof(from), "2001:db8::%x", i);
		passed += passes(from, SYN);
	}
	assert_in_range(passed, 6, 7); /* one /64 is one source */
	assert_true(passes("2001:db8:0:1::", SYN));
	assert_in_range(shield_counts(shield).metered, 26, 28);
	assert_true(passes("192.0.2.1", ACK));
}

/* ---- lists --------------------------------------------------------------- */

static void test_rules(void **state)
{
	struct shield_denial list[4];

	need_bpf();
	start();
	denied[0] = prefix("192.0.2.0/24");
	rules.denied_n = 1;
	assert_int_equal(shield_apply(shield, &rules), 0);
	deny("198.51.100.1", 0);
	assert_int_equal(shield_list(shield, list, 4), 2);
	rules.denied_n = 0; /* as a reload would */
	assert_int_equal(shield_apply(shield, &rules), 0);
	assert_int_equal(shield_list(shield, list, 4), 1);
	assert_int_equal(list[0].why, SHIELD_AUTH);
	assert_true(passes("192.0.2.1", SYN));
	assert_int_equal(shield_remove(shield, &list[0].prefix), 0);
	assert_int_equal(shield_remove(shield, &list[0].prefix), -ENOENT);
}

static void test_restart(void **state)
{
	struct shield_denial list[2];
	struct shield *second = NULL;

	need_bpf();
	start();
	deny("198.51.100.1", 0);
	assert_true(passes("198.51.100.2", SYN));
	assert_int_equal(open_shield(&second), -EBUSY);
	shield_close(shield);
	start();
	assert_int_equal(shield_list(shield, list, 2), 1);
	assert_false(report.pins_replaced);
	assert_int_equal(shield_counts(shield).passed, 0);
	assert_false(passes("198.51.100.1", SYN));
}

/* Copies, as they arrive over a socket. */
static void copy(struct pins_passed *p)
{
	for (uint32_t i = 0; i < p->fds_n; i++)
		p->fds[i] = dup(p->fds[i]);
}

/* A successor goes on with the maps, also where they are not pinned. */
static void test_passed(void **state)
{
	struct shield *third = NULL, *second = NULL;
	struct pins_passed passed;
	struct shield_options o = { .wanted = true,
				    .pins = pins,
				    .passed = &passed };

	need_bpf();
	start();
	deny("198.51.100.1", 0);
	assert_true(passes("198.51.100.2", SYN));
	shield_pass(shield, &passed);
	copy(&passed);
	assert_int_equal(shield_open(&o, &report, &second), 0);
	assert_int_equal(shield_counts(second).passed, 1);
	shield_close(shield);
	shield = second;
	assert_false(passes("198.51.100.1", SYN));
	assert_int_equal(open_shield(&third), -EBUSY); /* the lock is there */
	assert_null(third);
	shield_pass(shield, &passed);
	passed.fds_n--;
	copy(&passed);
	assert_int_equal(shield_open(&o, &report, &third), 0); /* no lock */
	shield_close(third);
	shield_pass(shield, &passed);
	passed.fds[1] = passed.fds[2]; /* not what it takes it for */
	copy(&passed);
	assert_int_equal(shield_open(&o, &report, &third), -EPROTO);
	shield_pass(shield, &passed);
	passed.fds_n = 2;
	copy(&passed);
	assert_int_equal(shield_open(&o, &report, &third), -EPROTO);
}

static void test_nothing(void **state)
{
	const struct shield_options o = { .pins = "/nowhere" };
	struct shield_denial d = { .prefix = prefix("192.0.2.1") };

	assert_int_equal(shield_open(&o, &report, &shield), 0);
	assert_false(shield_works(shield));
	assert_int_equal(report.error, 0);
	assert_int_equal(report.pins_error, 0);
	assert_int_equal(shield_apply(shield, &rules), 0);
	assert_int_equal(shield_attach(shield, -1), 0);
	assert_int_equal(shield_deny(shield, &d), 0);
	assert_int_equal(shield_remove(shield, &d.prefix), -ENOENT);
	assert_int_equal(shield_list(shield, &d, 1), 0);
	assert_int_equal(shield_explain(shield, &d.prefix, 0, &d), SHIELD_OPEN);
}

/* ---- real connections ---------------------------------------------------- */

static int begin_connect(const char *host, const struct sockaddr_in *to)
{
	struct sockaddr_in from = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	(void)inet_pton(AF_INET, host, &from.sin_addr);
	assert_int_equal(bind(fd, (struct sockaddr *)&from, sizeof(from)), 0);
	assert_int_equal(connect(fd, (const struct sockaddr *)to, sizeof(*to)),
			 -1);
	assert_int_equal(errno, EINPROGRESS);
	return fd;
}

static void test_connections(void **state)
{
	struct sockaddr_in at = { .sin_family = AF_INET };
	socklen_t len = sizeof(at);
	int listener, fd, accepted;
	struct prefix p = prefix("127.8.0.1");

	need_bpf();
	start();
	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	listener = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&at, len), 0);
	assert_int_equal(listen(listener, 8), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&at, &len),
			 0);
	assert_int_equal(shield_attach(shield, listener), 0);
	deny("127.8.0.1", 0);
	fd = begin_connect("127.8.0.1", &at);
	/* On loopback the SYN has come when connect returns. */
	assert_int_equal(shield_counts(shield).denied, 1);
	assert_int_equal(poll(&(struct pollfd){ fd, POLLOUT, 0 }, 1, 0), 0);
	assert_int_equal(shield_remove(shield, &p), 0);
	/* TCP tries again by itself. */
	assert_int_equal(poll(&(struct pollfd){ fd, POLLOUT, 0 }, 1, 20000), 1);
	accepted = accept(listener, NULL, NULL);
	assert_true(accepted >= 0);
	assert_int_equal(shield_detach(accepted), 0);
	assert_int_equal(shield_detach(accepted), -ENOENT); /* it is off */
	assert_int_equal(shield_counts(shield).passed, 1);
	(void)close(fd);
	(void)close(accepted);
	(void)close(listener);
}

static int clean(void **state)
{
	static const char *const names[] = { "settings", "allowed", "denied",
					     "meters", "verdicts" };
	char path[128];

	shield_close(shield);
	shield = NULL;
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", pins, names[i]);
		(void)unlink(path);
	}
	return 0;
}

static int enter_namespaces(void **state)
{
	struct ifreq up = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd;

	if (!mkdtemp(folder))
		return -1;
	(void)snprintf(pins, sizeof(pins), "%s/fs", folder);
	if (unshare(CLONE_NEWNET | CLONE_NEWNS) ||
	    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mkdir(pins, 0700) || mount("bpf", pins, "bpf", 0, NULL))
		return 0;
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	(void)ioctl(fd, SIOCSIFFLAGS, &up);
	(void)close(fd);
	(void)snprintf(pins, sizeof(pins), "%s/fs/shield", folder);
	if (open_shield(&shield))
		return 0;
	ready = shield_works(shield);
	if (!ready)
		print_message("shield: %s; %s\n",
			      strerrordesc_np(-report.error), report.excerpt);
	return clean(state);
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

#define TEST(f) cmocka_unit_test_teardown(f, clean)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_denied),       TEST(test_extension_headers),
		TEST(test_allowed_wins), TEST(test_until),
		TEST(test_meter),        TEST(test_rules),
		TEST(test_restart),      TEST(test_passed),
		TEST(test_nothing),      TEST(test_connections),
	};

	return cmocka_run_group_tests(tests, enter_namespaces,
				      leave_namespaces);
}
