/*
 * The configuration: what a file means, and what each mistake is told as.
 */

#include "config/config.h"
#include "config/config_print.h"
#include "config/table.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static uint8_t storage[64 * 1024];

struct outcome {
	struct config *config;
	struct buf text;
	uint32_t errors_n;
};

static struct outcome parse(const char *text)
{
	struct outcome o;
	struct config_errors errors = { .text = &o.text };

	buf_init(&o.text, storage, sizeof(storage) - 1);
	o.config = config_open("t.conf", text, &errors);
	storage[o.text.end] = '\0';
	o.errors_n = errors.n;
	return o;
}

static struct config *parse_good(const char *text)
{
	struct outcome o = parse(text);

	assert_string_equal((char *)storage, "");
	assert_int_equal(o.errors_n, 0);
	assert_non_null(o.config);
	return o.config;
}

/* Exactly these lines, as many as were counted, and no configuration. */
static void expect(const char *text, const char *lines)
{
	struct outcome o = parse(text);
	uint32_t n = 0;

	assert_string_equal((char *)storage, lines);
	for (const char *p = lines; *p; p++)
		n += *p == '\n';
	assert_int_equal(o.errors_n, n);
	assert_null(o.config);
}

/* ---- what is right ------------------------------------------------------- */

static const char full[] =
	"# a comment with ${HOME} and \"\n"
	"hostname = mx.example.org // unquoted\n"
	"user = \"sluice\" /* over\n two lines */\n"
	"pid_file = \"/run/x.pid\"\n"
	"control = \"/run/a \\\"b\\\" \\\\c\"\n"
	"workers = 3\n"
	"certificate \"main\" { chain = \"c.pem\" key = \"k.pem\" }\n"
	"certificate \"rsa\" { chain = \"c2.pem\" key = \"k2.pem\" }\n"
	"listener \"submissions\" {\n"
	"	address = { \"127.0.0.1:465\", # first\n"
	"		\"[::1]:465\" }\n"
	"	tls = \"implicit\" lane = \"bulk\" tickets = 0\n"
	"	resumption = no tls12 = false\n"
	"}\n"
	"listener \"submission\" { address = \"0.0.0.0:587\" tls = starttls\n"
	"	nic = prefer }\n"
	"lane \"bulk\" { } lane \"default\" { workers = 2 }\n"
	"auth { file = \"users\" senders = \"map\" helpers = 4\n"
	"	cache_entries = 10 cache_time = 2h }\n"
	"spool { directory = \"/spool\" segment_size = 1M queue_messages = 9\n"
	"	reserve = 0 }\n"
	"route \"default\" { next_hop = \"maildir:/var/mail\" connections = 7 }\n"
	"route \"out\" { next_hop = \"smtps://relay.example.net:465\"\n"
	"	domains = { \"example.net\", \"example.com\" }\n"
	"	tls = \"encrypt\" tls_name = \"r.example.net\" tls_ca = \"ca\"\n"
	"	ktls = require nic = require body_path = splice }\n"
	"route \"near\" { next_hop = \"smtp://[2001:db8::1]:25\" tls = none\n"
	"	domains = { \"a.test\" } }\n"
	"route \"void\" { next_hop = \"discard\" domains = { \"b.test\" } }\n"
	"limits { sessions = 100 messages = 20 message_size = 2G\n"
	"	header_size = 8K text_line = 2000 envelope_size = 128K\n"
	"	buffer_size = 4096 recipients = 5 messages_per_session = 6\n"
	"	hops = 7 errors = 8 idle_commands = 9 normalise_bare_lf = on }\n"
	"shares { prefix_ipv4 = 24 prefix_ipv6 = 48 prefix_connections = 1\n"
	"	prefix_messages = 2 prefix_bytes = 3G user_connections = 4\n"
	"	user_messages = 5 user_bytes = 6G }\n"
	"timeouts { handshake = 1 command = 2m data = 3s drain = 1d }\n"
	"retry { first = 1s longest = 2s give_up = 3s }\n"
	"log { level = \"debug\" format = \"json\" }\n";

static void test_top_level(void **state)
{
	struct config *c = parse_good(full);

	assert_string_equal(c->file, "t.conf");
	assert_string_equal(c->hostname, "mx.example.org");
	assert_string_equal(c->user, "sluice");
	assert_string_equal(c->pid_file, "/run/x.pid");
	assert_string_equal(c->control, "/run/a \"b\" \\c");
	assert_int_equal(c->workers, 3);
	assert_int_equal(c->log_level, LOG_DEBUG);
	assert_int_equal(c->log_format, LOG_JSON);
	assert_int_equal(c->certificates_n, 2);
	assert_string_equal(c->certificates[1].name, "rsa");
	assert_string_equal(c->certificates[1].chain, "c2.pem");
	assert_string_equal(c->certificates[0].key, "k.pem");
	assert_int_equal(c->certificates[0].line, 8);
	config_close(c);
}

static void test_listeners(void **state)
{
	struct config *c = parse_good(full);
	const struct config_listener *l = &c->listeners[0];

	assert_int_equal(c->listeners_n, 2);
	assert_string_equal(l->name, "submissions");
	assert_int_equal(l->line, 15);
	assert_int_equal(l->addresses_n, 2);
	assert_int_equal(l->addresses[0].in.sin_family, AF_INET);
	assert_int_equal(ntohs(l->addresses[0].in.sin_port), 465);
	assert_int_equal(ntohl(l->addresses[0].in.sin_addr.s_addr),
			 INADDR_LOOPBACK);
	assert_int_equal(l->addresses[0].len, sizeof(struct sockaddr_in));
	assert_string_equal(l->addresses[1].text, "[::1]:465");
	assert_memory_equal(&l->addresses[1].in6.sin6_addr, &in6addr_loopback,
			    sizeof(in6addr_loopback));
	assert_int_equal(l->addresses[1].len, sizeof(struct sockaddr_in6));
	assert_int_equal(l->tls, CONFIG_TLS_IMPLICIT);
	assert_string_equal(l->lane, "bulk");
	assert_int_equal(l->tickets, 0);
	assert_false(l->resumption);
	assert_false(l->tls12);
	assert_int_equal(l[0].nic, CONFIG_NIC_OFF);
	assert_int_equal(l[1].nic, CONFIG_NIC_PREFER);
	assert_int_equal(l[1].tls, CONFIG_TLS_STARTTLS);
	assert_int_equal(l[1].addresses_n, 1);
	assert_string_equal(l[1].lane, "default");
	config_close(c);
}

static void test_routes(void **state)
{
	struct config *c = parse_good(full);
	const struct config_route *r = c->routes;

	assert_int_equal(c->routes_n, 4);
	assert_int_equal(r[0].kind, CONFIG_HOP_MAILDIR);
	assert_string_equal(r[0].path, "/var/mail");
	assert_string_equal(r[0].next_hop, "maildir:/var/mail");
	assert_int_equal(r[0].connections, 7);
	assert_int_equal(r[0].tls, CONFIG_HOP_TLS_VERIFY);
	assert_null(r[0].tls_name);
	assert_int_equal(r[0].ktls, CONFIG_KTLS_PREFER);
	assert_int_equal(r[0].body_path, CONFIG_BODY_AUTO);
	assert_int_equal(r[1].kind, CONFIG_HOP_SMTPS);
	assert_string_equal(r[1].host, "relay.example.net");
	assert_int_equal(r[1].port, 465);
	assert_int_equal(r[1].tls, CONFIG_HOP_TLS_ENCRYPT);
	assert_string_equal(r[1].tls_name, "r.example.net");
	assert_string_equal(r[1].tls_ca, "ca");
	assert_int_equal(r[1].domains_n, 2);
	assert_string_equal(r[1].domains[1], "example.com");
	assert_int_equal(r[1].ktls, CONFIG_KTLS_REQUIRE);
	assert_int_equal(r[1].nic, CONFIG_NIC_REQUIRE);
	assert_int_equal(r[1].body_path, CONFIG_BODY_SPLICE);
	assert_int_equal(r[2].kind, CONFIG_HOP_SMTP);
	assert_string_equal(r[2].host, "2001:db8::1");
	assert_int_equal(r[2].tls, CONFIG_HOP_TLS_NONE);
	assert_int_equal(r[3].kind, CONFIG_HOP_DISCARD);
	config_close(c);
}

static void test_numbers(void **state)
{
	struct config *c = parse_good(full);

	assert_string_equal(c->auth.users, "users");
	assert_string_equal(c->auth.senders, "map");
	assert_int_equal(c->auth.helpers, 4);
	assert_int_equal(c->auth.cache_entries, 10);
	assert_int_equal(c->auth.cache_s, 7200);
	assert_string_equal(c->spool.directory, "/spool");
	assert_int_equal(c->spool.segment_bytes, 1 << 20);
	assert_int_equal(c->spool.queue_messages, 9);
	assert_int_equal(c->spool.reserve_bytes, 0);
	assert_int_equal(c->limits.sessions, 100);
	assert_int_equal(c->limits.messages, 20);
	assert_int_equal(c->limits.message_bytes, 2ull << 30);
	assert_int_equal(c->limits.header_bytes, 8192);
	assert_int_equal(c->limits.text_line_bytes, 2000);
	assert_int_equal(c->limits.envelope_bytes, 131072);
	assert_int_equal(c->limits.buffer_bytes, 4096);
	assert_int_equal(c->limits.recipients, 5);
	assert_int_equal(c->limits.messages_per_session, 6);
	assert_int_equal(c->limits.hops, 7);
	assert_int_equal(c->limits.errors, 8);
	assert_int_equal(c->limits.idle_commands, 9);
	assert_true(c->limits.normalise_bare_lf);
	assert_int_equal(c->timeouts.handshake, 1);
	assert_int_equal(c->timeouts.command, 120);
	assert_int_equal(c->timeouts.data, 3);
	assert_int_equal(c->timeouts.drain, 86400);
	assert_int_equal(c->retry.first, 1);
	assert_int_equal(c->retry.longest, 2);
	assert_int_equal(c->retry.give_up, 3);
	config_close(c);
}

#define CERTIFICATE "certificate \"m\" { chain = c key = k }\n"
#define LISTENER    "listener \"l\" { address = \"[::]:465\" tls = implicit }\n"
#define AUTH        "auth { file = users }\n"
#define SPOOL       "spool { directory = spool }\n"
#define ROUTE       "route \"default\" { next_hop = discard }\n"
#define BASE        CERTIFICATE LISTENER AUTH SPOOL ROUTE
/* Six lines: what follows is line 7. */
#define MINIMAL "hostname = a.test\n" BASE

static void test_defaults(void **state)
{
	struct config *c = parse_good(MINIMAL);

	assert_null(c->user);
	assert_null(c->pid_file);
	assert_null(c->control);
	assert_int_equal(c->workers, 0);
	assert_int_equal(c->log_level, LOG_INFO);
	assert_int_equal(c->log_format, LOG_TEXT);
	assert_int_equal(c->limits.message_bytes, 50 << 20);
	assert_int_equal(c->limits.sessions, 4096);
	assert_int_equal(c->limits.line, 0);
	assert_false(c->limits.normalise_bare_lf);
	assert_int_equal(c->timeouts.command, 300);
	assert_int_equal(c->retry.give_up, 5 * 86400);
	assert_true(c->listeners[0].tls12);
	assert_int_equal(c->listeners[0].tickets, 1);
	config_close(c);
}

/* A printed document as a string in `storage`. */
static char *printed(void (*print)(FILE *))
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(out);
	print(out);
	assert_int_equal(fclose(out), 0);
	return text;
}

static void test_sample_is_right(void **state)
{
	char *sample = printed(config_print_sample);
	struct config *c = parse_good(sample);

	assert_string_equal(c->hostname, "mx.example.org");
	config_close(c);
	free(sample);
}

/* Every default in the sample, uncommented, is what the parser has anyway. */
static void test_sample_and_manual_are_complete(void **state)
{
	char *sample = printed(config_print_sample);
	char *manual = printed(config_print_manual);
	char line[128];

	for (size_t b = 0; b < TABLE_BLOCKS; b++) {
		for (size_t k = 0; k < table_blocks[b].keys_n; k++) {
			const char *name = table_blocks[b].keys[k].name;

			(void)snprintf(line, sizeof(line), "%s = ", name);
			assert_non_null(strstr(sample, line));
			(void)snprintf(line, sizeof(line), ".It Cm %s ", name);
			assert_non_null(strstr(manual, line));
		}
	}
	free(sample);
	free(manual);
}

/* ---- mistakes ------------------------------------------------------------ */

struct mistake {
	const char *text;
	const char *lines;
};

static void expect_all(const struct mistake *mistakes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		expect(mistakes[i].text, mistakes[i].lines);
}

#define EXPECT_ALL(mistakes) \
	expect_all((mistakes), sizeof(mistakes) / sizeof(*(mistakes)))

static void test_syntax(void **state)
{
	static const struct mistake mistakes[] = {
		{ MINIMAL "# one\n# two\nfoo = 1\n",
		  "t.conf:9: no such option 'foo'\n" },
		{ MINIMAL "log {\n\n level = info\n colour = red }\n",
		  "t.conf:10: no such option 'colour'\n" },
		{ MINIMAL "paint { }\n", "t.conf:7: no such option 'paint'\n" },
		{ MINIMAL "include(\"/etc/passwd\")\n",
		  "t.conf:7: no such option 'include'\n" },
		{ MINIMAL "user\n= \n{ }\n",
		  "t.conf:9: unexpected token '{'\n" },
		{ MINIMAL "user sluice\n",
		  "t.conf:7: missing equal sign after option 'user'\n" },
		{ MINIMAL "}\n", "t.conf:7: unexpected closing brace\n" },
		{ MINIMAL "user =\n\n", "t.conf:10: premature end of file\n" },
		{ MINIMAL "route { }\n",
		  "t.conf:7: missing title for section 'route'\n" },
		{ MINIMAL "log \"x\" { }\n",
		  "t.conf:7: missing opening brace for section 'log'\n" },
		{ MINIMAL ROUTE,
		  "t.conf:7: found duplicate title 'default'\n" },
	};

	EXPECT_ALL(mistakes);
}

static void test_source(void **state)
{
	static const struct mistake mistakes[] = {
		{ MINIMAL "user = \"a\n# \"\n",
		  "t.conf:7: this string has no end\n" },
		{ MINIMAL "user = x /* a\n\n",
		  "t.conf:7: this comment has no end\n" },
		{ MINIMAL "log {\n level = info\n",
		  "t.conf:7: this brace has no end\n" },
		{ MINIMAL "log {\n limits { hops = 1 }\n",
		  "t.conf:7: this brace has no end\n" },
		{ MINIMAL "user = \"${HOME}\"\ncontrol = ${HOME}\n",
		  "t.conf:7: `${`: variables are not replaced here\n"
		  "t.conf:8: `${`: variables are not replaced here\n" },
		{ MINIMAL "user = 'x'\n",
		  "t.conf:7: strings stand between `\"`, not `'`\n"
		  "t.conf:7: strings stand between `\"`, not `'`\n" },
		{ MINIMAL "user = \"a\\n\"\n",
		  "t.conf:7: a backslash goes before `\"` or `\\` only\n" },
		{ MINIMAL "user = \"a\001b\"\n",
		  "t.conf:7: control character 0x01\n" },
	};

	EXPECT_ALL(mistakes);
}

/* A broken file must leave nothing behind in libconfuse's only scanner. */
static void test_next_parse_is_clean(void **state)
{
	expect(MINIMAL "user = \"a\n", "t.conf:7: this string has no end\n");
	config_close(parse_good(MINIMAL));
	expect(MINIMAL "user =\n", "t.conf:9: premature end of file\n");
	config_close(parse_good(MINIMAL));
}

static void test_values(void **state)
{
	static const struct mistake mistakes[] = {
		{ MINIMAL "workers = many\n",
		  "t.conf:7: `workers`: `many` is not a number\n" },
		{ MINIMAL "workers = -1\n",
		  "t.conf:7: `workers`: `-1` is not a number\n" },
		{ MINIMAL "workers = 128\n",
		  "t.conf:7: `workers`: 128 is out of range, 0 to 127\n" },
		{ MINIMAL "limits { message_size = 63K }\n",
		  "t.conf:7: `message_size`: 63K is out of range, 64K to 16G\n" },
		{ MINIMAL "limits { message_size = 50X }\n",
		  "t.conf:7: `message_size`: `50X` is not a size: a number with "
		  "K, M, G or nothing\n" },
		{ MINIMAL "limits { message_size = 99999999999999999G }\n",
		  "t.conf:7: `message_size`: `99999999999999999G` is not a size: "
		  "a number with K, M, G or nothing\n" },
		{ MINIMAL "timeouts { data = 5x }\n",
		  "t.conf:7: `data`: `5x` is not a duration: a number with "
		  "s, m, h or d\n" },
		{ MINIMAL "timeouts { data = 0 }\n",
		  "t.conf:7: `data`: 0 is out of range, 1s to 1d\n" },
		{ MINIMAL "limits { normalise_bare_lf = maybe }\n",
		  "t.conf:7: `normalise_bare_lf`: `maybe` is not true or "
		  "false\n" },
		{ MINIMAL "log { level = loud }\n",
		  "t.conf:7: `level`: `loud` is not error, warning, notice, info "
		  "or debug\n" },
		{ MINIMAL "user = \"\"\n", "t.conf:7: `user` is empty\n" },
		{ "hostname = \"-a.test\"\n" BASE,
		  "t.conf:1: `hostname`: `-a.test` is not a domain name\n" },
		{ "hostname = a..test\n" BASE,
		  "t.conf:1: `hostname`: `a..test` is not a domain name\n" },
		{ "hostname = a.test.\n" BASE,
		  "t.conf:1: `hostname`: `a.test.` is not a domain name\n" },
	};

	EXPECT_ALL(mistakes);
}

static void test_addresses(void **state)
{
	expect(MINIMAL "listener \"x\" { tls = starttls address = {\n"
		       "\"1.2.3.4\",\n\"1.2.3.4/24:5\" } }\n",
	       "t.conf:8: `address`: `1.2.3.4` is not an address like "
	       "\"192.0.2.1:465\" or \"[2001:db8::1]:465\", or a range like "
	       "\"192.0.2.0/24:465\" or \"[2001:db8::/64]:465\"\n"
	       "t.conf:9: `address`: `1.2.3.4/24:5` is not a range: its address "
	       "has bits beyond its length\n");
}

static void test_next_hops(void **state)
{
	static const char *const bad[] = {
		"maildir:",      "smtp://",
		"smtp://h",      "smtp://h:0",
		"smtp://h:x",    "smtp://-h:25",
		"smtp://[h]:25", "lmtp:x",
		"relay.test:25", "",
	};
	char text[512];
	char lines[512];

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		(void)snprintf(text, sizeof(text),
			       MINIMAL "route \"x\" { domains = { a.test }\n"
				       "next_hop = \"%s\" }\n",
			       bad[i]);
		(void)snprintf(lines, sizeof(lines),
			       "t.conf:8: `next_hop`: `%s` is not maildir:PATH,"
			       " smtp://HOST:PORT, smtps://HOST:PORT or "
			       "discard\n",
			       bad[i]);
		expect(text, lines);
	}
}

static void test_twice(void **state)
{
	static const struct mistake mistakes[] = {
		{ MINIMAL "hostname = a.test\n",
		  "t.conf:7: `hostname` is given twice\n" },
		{ MINIMAL "log { level = info\n level = debug }\n",
		  "t.conf:8: `level` is given twice\n" },
		{ MINIMAL "log { level = info }\nlog {\n}\n",
		  "t.conf:9: block `log` is given twice\n" },
		{ MINIMAL "route \"x\" { next_hop = discard\n"
			  "domains = { a.test }\ndomains = { b.test } }\n",
		  "t.conf:9: `domains` is given twice\n" },
		{ MINIMAL "route \"x\" { next_hop = discard\n"
			  "domains = a.test\ndomains = b.test }\n",
		  "t.conf:9: `domains` is given twice\n" },
	};

	EXPECT_ALL(mistakes);
}

static void test_missing(void **state)
{
	expect("workers = 1\n\n", "t.conf:4: `hostname` is missing\n"
				  "t.conf:4: block `certificate` is missing\n"
				  "t.conf:4: block `listener` is missing\n"
				  "t.conf:4: block `auth` is missing\n"
				  "t.conf:4: block `spool` is missing\n"
				  "t.conf:4: block `route` is missing\n");
	expect(MINIMAL "certificate \"two\" {\n key = k\n}\n"
		       "listener \"x\" {\n}\n",
	       "t.conf:9: certificate \"two\": `chain` is missing\n"
	       "t.conf:11: listener \"x\": `address` is missing\n"
	       "t.conf:11: listener \"x\": `tls` is missing\n");
	expect("hostname = a.test\n" CERTIFICATE LISTENER ROUTE
	       "auth { }\nspool { }\n",
	       "t.conf:5: auth: `file` is missing\n"
	       "t.conf:6: spool: `directory` is missing\n");
}

static void test_all_at_once(void **state)
{
	expect("hostname = \"a b\"\n" BASE
	       "workers = x\nlog { level = 1\n format = 2 }\n",
	       "t.conf:1: `hostname`: `a b` is not a domain name\n"
	       "t.conf:7: `workers`: `x` is not a number\n"
	       "t.conf:8: `level`: `1` is not error, warning, notice, info or "
	       "debug\n"
	       "t.conf:9: `format`: `2` is not text or json\n");
}

static void test_together(void **state)
{
	static const struct mistake mistakes[] = {
		{ MINIMAL "listener \"x\" { tls = starttls\n"
			  "address = { \"1.2.3.4:5\", \"[0::0]:465\" } }\n",
		  "t.conf:8: listener \"x\": [0::0]:465 belongs to listener "
		  "\"l\" already\n" },
		{ MINIMAL "listener \"x\" { tls = starttls\n"
			  "address = { \"1.2.3.4:5\", \"1.2.3.4:5\" } }\n",
		  "t.conf:8: listener \"x\": 1.2.3.4:5 belongs to listener "
		  "\"x\" already\n" },
		{ "hostname = a.test\n" CERTIFICATE LISTENER AUTH SPOOL
		  "route \"x\" { next_hop = discard domains = { a.test } }\n",
		  "t.conf:6: route \"default\" is missing\n" },
		{ MINIMAL "route \"x\" { next_hop = discard }\n",
		  "t.conf:7: route \"x\": `domains` is missing\n" },
		{ "hostname = a.test\n" CERTIFICATE LISTENER AUTH SPOOL
		  "route \"default\" { next_hop = discard domains = { a.test } "
		  "}\n",
		  "t.conf:6: route \"default\" takes all domains that are left: "
		  "it has no `domains`\n" },
		{ MINIMAL "route \"x\" { next_hop = discard\n"
			  "domains = { a.test } }\n"
			  "route \"y\" { next_hop = discard\n"
			  "domains = { b.test, A.TEST } }\n",
		  "t.conf:10: route \"y\": A.TEST belongs to route \"x\" "
		  "already\n" },
		{ MINIMAL
		  "route \"x\" { next_hop = \"smtps://h:465\" tls = none\n"
		  "domains = { a.test } }\n",
		  "t.conf:8: route \"x\": smtps:// is TLS: `tls` cannot be "
		  "none\n" },
		{ MINIMAL "listener \"x\" { tls = starttls nic = prefer\n"
			  "ktls = off address = \"1.2.3.4:5\" }\n",
		  "t.conf:8: listener \"x\": `nic` needs `ktls`: the kernel "
		  "hands the keys to the card\n" },
		{ MINIMAL "listener \"x\" { tls = starttls nic = require\n"
			  "tls12 = no address = \"1.2.3.4:5\" }\n",
		  "t.conf:8: listener \"x\": `nic` needs `tls12`: cards make "
		  "no records of TLS 1.3\n" },
		{ MINIMAL "route \"x\" { next_hop = \"smtp://h:25\"\n"
			  "nic = require ktls = off domains = { a.test } }\n",
		  "t.conf:8: route \"x\": `nic` needs `ktls`: the kernel "
		  "hands the keys to the card\n" },
		{ MINIMAL "limits { message_size = 64K }\n",
		  "t.conf:7: limits: `header_size` is more than "
		  "`message_size`\n" },
		{ MINIMAL "limits { recipients = 1025 }\n",
		  "t.conf:7: limits: 1025 `recipients` need an `envelope_size` "
		  "of 65600\n" },
		{ MINIMAL "shares { prefix_bytes = 1M user_bytes = 2M }\n",
		  "t.conf:7: shares: `prefix_bytes` is less than "
		  "limits.message_size\n"
		  "t.conf:7: shares: `user_bytes` is less than "
		  "limits.message_size\n" },
		{ MINIMAL "retry { first = 5h }\n",
		  "t.conf:7: retry: `first` is longer than `longest`\n" },
		{ MINIMAL "retry { give_up = 1h }\n",
		  "t.conf:7: retry: `longest` is longer than `give_up`\n" },
	};

	EXPECT_ALL(mistakes);
}

static void test_bounds_of_the_struct(void **state)
{
	static char text[64 * 1024];
	size_t at = (size_t)snprintf(text, sizeof(text), "%s", MINIMAL);
	struct config *c;

	at += (size_t)snprintf(text + at, sizeof(text) - at,
			       "listener \"x\" { tls = starttls address = {");
	for (int i = 0; i < CONFIG_ADDRESSES_MAX; i++)
		at += (size_t)snprintf(text + at, sizeof(text) - at,
				       "%s 127.0.0.1:%d", i ? "," : "",
				       1000 + i);
	(void)snprintf(text + at, sizeof(text) - at, "} }\n");
	c = parse_good(text);
	assert_int_equal(c->listeners[1].addresses_n, CONFIG_ADDRESSES_MAX);
	config_close(c);
	(void)snprintf(text + at, sizeof(text) - at, ", 127.0.0.1:9} }\n");
	expect(text, "t.conf:7: `address`: more than 16\n");

	at = (size_t)snprintf(text, sizeof(text), "%s", MINIMAL);
	for (int i = 0; i < CONFIG_CERTIFICATES_MAX; i++)
		at += (size_t)snprintf(
			text + at, sizeof(text) - at,
			"certificate c%d { chain = c key = k }\n", i);
	expect(text, "t.conf:70: more than 64 blocks `certificate`\n");
}

#define LABEL_63 \
	"abcdefghijklmnopqrstuvwxyz0123456789-ABCDEFGHIJKLMNOPQRSTUVWXYZ"

/* RFC 1035 2.3.4: 63 octets a label, 255 with their lengths a name. */
static void test_longest_domain(void **state)
{
	static const char longest[] = LABEL_63
		"." LABEL_63 "." LABEL_63 "."
		"a23456789012345678901234567890"
		"1234567890123456789012345678901";
	char text[1024];

	assert_int_equal(strlen(longest), 253);
	(void)snprintf(text, sizeof(text), "hostname = %s\n" BASE, longest);
	config_close(parse_good(text));
	(void)snprintf(text, sizeof(text), "hostname = %sx\n" BASE, longest);
	assert_null(parse(text).config);
	(void)snprintf(text, sizeof(text), "hostname = x" LABEL_63 "\n" BASE);
	assert_null(parse(text).config);
}

/* ---- reload -------------------------------------------------------------- */

static void test_diff(void **state)
{
	struct config *a = parse_good(MINIMAL);
	struct config *b = parse_good(MINIMAL "log { level = debug }\n");
	struct config *c =
		parse_good("hostname = b.test\n" CERTIFICATE LISTENER AUTH ROUTE
			   "spool { directory = other }\n"
			   "workers = 2\nuser = u\ncontrol = s\n"
			   "pid_file = p\n");
	struct buf lines;

	buf_init(&lines, storage, sizeof(storage) - 1);
	assert_false(config_diff(a, b, &lines));
	assert_int_equal(buf_len(&lines), 0);
	assert_true(config_diff(a, c, &lines));
	storage[lines.end] = '\0';
	assert_string_equal((char *)storage,
			    "workers: 0 -> 2 needs a restart\n"
			    "user: (none) -> u needs a restart\n"
			    "pid_file: (none) -> p needs a restart\n"
			    "control: (none) -> s needs a restart\n"
			    "spool directory: spool -> other needs a "
			    "restart\n");
	config_close(a);
	config_close(b);
	config_close(c);
}

/* Lines that do not fit are dropped whole, but counted. */
static void test_errors_overflow(void **state)
{
	uint8_t small[40];
	struct buf text;
	struct config_errors errors = { .text = &text };

	buf_init(&text, small, sizeof(small));
	assert_null(config_open("t.conf", "", &errors));
	assert_int_equal(errors.n, 6);
	assert_int_equal(buf_len(&text), 32);
	assert_memory_equal(small, "t.conf:2: `hostname` is missing\n", 32);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_top_level),
		cmocka_unit_test(test_listeners),
		cmocka_unit_test(test_routes),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_sample_is_right),
		cmocka_unit_test(test_sample_and_manual_are_complete),
		cmocka_unit_test(test_syntax),
		cmocka_unit_test(test_source),
		cmocka_unit_test(test_next_parse_is_clean),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_next_hops),
		cmocka_unit_test(test_twice),
		cmocka_unit_test(test_missing),
		cmocka_unit_test(test_all_at_once),
		cmocka_unit_test(test_together),
		cmocka_unit_test(test_bounds_of_the_struct),
		cmocka_unit_test(test_longest_domain),
		cmocka_unit_test(test_diff),
		cmocka_unit_test(test_errors_overflow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
