#include "tls/flaws.h"

#include "pki.h"
#include "tlssock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <linux/tls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

/*
 * Records made by the running kernel, on one side; OpenSSL by itself on the
 * other. Where the kernel has no kTLS, all but the first test are skipped:
 * tests/vm runs them in virtual machines.
 */

#define MIB (1u << 20)

static struct tlssock ours;
static SSL *peer;
static struct offload offload;
static struct pki leaf;
static struct ticket_keys ticket_keys;
static uint8_t pattern[MIB];
static enum offload_reason found; /* what the kernel has */

struct suite {
	const char *name;
	int version;
};

static const struct suite suites[] = {
	{ "TLS_AES_128_GCM_SHA256", TLS1_3_VERSION },
	{ "TLS_AES_256_GCM_SHA384", TLS1_3_VERSION },
	{ "TLS_CHACHA20_POLY1305_SHA256", TLS1_3_VERSION },
	{ "ECDHE-ECDSA-AES128-GCM-SHA256", TLS1_2_VERSION },
	{ "ECDHE-ECDSA-AES256-GCM-SHA384", TLS1_2_VERSION },
	{ "ECDHE-ECDSA-CHACHA20-POLY1305", TLS1_2_VERSION },
};
#define SUITES_N 6
#define TLS12    3

struct scene {
	int suite;
	bool we_serve;
	uint32_t tickets;
	bool early;         /* the peer talks right behind its Finished */
	bool off;           /* switched off */
	bool wait;          /* begin without asking */
	uint32_t ask_after; /* so many bytes of that, taken one by one */
};

/* Both sides take turns until COND holds. */
#define until(cond)                                                    \
	do {                                                           \
		time_t limit = time(NULL) + 60;                        \
		while (!(cond)) {                                      \
			turn();                                        \
			if (time(NULL) > limit)                        \
				fail_msg("waited in vain: %s", #cond); \
		}                                                      \
	} while (0)

static bool kernel_lacks_it(void)
{
	if (found == OFFLOAD_KERNEL)
		return false;
	print_message("needs a kernel with kTLS: %s\n", offload_help(found));
	return true;
}

/* Our side moves, and waits for the network when it cannot. */
static void turn(void)
{
	struct pollfd wait = { .fd = ours.fd, .events = POLLIN };

	while (tlssock_step(&ours))
		;
	if (!SSL_is_init_finished(peer))
		(void)SSL_do_handshake(peer);
	(void)poll(&wait, 1, 1);
}

static struct creds *open_server(uint32_t tickets)
{
	const struct creds_server_options options = {
		.tls12 = true,
		.resumption = tickets > 0,
		.tickets = tickets,
		.ticket_keys = tickets ? &ticket_keys : NULL,
	};
	struct pki_text chain = pki_certificate(&leaf);
	struct pki_text key = pki_key(&leaf, NULL);
	struct creds_certificate certificate = { "main", pki_span(&chain),
						 pki_span(&key) };
	struct creds_error error;
	struct creds *creds;

	assert_int_equal(creds_open_server(&certificate, 1, &options, &creds,
					   &error),
			 0);
	return creds;
}

static struct creds *open_client(void)
{
	const struct creds_client_options options = { .verify = false };
	struct creds_error error;
	struct creds *creds;

	assert_int_equal(creds_open_client(&options, &creds, &error), 0);
	return creds;
}

static void open_peer(const struct scene *scene, int fd)
{
	const struct suite *suite = &suites[scene->suite];
	SSL_CTX *ctx = SSL_CTX_new(TLS_method());

	SSL_CTX_set_min_proto_version(ctx, suite->version);
	SSL_CTX_set_max_proto_version(ctx, suite->version);
	if (suite->version == TLS1_3_VERSION)
		assert_true(SSL_CTX_set_ciphersuites(ctx, suite->name));
	else
		assert_true(SSL_CTX_set_cipher_list(ctx, suite->name));
	SSL_CTX_set_num_tickets(ctx, scene->tickets);
	SSL_CTX_use_certificate(ctx, leaf.certificate);
	SSL_CTX_use_PrivateKey(ctx, leaf.key);
	SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE |
				      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	peer = SSL_new(ctx);
	SSL_CTX_free(ctx);
	SSL_set_fd(peer, fd);
	if (scene->we_serve)
		SSL_set_connect_state(peer);
	else
		SSL_set_accept_state(peer);
}

static const char early_words[] = "EHLO behind Finished\r\n";

/* Shakes hands and, unless `offload` says otherwise, goes to the kernel. */
static void begin(const struct scene *scene)
{
	struct creds *creds = scene->we_serve ? open_server(scene->tickets) :
						open_client();
	int fd[2], n;

	tlssock_pair(fd);
	open_peer(scene, fd[1]);
	tlssock_open(&ours, fd[0], creds,
		     scene->we_serve ? NULL : "mx.example.org");
	creds_close(creds);
	ours.offload = scene->wait ? NULL : &offload;
	if (scene->off)
		ours.policy = OFFLOAD_POLICY_OFF;
	ours.ask_after_n = scene->ask_after;
	if (scene->ask_after)
		ours.recv_max = 1;
	if (scene->early) {
		/* Without a turn of ours between its Finished and its words. */
		until(SSL_is_init_finished(peer));
		n = SSL_write(peer, early_words, sizeof(early_words));
		assert_int_equal(n, sizeof(early_words));
	}
	until(SSL_is_init_finished(peer) && ours.open &&
	      (scene->wait ||
	       (ours.asked && ours.answer != RECORD_OFFLOAD_LATER)));
	ours.recv_max = TLSSOCK_BYTES;
}

static void finish(void)
{
	int fd = SSL_get_fd(peer);

	SSL_free(peer);
	close(fd);
	tlssock_close(&ours);
}

static void attach_ulp(void)
{
	assert_int_equal(setsockopt(ours.fd, IPPROTO_TCP, TCP_ULP, "tls", 3),
			 0);
}

/* Counters of the kernel's own. */
static long kernel_counter(const char *name)
{
	FILE *f = fopen("/proc/net/tls_stat", "re");
	char line[128];
	long value = -1, n;
	char key[64];

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%63s %ld", key, &n) == 2 &&
		    !strcmp(key, name))
			value = n;
	if (f)
		fclose(f);
	return value;
}

struct flow {
	size_t sealed, heard; /* ours */
	size_t said, read;    /* the peer's */
};

static void our_part(struct flow *f, size_t total)
{
	struct span rest = span_of(pattern + f->sealed, total - f->sealed);
	struct span got = buf_span(&ours.plain);

	if (rest.len && !buf_len(&ours.out)) {
		assert_int_equal(record_seal(&ours.record, &rest, &ours.out),
				 RECORD_OK);
		f->sealed = total - rest.len;
	}
	assert_true(got.len <= total - f->heard);
	assert_memory_equal(got.p, pattern + f->heard, got.len);
	f->heard += got.len;
	buf_consume(&ours.plain, got.len);
}

static void peers_part(struct flow *f, size_t total)
{
	static uint8_t bytes[16384];
	size_t n;

	while (f->said < total &&
	       SSL_write_ex(peer, pattern + f->said, total - f->said, &n))
		f->said += n;
	while (f->read < total && SSL_read_ex(peer, bytes, sizeof(bytes), &n)) {
		assert_true(n <= total - f->read);
		assert_memory_equal(bytes, pattern + f->read, n);
		f->read += n;
	}
}

/* The same bytes go both ways at once, and each is looked at. */
static void exchange(size_t total)
{
	struct flow f = { 0 };
	time_t limit = time(NULL) + 60;

	while (f.heard < total || f.read < total) {
		our_part(&f, total);
		peers_part(&f, total);
		turn();
		assert_int_equal(ours.ended, RECORD_OK);
		assert_true(time(NULL) <= limit);
	}
}

static void expect_plain(struct span expected)
{
	until(buf_len(&ours.plain) >= expected.len);
	assert_true(span_equal(buf_span(&ours.plain), expected));
	buf_clear(&ours.plain);
}

/* The peer reads until OpenSSL says how it ends. */
static int peers_end(void)
{
	char bytes[100];
	int error = SSL_ERROR_WANT_READ;

	for (int i = 0; i < 2000 && error == SSL_ERROR_WANT_READ; i++) {
		turn();
		error = SSL_get_error(peer,
				      SSL_read(peer, bytes, sizeof(bytes)));
	}
	return error;
}

static void peer_says(const char *text)
{
	assert_int_equal(SSL_write(peer, text, (int)strlen(text)),
			 strlen(text));
}

static void reasons_without_a_kernel(void **state)
{
	struct scene scene = { .we_serve = true };

	if (found == OFFLOAD_KERNEL) {
		print_message("needs a kernel without kTLS\n");
		skip();
	}
	begin(&scene);
	assert_int_equal(ours.answer, RECORD_OFFLOAD_NEVER);
	assert_int_equal(record_offload_reason(&ours.record), OFFLOAD_NO_ULP);
	assert_string_equal(record_name(&ours.record), "userspace");
	exchange(100000);
	finish();
	scene.early = true;
	begin(&scene);
	expect_plain(
		span_of((const uint8_t *)early_words, sizeof(early_words)));
	exchange(10000);
	finish();
}

static void every_suite_moves_a_megabyte(void **state)
{
	long tx, rx;

	if (kernel_lacks_it())
		skip();
	for (int i = 0; i < 2 * SUITES_N; i++) {
		struct scene scene = { .suite = i / 2, .we_serve = i % 2 };

		tx = kernel_counter("TlsTxSw");
		rx = kernel_counter("TlsRxSw");
		begin(&scene);
		assert_int_equal(record_offload_reason(&ours.record),
				 OFFLOAD_KERNEL);
		assert_int_equal(ours.answer, RECORD_OFFLOAD_DONE);
		assert_string_equal(record_name(&ours.record), "kernel");
		assert_null(ours.record.ssl);
		assert_int_equal(kernel_counter("TlsTxSw"), tx + 1);
		assert_int_equal(kernel_counter("TlsRxSw"), rx + 1);
		exchange(MIB);
		finish();
	}
}

/* Tickets and data before, during and after the passage: nothing is lost. */
static void nothing_is_lost_on_the_way(void **state)
{
	static const struct {
		bool early;
		uint32_t ask_after;
	} ways[] = { { false, 0 }, { true, 0 }, { true, 3 },
		     { true, 5 },  { true, 9 }, { true, 30 } };
	uint32_t laters_n = 0, controls_n = 0;

	if (kernel_lacks_it())
		skip();
	for (int i = 0; i < SUITES_N * 2 * 3 * 6; i++) {
		struct scene scene = {
			.suite = i % SUITES_N,
			.we_serve = i / 6 % 2,
			.tickets = (uint32_t)i / 12 % 3,
			.early = ways[i / 36].early,
			.ask_after = ways[i / 36].ask_after,
		};

		begin(&scene);
		assert_int_equal(ours.answer, RECORD_OFFLOAD_DONE);
		laters_n += ours.laters_n;
		if (scene.early)
			expect_plain(span_of((const uint8_t *)early_words,
					     sizeof(early_words)));
		exchange(20000);
		controls_n += ours.controls_n;
		finish();
	}
	assert_true(laters_n > 1000);
	assert_true(controls_n > 10); /* tickets met by a client */
}

static void close_notify_goes_both_ways(void **state)
{
	if (kernel_lacks_it())
		skip();
	for (int i = 0; i < 2 * SUITES_N; i++) {
		struct scene scene = { .suite = i / 2, .we_serve = i % 2 };
		struct span late = SPAN("late");

		begin(&scene);
		peer_says("QUIT\r\n");
		assert_int_equal(SSL_shutdown(peer), 0);
		until(ours.ended != RECORD_OK);
		assert_int_equal(ours.ended, RECORD_CLOSED);
		expect_plain(SPAN("QUIT\r\n"));
		/* Our side is open still. */
		buf_put_str(&ours.out, "221 bye\r\n");
		record_shutdown(&ours.record, &ours.out);
		assert_int_equal(record_seal(&ours.record, &late, &ours.out),
				 RECORD_CLOSED);
		until(!buf_len(&ours.out));
		assert_int_equal(peers_end(), SSL_ERROR_NONE);
		assert_int_equal(peers_end(), SSL_ERROR_ZERO_RETURN);
		finish();
	}
}

/* Whether the running kernel can change keys is for itself to say. */
static bool can_rekey(void)
{
	return offload_can_rekey(&offload);
}

static void follows_key_updates(void **state)
{
	if (kernel_lacks_it())
		skip();
	for (int i = 0; i < 2 * 2 * TLS12; i++) {
		struct scene scene = { .suite = i / 4, .we_serve = i % 2 };
		int kind = i / 2 % 2 ? SSL_KEY_UPDATE_REQUESTED :
				       SSL_KEY_UPDATE_NOT_REQUESTED;

		if (!can_rekey())
			break;
		begin(&scene);
		for (int n = 0; n < 5; n++) {
			assert_true(SSL_key_update(peer, kind));
			exchange(50000);
		}
		assert_int_equal(ours.controls_n, 5);
		finish();
	}
	for (int i = 0; i < 2 * 2 * TLS12; i++) {
		struct scene scene = { .suite = i / 4, .we_serve = i % 2 };
		int kind = i / 2 % 2 ? SSL_KEY_UPDATE_REQUESTED :
				       SSL_KEY_UPDATE_NOT_REQUESTED;

		if (can_rekey())
			break;
		begin(&scene);
		peer_says("NOOP\r\n");
		assert_true(SSL_key_update(peer, kind));
		peer_says("RSET\r\n");
		until(ours.ended != RECORD_OK);
		assert_int_equal(ours.ended, RECORD_LAST);
		expect_plain(SPAN("NOOP\r\n"));
		/* The reply that is due, and a decent end. */
		buf_put_str(&ours.out, "250 OK\r\n");
		record_shutdown(&ours.record, &ours.out);
		assert_int_equal(peers_end(), SSL_ERROR_NONE);
		assert_int_equal(peers_end(), SSL_ERROR_ZERO_RETURN);
		finish();
	}
}

static void key_update_flood_is_cut_off(void **state)
{
	struct scene scene = { .we_serve = true };

	if (kernel_lacks_it())
		skip();
	if (!can_rekey()) {
		print_message("needs a kernel that changes keys, 6.14\n");
		skip();
	}
	begin(&scene);
	for (int i = 0; i < 2 * RECORD_CONTROL_MAX; i++) {
		assert_true(SSL_key_update(peer, SSL_KEY_UPDATE_NOT_REQUESTED));
		(void)SSL_write(peer, "x", 1);
		turn();
	}
	until(ours.ended != RECORD_OK);
	assert_int_equal(ours.ended, RECORD_FAILED);
	assert_int_equal(buf_len(&ours.plain), RECORD_CONTROL_MAX);
	assert_int_equal(peers_end(), SSL_ERROR_SSL); /* a fatal alert */
	finish();
}

/* TLS 1.2: a ClientHello or a HelloRequest in the middle. */
static void renegotiation_is_the_end(void **state)
{
	if (kernel_lacks_it())
		skip();
	for (int i = 0; i < 2 * TLS12; i++) {
		struct scene scene = { .suite = TLS12 + i / 2,
				       .we_serve = i % 2 };

		begin(&scene);
		assert_true(SSL_renegotiate(peer));
		(void)SSL_do_handshake(peer);
		until(ours.ended != RECORD_OK);
		assert_int_equal(ours.ended, RECORD_FAILED);
		until(!record_take_control(&ours.record, &ours.said));
		assert_int_equal(peers_end(), SSL_ERROR_SSL);
		finish();
	}
}

/* What the peer writes next is caught, for a test to spoil. */
static size_t catch_record(const char *text, uint8_t *to, size_t room)
{
	BIO *caught = BIO_new(BIO_s_mem());
	BIO *wire = SSL_get_wbio(peer);
	int n;

	BIO_up_ref(wire);
	SSL_set0_wbio(peer, caught);
	peer_says(text);
	n = BIO_read(caught, to, (int)room);
	SSL_set0_wbio(peer, wire);
	assert_true(n > 0);
	return (size_t)n;
}

static void corrupted_record_is_the_end(void **state)
{
	uint8_t bytes[200];
	size_t n;

	if (kernel_lacks_it())
		skip();
	for (int i = 0; i < 3 * SUITES_N; i++) {
		static const size_t at[] = { 0, 1, 20 };
		struct scene scene = { .suite = i / 3, .we_serve = i % 2 };
		struct span text = SPAN("x");

		/* The type outside of TLS 1.3 records means nothing, and the
		 * kernel does not look at it. */
		if (scene.suite < TLS12 && !at[i % 3])
			continue;
		begin(&scene);
		peer_says("NOOP\r\n");
		n = catch_record("MAIL FROM:<a@b>\r\n", bytes, sizeof(bytes));
		bytes[at[i % 3]] ^= 0x40;
		assert_int_equal(send(SSL_get_fd(peer), bytes, n, 0), n);
		until(ours.ended != RECORD_OK);
		assert_int_equal(ours.ended, RECORD_FAILED);
		expect_plain(SPAN("NOOP\r\n"));
		assert_int_equal(record_seal(&ours.record, &text, &ours.out),
				 RECORD_FAILED);
		record_shutdown(&ours.record, &ours.out);
		assert_false(record_take_control(&ours.record, &ours.said));
		/* Who reads on is told the same or waits, and does not spin. */
		assert_true(recv(ours.fd, bytes, sizeof(bytes), 0) < 0);
		if (errno != EAGAIN)
			assert_int_equal(record_receive_failed(&ours.record,
							       -errno),
					 RECORD_LOST);
		finish();
	}
}

static void truncated_record_gives_nothing(void **state)
{
	uint8_t bytes[200];
	size_t n;

	if (kernel_lacks_it())
		skip();
	for (int i = 0; i < SUITES_N; i++) {
		struct scene scene = { .suite = i, .we_serve = true };

		begin(&scene);
		peer_says("NOOP\r\n");
		n = catch_record("MAIL FROM:<a@b>\r\n", bytes, sizeof(bytes));
		assert_int_equal(send(SSL_get_fd(peer), bytes, n - 1, 0),
				 n - 1);
		shutdown(SSL_get_fd(peer), SHUT_WR);
		until(ours.eof || ours.ended != RECORD_OK);
		assert_true(ours.eof); /* and no close_notify came */
		assert_int_equal(ours.ended, RECORD_OK);
		expect_plain(SPAN("NOOP\r\n"));
		finish();
	}
}

/* A cipher that the kernel refuses leaves the socket so. */
static void ulp_alone_changes_nothing(void **state)
{
	struct scene scene = { .we_serve = true, .off = true };

	if (kernel_lacks_it())
		skip();
	begin(&scene);
	assert_int_equal(ours.answer, RECORD_OFFLOAD_NEVER);
	attach_ulp();
	exchange(100000);
	finish();
}

/* One direction could be installed, the other not: it is the end. */
static void half_is_the_end(void **state)
{
	const struct tls12_crypto_info_aes_gcm_128 other = {
		.info = { TLS_1_2_VERSION, TLS_CIPHER_AES_GCM_128 }
	};
	struct scene scene = { .suite = TLS12, .we_serve = true, .wait = true };
	struct span text = SPAN("x");

	if (kernel_lacks_it())
		skip();
	begin(&scene);
	attach_ulp();
	assert_int_equal(
		setsockopt(ours.fd, SOL_TLS, TLS_RX, &other, sizeof(other)), 0);
	assert_int_equal(record_offload(&ours.record, ours.fd, &offload,
					OFFLOAD_POLICY_PREFER, 0),
			 RECORD_OFFLOAD_FAILED);
	assert_int_equal(record_offload_reason(&ours.record), OFFLOAD_ERROR);
	assert_int_equal(record_seal(&ours.record, &text, &ours.out),
			 RECORD_FAILED);
	record_shutdown(&ours.record, &ours.out);
	assert_int_equal(buf_len(&ours.out), 0);
	finish();
}

/* A peer that has sent its FIN already: too late for the ULP. */
static void half_closed_connection_stays(void **state)
{
	struct scene scene = { .we_serve = true, .wait = true };

	if (kernel_lacks_it())
		skip();
	begin(&scene);
	peer_says("NOOP\r\n");
	shutdown(SSL_get_fd(peer), SHUT_WR);
	expect_plain(SPAN("NOOP\r\n"));
	until(ours.eof);
	assert_int_equal(record_offload(&ours.record, ours.fd, &offload,
					OFFLOAD_POLICY_PREFER, 0),
			 RECORD_OFFLOAD_NEVER);
	assert_int_equal(record_offload_reason(&ours.record), OFFLOAD_ENDING);
	finish();
}

static int setup(void **state)
{
	struct utsname names;
	uint32_t x = 1;

	for (size_t i = 0; i < sizeof(pattern); i++) {
		x = x * 1664525u + 1013904223u;
		pattern[i] = (uint8_t)(x >> 24);
	}
	pki_make(&leaf, &(struct pki_wish){ .subject = "leaf",
					    .names = "DNS:mx.example.org",
					    .key = "P-256" });
	offload_init(&offload, true);
	found = offload_probe();
	uname(&names);
	print_message("# kernel %u.%u.%u (%s): %s%s\n", offload.kernel.major,
		      offload.kernel.minor, offload.kernel.patch, names.release,
		      offload_name(found),
		      flaws_allow_records(&offload.kernel) ? "" :
							     ", known bugs");
	return ticket_keys_init(&ticket_keys);
}

static int teardown(void **state)
{
	pki_free(&leaf);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reasons_without_a_kernel),
		cmocka_unit_test(every_suite_moves_a_megabyte),
		cmocka_unit_test(nothing_is_lost_on_the_way),
		cmocka_unit_test(close_notify_goes_both_ways),
		cmocka_unit_test(follows_key_updates),
		cmocka_unit_test(key_update_flood_is_cut_off),
		cmocka_unit_test(renegotiation_is_the_end),
		cmocka_unit_test(corrupted_record_is_the_end),
		cmocka_unit_test(truncated_record_gives_nothing),
		cmocka_unit_test(ulp_alone_changes_nothing),
		cmocka_unit_test(half_is_the_end),
		cmocka_unit_test(half_closed_connection_stays),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
