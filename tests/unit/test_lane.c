/* Lanes in the configuration: what they mean, and what is wrong with them. */
#include "config/lane.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>

#define BASE                                           \
	"hostname = a.test\n"                          \
	"certificate \"m\" { chain = c key = k }\n"    \
	"auth { file = u }  spool { directory = s }\n" \
	"route \"default\" { next_hop = discard }\n"
/* Ends on line 5. */
#define BULK                                                     \
	BASE "listener \"b\" { address = { \"127.0.0.1:465\" } " \
	     "tls = implicit lane = \"bulk\" }\n"

static uint8_t storage[64 * 1024];

static struct config *parse(const char *text)
{
	struct buf lines;
	struct config_errors errors = { .text = &lines };
	struct config *c;

	buf_init(&lines, storage, sizeof(storage) - 1);
	c = config_open("t.conf", text, &errors);
	storage[lines.end] = '\0';
	return c;
}

static struct config *parse_good(const char *text)
{
	struct config *c = parse(text);

	assert_string_equal((char *)storage, "");
	assert_non_null(c);
	return c;
}

static void refused(const char *text, const char *lines)
{
	assert_null(parse(text));
	assert_string_equal((char *)storage, lines);
}

static const char two[] = BULK
	"listener \"d\" { address = { \"127.0.0.1:587\" } tls = starttls\n"
	"	lane = \"desk\" }\n"
	"limits { sessions = 100 handshakes = 50 }\n"
	"lane \"bulk\" { workers = 2 cpus = { 0, 3 } choose = cpu\n"
	"	sources = { \"192.0.2.0/24\", \"2001:db8::/32\" }\n"
	"	sessions = 7 }\n"
	"lane \"desk\" { workers = 3 handshakes = 9 }\n"
	"steering { program = lookup pins = \"/sys/fs/bpf/x\" }\n";

static void test_lanes(void **state)
{
	struct config *c = parse_good(two);

	assert_int_equal(c->lanes_n, 2);
	assert_int_equal(c->lanes[0].choose, CONFIG_CHOOSE_CPU);
	assert_int_equal(c->lanes[1].choose, CONFIG_CHOOSE_LOAD);
	assert_int_equal(c->lanes[0].cpus_n, 2);
	assert_int_equal(c->lanes[0].cpus[1], 3);
	assert_int_equal(c->lanes[0].sources.n, 2);
	assert_int_equal(c->lanes[0].sources.list[1].bits, 32);
	assert_int_equal(c->steering.program, CONFIG_STEER_LOOKUP);
	assert_string_equal(c->steering.pins, "/sys/fs/bpf/x");
	assert_int_equal(lane_workers(c), 5);
	assert_int_equal(lane_first_worker(c, 1), 2);
	for (uint32_t w = 0; w < 5; w++)
		assert_int_equal(lane_of_worker(c, w), w >= 2);
	assert_int_equal(lane_of_listener(c, &c->listeners[0]), 0);
	assert_int_equal(lane_of_listener(c, &c->listeners[1]), 1);
	assert_int_equal(lane_named(c, SPAN("desk")), 1);
	assert_int_equal(lane_named(c, SPAN("des")), UINT32_MAX);
	assert_string_equal(lane_name(c, 1), "desk");
	assert_int_equal(lane_limits(c, 0).sessions, 7);
	assert_int_equal(lane_limits(c, 0).handshakes, 50);
	assert_int_equal(lane_limits(c, 1).sessions, 100);
	assert_int_equal(lane_limits(c, 1).handshakes, 9);
	config_close(c);
}

static void test_none(void **state)
{
	struct config *c = parse_good(
		BASE "listener \"b\" { address = { \"127.0.0.1:465\" } "
		     "tls = implicit }\n");

	assert_int_equal(c->lanes_n, 0);
	assert_int_equal(lane_workers(c), 0);
	assert_int_equal(lane_of_listener(c, &c->listeners[0]), 0);
	assert_int_equal(lane_of_worker(c, 250), 0);
	assert_string_equal(lane_name(c, 0), "default");
	assert_int_equal(lane_limits(c, 0).sessions, 4096);
	assert_string_equal(c->steering.pins, "/sys/fs/bpf/sluice");
	config_close(c);
}

static void test_unknown(void **state)
{
	refused(BULK, "t.conf:5: listener \"b\": there is no block lane "
		      "\"bulk\"\n");
	refused(BULK "lane \"desk\" { }\n",
		"t.conf:5: listener \"b\": there is no block lane \"bulk\"\n");
	refused(BASE "listener \"b\" { address = { \"127.0.0.1:465\" } "
		     "tls = implicit }\nlane \"bulk\" { }\n",
		"t.conf:5: listener \"b\": there is no block lane "
		"\"default\"\n");
}

static void test_workers(void **state)
{
	refused(BULK "lane \"bulk\" { workers = 0 }\n",
		"t.conf:6: `workers`: 0 is out of range, 1 to 60\n");
	refused(BULK "lane \"bulk\" { workers = 40 }\n"
		     "lane \"desk\" {\nworkers = 21 }\nlane \"more\" { }\n",
		"t.conf:8: lane \"desk\": with it the lanes have more than 60 "
		"`workers`\n");
}

static void test_sources(void **state)
{
	refused(BULK "lane \"bulk\" { sources = { \"10.0.0.0/8\" } }\n"
		     "lane \"desk\" { sources = {\n\"192.0.2.1\", "
		     "\"10.1.0.0/16\" } }\n",
		"t.conf:8: lane \"desk\": 10.1.0.0/16 overlaps with "
		"10.0.0.0/8 of lane \"bulk\"\n");
	refused(BULK "lane \"bulk\" { sources = { \"::/0\", \"::1\" } }\n",
		"t.conf:6: lane \"bulk\": ::1 overlaps with ::/0 of lane "
		"\"bulk\"\n");
	refused(BULK "lane \"bulk\" {\nsources = { \"10.0.0.1/8\" } }\n",
		"t.conf:7: `sources`: `10.0.0.1/8` is not an address or a "
		"prefix like \"192.0.2.0/24\" or \"2001:db8::/32\", without "
		"bits beyond its length\n");
}

static void test_names(void **state)
{
	refused(BULK "lane \"bulk\" { } lane \"a b\" { }\n",
		"t.conf:6: lane \"a b\": a name has 1 to 31 characters, no "
		"blank and no slash\n");
	refused(BULK "lane \"bulk\" { }\n"
		     "lane \"123456789012345678901234567890ab\" { }\n",
		"t.conf:7: lane \"123456789012345678901234567890ab\": a name "
		"has 1 to 31 characters, no blank and no slash\n");
}

static void test_values(void **state)
{
	refused(BULK "lane \"bulk\" { cpus = { x, 1024 } }\n",
		"t.conf:6: `cpus`: `x` is not a number\n"
		"t.conf:6: `cpus`: 1024 is out of range, 0 to 1023\n");
	refused(BULK "lane \"bulk\" { choose = luck }\n",
		"t.conf:6: `choose`: `luck` is not hash, cpu or load\n");
}

/* ---- ranges of addresses --------------------------------------------------- */

#define RANGES "listener \"r\" { tls = starttls lane = \"bulk\" address = { "
#define LANE   "lane \"bulk\" { }\n"

static void test_ranges(void **state)
{
	struct config *c =
		parse_good(BULK LANE RANGES
			   "\"192.0.2.0/24:25\", \"[2001:db8::/64]:25\",\n"
			   "\"198.51.100.7/32:25\", \"[::7/128]:26\",\n"
			   "\"0.0.0.0:25\" } }\n");
	const struct config_address *a = c->listeners[1].addresses;
	struct prefix served = config_served(&a[1]);

	assert_int_equal(a[0].range_bits, 24);
	assert_int_equal(ntohs(a[0].in.sin_port), 25);
	assert_string_equal(a[0].text, "192.0.2.0/24:25");
	assert_int_equal(config_served(&a[0]).family, PREFIX_V4);
	assert_int_equal(config_served(&a[0]).bits, 24);
	assert_int_equal(a[1].range_bits, 64);
	assert_int_equal(ntohs(a[1].in6.sin6_port), 25);
	assert_int_equal(served.family, PREFIX_V6);
	assert_int_equal(served.bits, 64);
	assert_int_equal(served.address[0], 0x20);
	for (int one = 2; one < 4; one++) /* no more than the address */
		assert_int_equal(a[one].range_bits, 0);
	assert_int_equal(config_served(&a[2]).bits, 32);
	assert_int_equal(config_served(&a[3]).bits, 128);
	assert_int_equal(config_served(&a[4]).bits, 0);
	config_close(c);
}

/* Two listeners, the second ends on line 9; `wrong`: "" when all is well. */
static void pair(const char *first, const char *second, const char *wrong)
{
	char text[1024], line[256];

	(void)snprintf(text, sizeof(text),
		       BULK LANE "listener \"x\" { tls = starttls "
				 "lane = bulk address = { \"%s\" } }\n" RANGES
				 "\n\"%s\" } }\n",
		       first, second);
	if (!*wrong) {
		config_close(parse_good(text));
		return;
	}
	(void)snprintf(line, sizeof(line), "t.conf:9: listener \"r\": %s\n",
		       wrong);
	refused(text, line);
}

static void test_overlaps(void **state)
{
	pair("192.0.2.0/24:25", "192.0.2.128/25:25",
	     "192.0.2.128/25:25 overlaps with 192.0.2.0/24:25 of listener "
	     "\"x\"");
	pair("192.0.2.9:25", "192.0.0.0/16:25",
	     "192.0.0.0/16:25 overlaps with 192.0.2.9:25 of listener \"x\"");
	pair("[2001:db8::/64]:25", "[2001:db8::5]:25",
	     "[2001:db8::5]:25 overlaps with [2001:db8::/64]:25 of listener "
	     "\"x\"");
	pair("192.0.2.0/24:25", "192.0.2.0/024:25",
	     "192.0.2.0/024:25 belongs to listener \"x\" already");
	pair("192.0.2.1:25", "192.0.2.1/32:25",
	     "192.0.2.1/32:25 belongs to listener \"x\" already");
	pair("192.0.2.0/24:25", "192.0.2.0/25:26", "");
	pair("192.0.2.0/24:25", "192.0.3.0/24:25", "");
	pair("0.0.0.0:25", "0.0.0.0/8:25", ""); /* what is left, and a range */
	pair("[::/64]:25", "0.0.0.0/24:25", "");
}

static void test_ranges_need_lookup(void **state)
{
	static const char range[] = RANGES "\n\"192.0.2.0/24:25\" } }\n";
	char text[1024];

	refused(BASE "listener \"b\" { address = { \"192.0.2.0/24:25\" } "
		     "tls = implicit }\n",
		"t.conf:5: listener \"b\": 192.0.2.0/24:25 is a range: it "
		"needs lanes (a block `lane`)\n");
	(void)snprintf(text, sizeof(text),
		       BULK LANE "%ssteering { program = reuseport }\n", range);
	refused(text, "t.conf:8: listener \"r\": 192.0.2.0/24:25 is a range: "
		      "it needs steering.program = \"lookup\" or \"auto\"\n");
	(void)snprintf(text, sizeof(text),
		       BULK LANE "%ssteering { program = lookup }\n", range);
	config_close(parse_good(text));
}

static void test_addresses(void **state)
{
	static char text[16 * 1024];
	size_t n = 0;

	n += (size_t)snprintf(text, sizeof(text), BASE);
	for (int l = 0; l < 5; l++) {
		n += (size_t)snprintf(text + n, sizeof(text) - n,
				      "listener \"%d\" { tls = starttls "
				      "address = { ",
				      l);
		for (int a = 0; a < 13; a++)
			n += (size_t)snprintf(text + n, sizeof(text) - n,
					      "%s\"127.0.%d.%d:25\"",
					      a ? ", " : "", l, a);
		n += (size_t)snprintf(text + n, sizeof(text) - n, " } }\n");
	}
	refused(text, "t.conf:9: listener \"4\": with it there are more than "
		      "64 addresses\n");
}

static void diff(const char *text, const char *lines)
{
	struct config *old = parse_good(two);
	struct config *new = parse_good(text);
	struct buf out;

	buf_init(&out, storage, sizeof(storage) - 1);
	assert_int_equal(config_diff(old, new, &out), *lines != '\0');
	storage[out.end] = '\0';
	assert_string_equal((char *)storage, lines);
	config_close(old);
	config_close(new);
}

#define FEW                                                      \
	BULK "listener \"d\" { address = { \"127.0.0.1:587\" } " \
	     "tls = starttls lane = \"desk\" }\n"                \
	     "steering { program = lookup pins = \"/sys/fs/bpf/x\" }\n"
#define NEEDS                                                        \
	"lanes, their workers and the lane of a listener: a change " \
	"needs a restart\n"

static void test_diff(void **state)
{
	diff(FEW "lane \"bulk\" { workers = 2 choose = hash }\n"
		 "lane \"desk\" { workers = 3 sources = { \"::1\" } }\n",
	     "");
	diff(FEW "lane \"bulk\" { workers = 2 } lane \"desk\" { }\n", NEEDS);
	diff(FEW "lane \"desk\" { workers = 3 } lane \"bulk\" { workers = 2 }",
	     NEEDS);
	diff(BULK "listener \"d\" { address = { \"127.0.0.1:587\" } "
		  "tls = starttls lane = \"bulk\" }\n"
		  "lane \"bulk\" { workers = 2 } lane \"desk\" { workers = 3 }"
		  "steering { program = lookup pins = \"/sys/fs/bpf/x\" }\n",
	     NEEDS);
	diff(BULK "lane \"bulk\" { workers = 2 } lane \"desk\" { workers = 3 }",
	     "steering: a change needs a restart\n");
	diff(FEW "lane \"bulk\" { workers = 2 } lane \"desk\" { workers = 3 }"
		 "\nshield { }\n",
	     "shield: to begin, to end or to move it needs a restart\n");
}

static void test_shield(void **state)
{
	struct config *c = parse_good(
		BULK "lane \"bulk\" { }\n"
		     "shield { allow = { \"::1\" } failures = 3 window = 2s\n"
		     "deny = { \"10.0.0.0/8\", \"2001:db8::/32\" }\n"
		     "deny_time = 4s entries = 5 syn_rate = 6 syn_burst = 7\n"
		     "prefix_ipv4 = 24 prefix_ipv6 = 48 required = yes }\n");
	const struct config_shield *s = &c->shield;

	assert_int_equal(s->line, 10);
	assert_int_equal(s->allow.n, 1);
	assert_int_equal(s->deny.n, 2);
	assert_int_equal(s->deny.list[1].bits, 32);
	assert_int_equal(s->failures, 3);
	assert_int_equal(s->window_s, 2);
	assert_int_equal(s->deny_s, 4);
	assert_int_equal(s->entries, 5);
	assert_int_equal(s->syn_rate, 6);
	assert_int_equal(s->syn_burst, 7);
	assert_int_equal(s->prefix_ipv4, 24);
	assert_int_equal(s->prefix_ipv6, 48);
	assert_true(s->required);
	config_close(c);
	refused(BULK "lane \"bulk\" { }\nshield { deny = { \"x\" } }\n",
		"t.conf:7: `deny`: `x` is not an address or a prefix like "
		"\"192.0.2.0/24\" or \"2001:db8::/32\", without bits beyond "
		"its length\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lanes),
		cmocka_unit_test(test_none),
		cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_workers),
		cmocka_unit_test(test_sources),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_overlaps),
		cmocka_unit_test(test_ranges_need_lookup),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_diff),
		cmocka_unit_test(test_shield),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
