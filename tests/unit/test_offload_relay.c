/*
 * Bodies on their way to a next hop: in clear, and with records made by the
 * running kernel, byte for byte, whatever the path, however slow the peer.
 * Where the kernel has no kTLS what needs it is skipped; tests/vm has kernels
 * that do.
 */
#include "pki.h"
#include "relaysink.h"
#include "relayworld.h"

#include "tls/creds.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define MIB       (1u << 20)
#define LINE      62 /* bytes of a line, with its end */
#define BODY_MAX  (5 * MIB)
#define ENTER_MAX 3000 /* io_uring_enter calls that are no spin */

#define DATA_HELLO "250-sink\r\n250 PIPELINING\r\n"
#define BDAT_HELLO "250-sink\r\n250 CHUNKING\r\n"

struct shape {
	size_t bytes;
	size_t step; /* each so many lines begin with a dot; 0: none */
	bool open;   /* does not end with CRLF */
};

static const struct shape shapes[] = {
	{ 0, 0, false },
	{ 1, 0, true },
	{ 1, 1, true }, /* "." */
	{ 2, 0, false },
	{ 4096, 0, false },
	{ 4096, 7, false },
	{ 4096, 1, false }, /* more dots than are noted */
	{ 100 * 1024, 0, false },
	{ 100 * 1024, 300, true },
	{ 100 * 1024, 50, false },
	{ BODY_MAX, 0, false },
	{ 2 * MIB, 800, false },
	{ MIB, 200, false }, /* more dots than are noted */
};
#define SHAPES_N (sizeof(shapes) / sizeof(shapes[0]))

/* A next hop, a relay that knows it, and what it should have heard. */
struct scene {
	struct relayworld w;
	struct relaysink *k;
	pid_t pid;
	bool dotted;
	uint64_t delivered_n;
	uint64_t bytes;   /* of bodies */
	uint64_t spliced; /* of these, at most */
};

static struct pki leaf;
static struct creds *creds;
static enum offload_reason found; /* what the kernel has */
static uint8_t body_bytes[BODY_MAX];

/* -- bodies ----------------------------------------------------------------- */

static void end_body(const struct shape *shape)
{
	uint8_t *end = body_bytes + shape->bytes;

	if (!shape->open && shape->bytes > 1)
		memcpy(end - 2, "\r\n", 2);
	if (shape->step && !shape->open && shape->bytes > 4)
		memcpy(end - 5, "\r\n.\r\n", 5);
}

static struct span make_body(const struct shape *shape)
{
	uint32_t random = 1;

	for (size_t i = 0; i < shape->bytes; i++) {
		size_t column = i % LINE;

		random = random * 1664525 + 1013904223;
		body_bytes[i] = (uint8_t)('a' + (random >> 24) % 26);
		if (column >= LINE - 2 &&
		    !(shape->open && i + 2 > shape->bytes))
			body_bytes[i] = column == LINE - 2 ? '\r' : '\n';
		if (!column && shape->step && !(i / LINE % shape->step))
			body_bytes[i] = '.';
	}
	end_body(shape);
	return span_of(body_bytes, shape->bytes);
}

static uint64_t dots_of(struct span body)
{
	uint64_t n = 0;

	for (size_t i = 0; i < body.len; i++)
		n += body.p[i] == '.' && (!i || body.p[i - 1] == '\n');
	return n;
}

/* What a body that nobody need look at leaves to be spliced. */
static uint64_t spliced_of(const struct scene *s, struct span body)
{
	if (!s->dotted)
		return body.len;
	return dots_of(body) > DOTS_MAX || body.len < 2 ? 0 : body.len - 2;
}

/* -- scenes ----------------------------------------------------------------- */

static void scene_open(struct scene *s, const char *hello,
		       enum config_body_path path)
{
	memset(s, 0, sizeof(*s));
	relayworld_open(&s->w);
	s->w.config.any_ktls_kernel = true;
	s->dotted = strcmp(hello, BDAT_HELLO);
	s->k = relaysink_open(&s->w, hello, &s->pid, NULL, false);
	s->w.config.routes[0].body_path = path;
	s->w.config.routes[0].connections = 1;
}

/* TLS of that version from the first byte. */
static void scene_open_tls(struct scene *s, const char *hello, SSL_CTX *tls)
{
	memset(s, 0, sizeof(*s));
	relayworld_open(&s->w);
	s->w.config.any_ktls_kernel = true;
	s->dotted = strcmp(hello, BDAT_HELLO);
	s->k = relaysink_open(&s->w, hello, &s->pid, tls, true);
	s->w.options.routes[0].creds = creds;
	s->w.config.routes[0].body_path = CONFIG_BODY_SPLICE;
	s->w.config.routes[0].ktls = CONFIG_KTLS_REQUIRE;
	s->w.config.routes[0].connections = 1;
}

static void scene_close(struct scene *s)
{
	relayworld_drain(&s->w);
	relaysink_close(s->pid);
	relayworld_close(&s->w);
}

static uint64_t expected_hash(const struct scene *s, struct span body)
{
	uint64_t hash = relaysink_hash(RELAYSINK_HASH, body);
	bool ended = !body.len || (body.len > 1 &&
				   !memcmp(body.p + body.len - 2, "\r\n", 2));

	/* DATA makes whole lines of it, which is all that it may change. */
	return !s->dotted || ended ? hash : relaysink_hash(hash, SPAN("\r\n"));
}

static void deliver(struct scene *s, const struct shape *shape)
{
	struct span body = make_body(shape);

	(void)relayworld_submit(&s->w, "b@example.net", body);
	s->bytes += body.len;
	s->spliced += spliced_of(s, body);
	relayworld_wait_for_metric(&s->w, METRIC_DELIVERIES_OK,
				   ++s->delivered_n);
	assert_true(s->k->body_hash == expected_hash(s, body));
}

static void deliver_all(struct scene *s)
{
	relayworld_start(&s->w);
	for (size_t i = 0; i < SHAPES_N; i++)
		deliver(s, &shapes[i]);
	assert_int_equal(s->k->connections, 1);
}

static uint64_t copied(const struct scene *s)
{
	return metric_read(s->w.metrics, METRIC_NEXT_HOP_BYTES_COPIED);
}

static uint64_t spliced(const struct scene *s)
{
	return metric_read(s->w.metrics, METRIC_NEXT_HOP_BYTES_SPLICED);
}

static void expect_no_spin(const struct scene *s)
{
	uint64_t enters = metric_read(s->w.metrics, METRIC_RING_ENTERS);

	if (enters > ENTER_MAX)
		fail_msg("%llu io_uring_enter calls",
			 (unsigned long long)enters);
}

/* -- in clear --------------------------------------------------------------- */

static void clear_by_every_path(void **state)
{
	static const char *const hellos[] = { DATA_HELLO, BDAT_HELLO };

	for (size_t i = 0; i < 2; i++) {
		for (int path = CONFIG_BODY_AUTO; path <= CONFIG_BODY_SPLICE;
		     path++) {
			struct scene s;

			scene_open(&s, hellos[i], (enum config_body_path)path);
			deliver_all(&s);
			assert_int_equal(copied(&s) + spliced(&s), s.bytes);
			if (path == CONFIG_BODY_COPY)
				assert_int_equal(spliced(&s), 0);
			if (path == CONFIG_BODY_SPLICE)
				assert_int_equal(spliced(&s), s.spliced);
			if (path == CONFIG_BODY_AUTO)
				assert_in_range(spliced(&s), 1, s.spliced);
			expect_no_spin(&s);
			scene_close(&s);
		}
	}
}

static void hear_slowly(struct scene *s)
{
	const struct shape large = { 2 * MIB, 800, false };

	s->k->slow = true;
	relayworld_start(&s->w);
	deliver(s, &large);
	expect_no_spin(s);
	scene_close(s);
}

static void slow_reader_in_clear(void **state)
{
	struct scene s;

	for (int path = CONFIG_BODY_COPY; path <= CONFIG_BODY_SPLICE; path++) {
		scene_open(&s, DATA_HELLO, (enum config_body_path)path);
		hear_slowly(&s);
		scene_open(&s, BDAT_HELLO, (enum config_body_path)path);
		hear_slowly(&s);
	}
}

/* A next hop that takes no more holds up its own message and no other. */
static void stuck_reader_in_clear(void **state)
{
	const struct shape large = { BODY_MAX, 0, false };
	struct scene s;

	scene_open(&s, BDAT_HELLO, CONFIG_BODY_SPLICE);
	relayworld_add_route(&s.w, CONFIG_HOP_DISCARD, "example.com");
	s.k->slow = s.k->stuck = true;
	relayworld_start(&s.w);
	(void)relayworld_submit(&s.w, "b@example.net", make_body(&large));
	for (int ms = 0; ms < 10000 && !spliced(&s); ms++)
		(void)usleep(1000);
	for (int i = 0; i < 10; i++)
		(void)relayworld_submit(&s.w, "b@example.com", SPAN("x\r\n"));
	relayworld_wait_for_metric(&s.w, METRIC_DELIVERIES_OK, 10);
	assert_true(spliced(&s) < BODY_MAX);
	s.k->stuck = false;
	relayworld_wait_for_metric(&s.w, METRIC_DELIVERIES_OK, 11);
	assert_int_equal(spliced(&s), BODY_MAX);
	expect_no_spin(&s);
	scene_close(&s);
}

/* P1: what was cut off is tried again, whole. */
static void die_once(struct scene *s)
{
	const struct shape large = { 2 * MIB, 0, false };
	struct span body = make_body(&large);

	s->k->dies_at = MIB / 4;
	relayworld_start(&s->w);
	(void)relayworld_submit(&s->w, "b@example.net", body);
	relayworld_wait_for_metric(&s->w, METRIC_DELIVERIES_DEFERRED, 1);
	assert_int_equal(metric_read(s->w.metrics, METRIC_DELIVERIES_OK), 0);
	assert_int_equal(s->k->messages, 0);
	s->k->dies_at = 0;
	relayworld_wait_for_metric(&s->w, METRIC_DELIVERIES_OK, 1);
	assert_int_equal(s->k->messages, 1);
	assert_true(s->k->body_hash == expected_hash(s, body));
	expect_no_spin(s);
	scene_close(s);
}

static void peer_that_dies_in_mid_body(void **state)
{
	struct scene s;

	scene_open(&s, DATA_HELLO, CONFIG_BODY_SPLICE);
	die_once(&s);
	scene_open(&s, BDAT_HELLO, CONFIG_BODY_SPLICE);
	die_once(&s);
}

/* P2: a file that is too short never looks like a whole message. */
static void cut_short(const char *hello)
{
	const struct shape large = { BODY_MAX, 0, false };
	struct scene s;
	char command[128];

	scene_open(&s, hello, CONFIG_BODY_SPLICE);
	(void)relayworld_submit(&s.w, "b@example.net", make_body(&large));
	(void)snprintf(command, sizeof(command),
		       "truncate -s 1000000 %s/files/*", s.w.path);
	assert_int_equal(system(command), 0);
	relayworld_start(&s.w);
	relayworld_wait_for_metric(&s.w, METRIC_QUEUE_DEFERRED_NOW, 1);
	assert_int_equal(s.k->messages, 0);
	scene_close(&s);
}

static void body_cut_short_on_disk(void **state)
{
	cut_short(DATA_HELLO);
	cut_short(BDAT_HELLO);
}

/* -- over TLS --------------------------------------------------------------- */

static bool kernel_lacks_it(void)
{
	if (found == OFFLOAD_KERNEL)
		return false;
	print_message("needs a kernel with kTLS: %s\n", offload_help(found));
	return true;
}

static SSL_CTX *server_context(int version)
{
	SSL_CTX *tls = SSL_CTX_new(TLS_server_method());

	assert_int_equal(SSL_CTX_use_certificate(tls, leaf.certificate), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey(tls, leaf.key), 1);
	assert_int_equal(SSL_CTX_set_min_proto_version(tls, version), 1);
	assert_int_equal(SSL_CTX_set_max_proto_version(tls, version), 1);
	return tls;
}

/* Sockets whose sending keys the kernel was given, ever. */
static uint64_t kernel_count(void)
{
	FILE *f = fopen("/proc/net/tls_stat", "re");
	unsigned long long n, sum = 0;
	char name[64];

	while (f && fscanf(f, "%63s %llu", name, &n) == 2)
		if (!strcmp(name, "TlsTxSw") || !strcmp(name, "TlsTxDevice"))
			sum += n;
	if (f)
		(void)fclose(f);
	return sum;
}

typedef void (*scene_act)(struct scene *s);

static void over_tls(const char *hello, int version, scene_act act)
{
	SSL_CTX *tls = server_context(version);
	uint64_t before = kernel_count();
	struct scene s;

	scene_open_tls(&s, hello, tls);
	act(&s);
	assert_true(kernel_count() > before);
	SSL_CTX_free(tls);
}

static void deliver_by_kernel(struct scene *s)
{
	deliver_all(s);
	assert_int_equal(metric_read(s->w.metrics, METRIC_NEXT_HOPS_KERNEL),
			 s->k->connections);
	assert_int_equal(spliced(s), s->spliced);
	assert_int_equal(copied(s) + spliced(s), s->bytes);
	expect_no_spin(s);
	scene_close(s);
}

static void with_both(scene_act act)
{
	static const char *const hellos[] = { DATA_HELLO, BDAT_HELLO };

	for (size_t i = 0; i < 2; i++) {
		over_tls(hellos[i], TLS1_2_VERSION, act);
		over_tls(hellos[i], TLS1_3_VERSION, act);
	}
}

static void kernel_records_carry_every_body(void **state)
{
	if (kernel_lacks_it())
		skip();
	with_both(deliver_by_kernel);
}

static void slow_reader_of_kernel_records(void **state)
{
	if (kernel_lacks_it())
		skip();
	with_both(hear_slowly);
}

static void peer_that_dies_under_kernel_records(void **state)
{
	if (kernel_lacks_it())
		skip();
	with_both(die_once);
}

/* STARTTLS, and a next hop that hears each session ended in order. */
static void kernel_records_behind_starttls(void **state)
{
	const struct shape large = { MIB, 100, false };
	SSL_CTX *tls;
	struct scene s;

	if (kernel_lacks_it())
		skip();
	tls = server_context(TLS1_3_VERSION);
	memset(&s, 0, sizeof(s));
	relayworld_open(&s.w);
	s.w.config.any_ktls_kernel = true;
	s.k = relaysink_open(&s.w,
			     "250-sink\r\n250-STARTTLS\r\n250 CHUNKING\r\n",
			     &s.pid, tls, false);
	s.w.options.routes[0].creds = creds;
	s.w.config.routes[0].ktls = CONFIG_KTLS_PREFER;
	relayworld_start(&s.w);
	deliver(&s, &large);
	assert_int_equal(spliced(&s), MIB);
	scene_close(&s);
	SSL_CTX_free(tls);
}

/* Without kTLS: prefer does without, require does not deliver. */
static void policy_without_kernel(void **state)
{
	const struct shape large = { MIB, 100, false };
	SSL_CTX *tls;
	struct scene s;

	if (found == OFFLOAD_KERNEL) {
		print_message("needs a kernel without kTLS\n");
		skip();
	}
	tls = server_context(TLS1_3_VERSION);
	scene_open_tls(&s, BDAT_HELLO, tls);
	s.w.config.routes[0].ktls = CONFIG_KTLS_PREFER;
	relayworld_start(&s.w);
	deliver(&s, &large);
	assert_int_equal(metric_read(s.w.metrics, METRIC_NEXT_HOPS_USERSPACE),
			 1);
	assert_int_equal(copied(&s), MIB);
	scene_close(&s);
	scene_open_tls(&s, BDAT_HELLO, tls);
	s.w.config.retry.first = s.w.config.retry.longest = 600; /* once */
	relayworld_start(&s.w);
	(void)relayworld_submit(&s.w, "b@example.net", SPAN("x\r\n"));
	relayworld_wait_for_metric(&s.w, METRIC_DELIVERIES_DEFERRED, 1);
	assert_int_equal(s.k->messages + s.k->recipients, 0);
	scene_close(&s);
	SSL_CTX_free(tls);
}

/* Answers one question of the relay's, as the supervisor would. */
static void answer(int census, struct diag_makers makers)
{
	struct diag_question q;
	struct diag_answer a;

	assert_int_equal(recv(census, &q, sizeof(q), 0), sizeof(q));
	assert_int_equal(q.socket.family, AF_INET);
	a = (struct diag_answer){ q.slot, q.generation, makers };
	assert_int_equal(send(census, &a, sizeof(a), 0), sizeof(a));
}

/* Mail goes out: what the card makes decides, not what it opens. */
static void card_is_required(void **state)
{
	const struct timeval patience = { .tv_sec = 20 };
	SSL_CTX *tls;
	struct scene s;
	int ends[2];

	if (kernel_lacks_it())
		skip();
	tls = server_context(TLS1_2_VERSION);
	scene_open_tls(&s, BDAT_HELLO, tls);
	assert_int_equal(
		socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	assert_int_equal(setsockopt(ends[1], SOL_SOCKET, SO_RCVTIMEO, &patience,
				    sizeof(patience)),
			 0);
	s.w.config.routes[0].nic = CONFIG_NIC_REQUIRE;
	s.w.options.census_fd = ends[0];
	relayworld_start(&s.w);
	(void)relayworld_submit(&s.w, "b@example.net", SPAN("x\r\n"));
	/* Each connection asks; there is another only if one was of no use. */
	answer(ends[1], (struct diag_makers){ 0 });
	answer(ends[1], (struct diag_makers){ DIAG_SOFTWARE, DIAG_DEVICE });
	answer(ends[1], (struct diag_makers){ DIAG_DEVICE, DIAG_SOFTWARE });
	relayworld_wait_for_metric(&s.w, METRIC_DELIVERIES_OK, 1);
	assert_int_equal(s.k->connections, 3);
	assert_int_equal(s.k->recipients, 1);
	assert_int_equal(metric_read(s.w.metrics, METRIC_NEXT_HOPS_NIC), 1);
	scene_close(&s);
	(void)close(ends[0]);
	(void)close(ends[1]);
	SSL_CTX_free(tls);
}

/* -- all of it --------------------------------------------------------------- */

static int setup(void **state)
{
	const struct pki_wish wish = { .subject = "mx",
				       .names = "DNS:mx.example",
				       .key = "P-256",
				       .ca = true };
	struct creds_client_options options = { .verify = true };
	struct creds_error error;
	char path[64];
	int result;

	pki_make(&leaf, &wish);
	pki_write(&leaf, path);
	options.ca_file = path;
	result = creds_open_client(&options, &creds, &error);
	(void)unlink(path);
	found = offload_probe();
	return result;
}

static int teardown(void **state)
{
	creds_close(creds);
	pki_free(&leaf);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(clear_by_every_path),
		cmocka_unit_test(slow_reader_in_clear),
		cmocka_unit_test(stuck_reader_in_clear),
		cmocka_unit_test(peer_that_dies_in_mid_body),
		cmocka_unit_test(body_cut_short_on_disk),
		cmocka_unit_test(kernel_records_carry_every_body),
		cmocka_unit_test(slow_reader_of_kernel_records),
		cmocka_unit_test(peer_that_dies_under_kernel_records),
		cmocka_unit_test(kernel_records_behind_starttls),
		cmocka_unit_test(policy_without_kernel),
		cmocka_unit_test(card_is_required),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
