#include "tls/record.h"
#include "tls/wire.h"

#include "pki.h"
#include "tlspair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <malloc.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <stdlib.h>

static struct creds *server;
static struct pki leaf;
static struct tlspair pair;
static uint8_t storage[TLSPAIR_QUEUE];
static struct buf plain;

static const char *const suites[] = {
	"TLS_AES_128_GCM_SHA256",        "TLS_AES_256_GCM_SHA384",
	"TLS_CHACHA20_POLY1305_SHA256",  "ECDHE-ECDSA-AES128-GCM-SHA256",
	"ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305"
};
#define SUITES_N 6
#define TLS13    0
#define TLS12    3

static int setup(void **state)
{
	const struct creds_server_options options = { .tls12 = true };
	struct creds_certificate certificate = { .name = "main" };
	struct creds_error error;
	struct pki_text chain, key;

	pki_make(&leaf, &(struct pki_wish){ .subject = "leaf",
					    .names = "DNS:mx.example.org",
					    .key = "P-256" });
	chain = pki_certificate(&leaf);
	key = pki_key(&leaf, NULL);
	certificate.chain = pki_span(&chain);
	certificate.key = pki_span(&key);
	return creds_open_server(&certificate, 1, &options, &server, &error);
}

static int teardown(void **state)
{
	creds_close(server);
	pki_free(&leaf);
	return 0;
}

/* A client that can do the one suite of that index. */
static struct creds *client_with(int suite)
{
	const struct creds_client_options options = { .verify = false };
	struct creds_error error;
	struct creds *made;

	assert_int_equal(creds_open_client(&options, &made, &error), 0);
	if (suite < TLS12) {
		SSL_CTX_set_ciphersuites(creds_context(made), suites[suite]);
	} else {
		SSL_CTX_set_max_proto_version(creds_context(made),
					      TLS1_2_VERSION);
		SSL_CTX_set_cipher_list(creds_context(made), suites[suite]);
	}
	return made;
}

/* `pair` talks with the suite of that index; `plain` is empty. */
static void connect_with(int suite)
{
	struct creds *client = client_with(suite);

	tlspair_connect(&pair, server, client, "mx.example.org");
	creds_close(client);
	buf_init(&plain, storage, sizeof(storage));
}

static enum record_result server_opens(void)
{
	return tlspair_receive(&pair, &pair.server, &plain);
}

static enum record_result client_opens(void)
{
	return tlspair_receive(&pair, &pair.client, &plain);
}

/* One more turn each way works. */
static void still_talks(void)
{
	tlspair_send(&pair.client, &pair.server, SPAN("RSET\r\n"));
	assert_int_equal(server_opens(), RECORD_OK);
	assert_true(buf_len(&plain) >= 6);
	buf_consume(&plain, buf_len(&plain) - 6);
	assert_true(span_equal(buf_span(&plain), SPAN("RSET\r\n")));
	buf_clear(&plain);
	tlspair_send(&pair.server, &pair.client, SPAN("250 2.0.0 OK\r\n"));
	assert_int_equal(client_opens(), RECORD_OK);
	assert_true(span_equal(buf_span(&plain), SPAN("250 2.0.0 OK\r\n")));
}

static uint32_t seed;

static size_t random_below(size_t n)
{
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 8) % n;
}

/* Seals a random stretch of [0, total) of the byte pattern. */
static void send_some(struct tlspair_end *from, struct tlspair_end *to,
		      size_t *at, size_t total)
{
	uint8_t bytes[30000];
	size_t n = 1 + random_below(sizeof(bytes));

	if (n > total - *at)
		n = total - *at;
	for (size_t i = 0; i < n; i++)
		bytes[i] = (uint8_t)((*at + i) * 2654435761u >> 13);
	tlspair_send(from, to, span_of(bytes, n));
	*at += n;
}

/* Opens all that is queued at `to` into a target of random size. */
static void take_some(struct tlspair_end *to, EVP_MD_CTX *hash, size_t *got)
{
	struct span in, rest;
	struct buf target;

	while (buf_len(&to->in) || record_pending(&to->record)) {
		size_t n = random_below(40000);

		in = buf_span(&to->in);
		in = span_head(in, n < in.len ? n : in.len);
		rest = in;
		buf_init(&target, storage, 1 + random_below(20000));
		assert_int_equal(record_open(&to->record, &rest, &target,
					     &pair.client.in),
				 RECORD_OK);
		assert_true(!rest.len || !buf_room(&target));
		buf_consume(&to->in, in.len - rest.len);
		EVP_DigestUpdate(hash, target.p, buf_len(&target));
		*got += buf_len(&target);
	}
}

/* SHA-256 of 1 MiB sent from one end to the other in random pieces. */
static void pump(struct tlspair_end *from, struct tlspair_end *to,
		 uint8_t digest[32])
{
	const size_t total = 1 << 20;
	EVP_MD_CTX *hash = EVP_MD_CTX_new();
	size_t at = 0, got = 0;

	EVP_DigestInit_ex(hash, EVP_sha256(), NULL);
	while (at < total) {
		send_some(from, to, &at, total);
		take_some(to, hash, &got);
	}
	assert_int_equal(got, total);
	EVP_DigestFinal_ex(hash, digest, NULL);
	EVP_MD_CTX_free(hash);
}

static void moves_a_megabyte_both_ways(void **state)
{
	const size_t total = 1 << 20;
	uint8_t *bytes = malloc(total), digest[32], expected[32];

	for (size_t i = 0; i < total; i++)
		bytes[i] = (uint8_t)(i * 2654435761u >> 13);
	EVP_Digest(bytes, total, expected, NULL, EVP_sha256(), NULL);
	free(bytes);
	for (int suite = 0; suite < SUITES_N; suite++) {
		seed = (uint32_t)suite;
		connect_with(suite);
		pump(&pair.client, &pair.server, digest);
		assert_memory_equal(digest, expected, 32);
		pump(&pair.server, &pair.client, digest);
		assert_memory_equal(digest, expected, 32);
		still_talks();
		tlspair_close(&pair);
	}
}

static void opens_byte_by_byte(void **state)
{
	for (int suite = 0; suite < SUITES_N; suite++) {
		connect_with(suite);
		pair.piece = 1;
		for (int i = 0; i < 20; i++)
			tlspair_send(&pair.client, &pair.server, SPAN("x\r\n"));
		assert_int_equal(server_opens(), RECORD_OK);
		assert_int_equal(buf_len(&plain), 60);
		tlspair_close(&pair);
	}
}

/* What does not fit the target waits, and record_pending says so. */
static void keeps_what_has_no_room(void **state)
{
	struct buf target;
	struct span in;

	connect_with(TLS13);
	tlspair_send(&pair.client, &pair.server, SPAN("0123456789"));
	in = buf_span(&pair.server.in);
	for (int i = 0; i < 5; i++) {
		assert_true(i == 0 || record_pending(&pair.server.record));
		buf_init(&target, storage, 2);
		assert_int_equal(record_open(&pair.server.record, &in, &target,
					     &pair.client.in),
				 RECORD_OK);
		assert_int_equal(in.len, 0);
		assert_int_equal(storage[0], '0' + 2 * i);
	}
	assert_false(record_pending(&pair.server.record));
	tlspair_close(&pair);
}

static void knows_what_must_still_come(void **state)
{
	struct record *r = &pair.server.record;
	struct buf *wire = &pair.server.in;
	uint64_t left, least;

	connect_with(TLS13);
	tlspair_send(&pair.client, &pair.server, span_of(storage, 40000));
	while (buf_len(wire)) {
		struct span in = span_head(buf_span(wire), 1);
		(void)record_open(r, &in, &plain, &pair.client.in);
		buf_consume(wire, 1);
		left = 40000 - buf_len(&plain);
		least = record_wire_min(r, left);
		assert_true(least <= buf_len(wire) && least + 18000 >= left);
	}
	tlspair_close(&pair);
}

/* Never half a record, whatever the room; and the room said suffices. */
static void seals_into_any_room(void **state)
{
	static uint8_t bytes[40000];
	const size_t lens[] = { 1, 2, 100, 16383, 16384, 16385, 40000 };

	for (int suite = 0; suite < SUITES_N; suite++) {
		connect_with(suite);
		for (size_t room = 0; room <= 100; room++) {
			uint8_t small[100];
			struct span from = span_of(bytes, 300);
			struct buf out;

			buf_init(&out, small, room);
			assert_int_equal(record_seal(&pair.server.record, &from,
						     &out),
					 RECORD_OK);
			assert_int_equal(from.len == 300, !buf_len(&out));
			assert_true(room < 40 || from.len < 300);
			buf_put(&pair.client.in, buf_span(&out));
			buf_clear(&plain);
			assert_int_equal(client_opens(), RECORD_OK);
			assert_int_equal(buf_len(&plain), 300 - from.len);
		}
		for (size_t i = 0; i < sizeof(lens) / sizeof(*lens); i++) {
			size_t max =
				record_sealed_max(&pair.server.record, lens[i]);

			tlspair_send(&pair.server, &pair.client,
				     span_of(bytes, lens[i]));
			assert_true(buf_len(&pair.client.in) <= max);
			assert_true(buf_len(&pair.client.in) + 24 >= max);
			buf_clear(&pair.client.in);
			tlspair_close(&pair);
			connect_with(suite);
		}
		tlspair_close(&pair);
	}
}

/* The room said is enough, and one byte less is not taken for enough. */
static void seals_into_the_room_it_said(void **state)
{
	static uint8_t bytes[40000];

	for (int suite = 0; suite < SUITES_N; suite++) {
		for (size_t less = 0; less < 60; less++) {
			struct span from = span_of(bytes, sizeof(bytes));
			struct buf out;
			size_t max;

			connect_with(suite);
			max = record_sealed_max(&pair.server.record, from.len);
			buf_init(&out, storage, max - less);
			assert_int_equal(record_seal(&pair.server.record, &from,
						     &out),
					 RECORD_OK);
			assert_true(less || !from.len);
			assert_true(less < 25 || from.len);
			assert_true(from.len <= less);
			tlspair_close(&pair);
		}
	}
}

/* A KeyUpdate that OpenSSL sends ahead of our bytes takes room, too. */
static void seals_behind_a_key_update(void **state)
{
	for (size_t room = 0; room <= 200; room++) {
		struct span from = SPAN("250 OK\r\n");
		uint8_t small[200];
		struct buf out;
		size_t max;

		connect_with(TLS13);
		assert_true(SSL_key_update(pair.server.record.ssl,
					   SSL_KEY_UPDATE_NOT_REQUESTED));
		max = record_sealed_max(&pair.server.record, from.len);
		assert_int_equal(max, 27 + 30);
		buf_init(&out, small, room);
		assert_int_equal(record_seal(&pair.server.record, &from, &out),
				 RECORD_OK);
		assert_int_equal(!from.len, room >= max);
		buf_put(&pair.client.in, buf_span(&out));
		assert_int_equal(client_opens(), RECORD_OK);
		assert_int_equal(buf_len(&plain), 8 - from.len);
		tlspair_close(&pair);
	}
}

/* A client may ask for short records (RFC 6066 4), which take more room. */
static void heeds_short_records(void **state)
{
	static uint8_t bytes[10000];
	struct creds *client = client_with(TLS13);
	size_t max;

	SSL_CTX_set_tlsext_max_fragment_length(creds_context(client),
					       TLSEXT_max_fragment_length_512);
	tlspair_connect(&pair, server, client, "mx.example.org");
	creds_close(client);
	buf_init(&plain, storage, sizeof(storage));
	max = record_sealed_max(&pair.server.record, sizeof(bytes));
	assert_int_equal(max, 10000 + 20 * 22);
	tlspair_send(&pair.server, &pair.client, span_of(bytes, sizeof(bytes)));
	assert_int_equal(buf_len(&pair.client.in), max);
	assert_int_equal(client_opens(), RECORD_OK);
	assert_int_equal(buf_len(&plain), sizeof(bytes));
	tlspair_close(&pair);
}

static void waits_for_the_rest_of_a_record(void **state)
{
	struct span in, half;

	for (int suite = 0; suite < SUITES_N; suite++) {
		connect_with(suite);
		tlspair_send(&pair.client, &pair.server, SPAN("DATA\r\n"));
		in = buf_span(&pair.server.in);
		for (size_t cut = 0; cut < in.len; cut++) {
			half = span_of(in.p + cut, 1);
			assert_false(record_pending(&pair.server.record));
			assert_int_equal(buf_len(&plain), 0);
			assert_int_equal(record_open(&pair.server.record, &half,
						     &plain, &pair.client.in),
					 RECORD_OK);
			assert_int_equal(half.len, 0);
		}
		assert_int_equal(buf_len(&plain), 6);
		tlspair_close(&pair);
	}
}

/* Whichever byte is changed, nothing comes out and nothing goes on. */
static void corrupted_record_is_the_end(void **state)
{
	uint8_t bytes[64];
	struct span in;

	for (int i = 0; i < 2 * 40; i++) {
		size_t at = (size_t)i / 2;

		connect_with(i % 2 ? TLS13 : TLS12);
		tlspair_send(&pair.client, &pair.server,
			     SPAN("MAIL FROM:<a@b>\r\n"));
		in = buf_span(&pair.server.in);
		if (at < 3 || at > 4) { /* a longer record only waits */
			memcpy(bytes, in.p, in.len);
			bytes[at < in.len ? at : 0] ^= 0x40;
			in.p = bytes;
			assert_int_equal(record_open(&pair.server.record, &in,
						     &plain, &pair.client.in),
					 RECORD_FAILED);
			assert_int_equal(buf_len(&plain), 0);
			in = SPAN("more");
			assert_int_equal(record_open(&pair.server.record, &in,
						     &plain, &pair.client.in),
					 RECORD_FAILED);
			assert_int_equal(in.len, 4);
			assert_int_equal(record_seal(&pair.server.record, &in,
						     &pair.client.in),
					 RECORD_FAILED);
			/* The client is told by an alert. */
			assert_int_equal(client_opens(), RECORD_FAILED);
			record_shutdown(&pair.server.record, &pair.client.in);
			assert_int_equal(ERR_peek_error(), 0);
		}
		tlspair_close(&pair);
	}
}

static void foreign_errors_are_not_ours(void **state)
{
	struct span half;

	connect_with(TLS13);
	tlspair_send(&pair.client, &pair.server, SPAN("NOOP\r\n"));
	half = span_head(buf_span(&pair.server.in), 7);
	ERR_raise(ERR_LIB_SSL, SSL_R_HTTP_REQUEST);
	assert_int_equal(record_open(&pair.server.record, &half, &plain,
				     &pair.client.in),
			 RECORD_OK);
	assert_int_equal(ERR_peek_error(), 0);
	buf_consume(&pair.server.in, 7);
	ERR_raise(ERR_LIB_SSL, SSL_R_HTTP_REQUEST);
	still_talks();
	assert_int_equal(ERR_peek_error(), 0);
	tlspair_close(&pair);
}

static void close_notify_ends_each_direction(void **state)
{
	for (int suite = 0; suite < SUITES_N; suite++) {
		struct span late = SPAN("too late");

		connect_with(suite);
		tlspair_send(&pair.client, &pair.server, SPAN("QUIT\r\n"));
		record_shutdown(&pair.client.record, &pair.server.in);
		assert_int_equal(record_seal(&pair.client.record, &late,
					     &pair.server.in),
				 RECORD_CLOSED);
		assert_int_equal(late.len, 8);
		assert_int_equal(server_opens(), RECORD_CLOSED);
		assert_true(span_equal(buf_span(&plain), SPAN("QUIT\r\n")));
		assert_int_equal(server_opens(),
				 RECORD_OK); /* nothing queued */
		buf_put_str(&pair.server.in, "whatever");
		assert_int_equal(server_opens(), RECORD_CLOSED);
		assert_int_equal(buf_len(&pair.server.in), 0);
		/* The other direction is open still. */
		tlspair_send(&pair.server, &pair.client, SPAN("221 bye\r\n"));
		record_shutdown(&pair.server.record, &pair.client.in);
		buf_clear(&plain);
		assert_int_equal(client_opens(), RECORD_CLOSED);
		assert_true(span_equal(buf_span(&plain), SPAN("221 bye\r\n")));
		tlspair_close(&pair);
	}
}

static void shutdown_needs_room_for_all_of_it(void **state)
{
	uint8_t small[64];
	struct buf out;

	for (int suite = 0; suite < SUITES_N; suite++) {
		connect_with(suite);
		buf_init(&out, small,
			 record_sealed_max(&pair.server.record, 2) - 1);
		record_shutdown(&pair.server.record, &out);
		assert_int_equal(buf_len(&out), 0);
		buf_init(&out, small,
			 record_sealed_max(&pair.server.record, 2));
		record_shutdown(&pair.server.record, &out);
		assert_true(buf_len(&out) > 0);
		tlspair_close(&pair);
	}
}

/* The client changes its keys; with `ask`, the server must, too. */
static void update_keys(bool ask)
{
	assert_true(SSL_key_update(pair.client.record.ssl,
				   ask ? SSL_KEY_UPDATE_REQUESTED :
					 SSL_KEY_UPDATE_NOT_REQUESTED));
	tlspair_send(&pair.client, &pair.server, SPAN("x"));
}

static void follows_key_updates(void **state)
{
	for (int ask = 0; ask < 2; ask++) {
		for (int suite = 0; suite < TLS12; suite++) {
			connect_with(suite);
			for (int i = 0; i < 10; i++) {
				update_keys(ask);
				buf_clear(&plain);
				assert_int_equal(server_opens(), RECORD_OK);
				assert_true(span_equal(buf_span(&plain),
						       SPAN("x")));
				still_talks();
			}
			tlspair_close(&pair);
		}
	}
}

/* An answer is due, and `out` has room for anything from nothing upwards. */
static void key_update_answer_is_never_cut(void **state)
{
	for (size_t room = 0; room <= 200; room++) {
		uint8_t small[200];
		struct span in, text = SPAN("250 OK\r\n");
		struct buf out;

		connect_with(TLS13);
		update_keys(true);
		update_keys(true);
		in = buf_span(&pair.server.in);
		while (in.len) {
			buf_init(&out, small, room);
			assert_int_equal(record_open(&pair.server.record, &in,
						     &plain, &out),
					 RECORD_OK);
			buf_put(&pair.client.in, buf_span(&out));
			if (room < RECORD_ANSWER_MAX)
				break;
		}
		assert_int_equal(in.len != 0, room < RECORD_ANSWER_MAX);
		buf_init(&out, small, room);
		assert_int_equal(record_seal(&pair.server.record, &text, &out),
				 RECORD_OK);
		buf_put(&pair.client.in, buf_span(&out));
		buf_clear(&plain);
		assert_int_equal(client_opens(), RECORD_OK);
		assert_int_equal(buf_len(&plain), 8 - text.len);
		tlspair_close(&pair);
	}
}

/* OpenSSL sees nothing wrong with a flood; the record has to remember. */
static void failure_stays(void)
{
	struct span text = SPAN("x");

	buf_clear(&plain);
	tlspair_send(&pair.client, &pair.server, SPAN("NOOP\r\n"));
	assert_int_equal(server_opens(), RECORD_FAILED);
	assert_int_equal(buf_len(&plain), 0);
	buf_clear(&pair.client.in);
	assert_int_equal(record_seal(&pair.server.record, &text,
				     &pair.client.in),
			 RECORD_FAILED);
	record_shutdown(&pair.server.record, &pair.client.in);
	assert_int_equal(buf_len(&pair.client.in), 0);
}

static void key_update_flood_is_the_end(void **state)
{
	for (int ask = 0; ask < 2; ask++) {
		enum record_result result = RECORD_OK;
		int n = 0;

		connect_with(TLS13);
		while (result == RECORD_OK && n < 2 * RECORD_CONTROL_MAX) {
			update_keys(ask);
			result = server_opens();
			n++;
		}
		assert_int_equal(result, RECORD_FAILED);
		assert_int_equal(n, RECORD_CONTROL_MAX + 1);
		failure_stays();
		tlspair_close(&pair);
	}
}

/* Also when all of them come at once. */
static void key_update_flood_in_one_piece(void **state)
{
	size_t before;

	connect_with(TLS13);
	for (int i = 0; i < 2 * RECORD_CONTROL_MAX; i++)
		update_keys(false);
	before = buf_len(&pair.server.in);
	assert_int_equal(server_opens(), RECORD_FAILED);
	assert_true(buf_len(&pair.server.in) > before / 3);
	tlspair_close(&pair);
}

/* What bounds the answers of one read: see record_user.c. */
static void wire_stops_behind_a_control_record(void **state)
{
	struct span in = SPAN("record");
	struct wire w = { .in = &in, .out = &plain, .stop_at_control = true };
	BIO *bio;
	char got[3];

	connect_with(TLS12);
	bio = SSL_get_rbio(pair.server.record.ssl);
	wire_lend(pair.server.record.ssl, &w);
	assert_int_equal(BIO_read(bio, got, sizeof(got)), 3);
	w.met_control = true;
	assert_int_equal(BIO_read(bio, got, sizeof(got)), -1);
	assert_true(BIO_should_read(bio));
	assert_int_equal(in.len, 3);
	w.stop_at_control = false;
	assert_int_equal(BIO_read(bio, got, sizeof(got)), 3);
	wire_take_back(pair.server.record.ssl);
	tlspair_close(&pair);
}

static void renegotiation_is_refused(void **state)
{
	struct span text = SPAN("x");

	connect_with(TLS12);
	SSL_clear_options(pair.client.record.ssl, SSL_OP_NO_RENEGOTIATION);
	assert_true(SSL_renegotiate(pair.client.record.ssl));
	/* The client says its ClientHello before any data, and waits. */
	(void)record_seal(&pair.client.record, &text, &pair.server.in);
	assert_true(buf_len(&pair.server.in) > 100);
	assert_int_equal(server_opens(), RECORD_OK);
	assert_int_equal(buf_len(&plain), 0);
	/* A warning, not a ServerHello; and the server's keys are the same. */
	assert_int_equal(buf_len(&pair.client.in), 31);
	buf_clear(&pair.client.in);
	assert_false(SSL_renegotiate_pending(pair.server.record.ssl));
	assert_int_equal(pair.server.record.control_n, 1);
	tlspair_close(&pair);
}

/* Buffers are held while a record is under way, not between records. */
static void idle_session_holds_no_buffer(void **state)
{
	static uint8_t bytes[40000];
	struct span in, half;
	size_t idle, busy;

	for (int suite = 0; suite < SUITES_N; suite++) {
		connect_with(suite);
		still_talks();
		idle = mallinfo2().uordblks;
		tlspair_send(&pair.client, &pair.server,
			     span_of(bytes, sizeof(bytes)));
		tlspair_send(&pair.server, &pair.client,
			     span_of(bytes, sizeof(bytes)));
		assert_int_equal(server_opens(), RECORD_OK);
		assert_int_equal(client_opens(), RECORD_OK);
		assert_true(mallinfo2().uordblks <= idle + 1024);
		tlspair_send(&pair.client, &pair.server, SPAN("NOOP\r\n"));
		in = buf_span(&pair.server.in);
		half = span_head(in, 7);
		buf_clear(&plain);
		assert_int_equal(record_open(&pair.server.record, &half, &plain,
					     &pair.client.in),
				 RECORD_OK);
		busy = mallinfo2().uordblks;
		half = span_tail(in, 7);
		assert_int_equal(record_open(&pair.server.record, &half, &plain,
					     &pair.client.in),
				 RECORD_OK);
		assert_true(!busy || busy > idle + 1024); /* 0: no mallinfo */
		assert_true(mallinfo2().uordblks <= idle + 1024);
		tlspair_close(&pair);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(moves_a_megabyte_both_ways),
		cmocka_unit_test(opens_byte_by_byte),
		cmocka_unit_test(keeps_what_has_no_room),
		cmocka_unit_test(knows_what_must_still_come),
		cmocka_unit_test(seals_into_any_room),
		cmocka_unit_test(seals_into_the_room_it_said),
		cmocka_unit_test(seals_behind_a_key_update),
		cmocka_unit_test(heeds_short_records),
		cmocka_unit_test(waits_for_the_rest_of_a_record),
		cmocka_unit_test(corrupted_record_is_the_end),
		cmocka_unit_test(foreign_errors_are_not_ours),
		cmocka_unit_test(close_notify_ends_each_direction),
		cmocka_unit_test(shutdown_needs_room_for_all_of_it),
		cmocka_unit_test(follows_key_updates),
		cmocka_unit_test(key_update_answer_is_never_cut),
		cmocka_unit_test(key_update_flood_is_the_end),
		cmocka_unit_test(key_update_flood_in_one_piece),
		cmocka_unit_test(wire_stops_behind_a_control_record),
		cmocka_unit_test(renegotiation_is_refused),
		cmocka_unit_test(idle_session_holds_no_buffer),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
