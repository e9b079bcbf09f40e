#include "tls/handshake.h"

#include "pki.h"
#include "tlspair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

static struct ticket_keys keys;
static struct pki ca, leaf;
static struct pki_text chain, key;
static struct tlspair pair;

static struct creds *make_server(struct creds_server_options options)
{
	const struct creds_certificate certificate = {
		.name = "main",
		.chain = pki_span(&chain),
		.key = pki_span(&key),
	};
	struct creds_error error;
	struct creds *made;

	assert_int_equal(
		creds_open_server(&certificate, 1, &options, &made, &error), 0);
	return made;
}

static struct creds *server_with_tickets(uint32_t tickets)
{
	return make_server((struct creds_server_options){
		.tls12 = true,
		.resumption = true,
		.tickets = tickets,
		.ticket_keys = &keys,
	});
}

/* Speaks at most this version and keeps no session of its own. */
static struct creds *make_client(int version)
{
	struct creds_client_options options = { .verify = false };
	struct creds_error error;
	struct creds *made;

	assert_int_equal(creds_open_client(&options, &made, &error), 0);
	SSL_CTX_set_max_proto_version(creds_context(made), version);
	return made;
}

static int setup(void **state)
{
	pki_make(&ca, &(struct pki_wish){ .subject = "CA",
					  .key = "P-256",
					  .ca = true });
	pki_make(&leaf, &(struct pki_wish){ .subject = "leaf",
					    .names = "DNS:mx.example.org",
					    .key = "P-256",
					    .issuer = &ca });
	chain = pki_chain(&leaf);
	key = pki_key(&leaf, NULL);
	return ticket_keys_init(&keys);
}

static int teardown(void **state)
{
	pki_free(&leaf);
	pki_free(&ca);
	return 0;
}

static void check_facts(int version)
{
	struct handshake_facts facts = handshake_facts(&pair.server.handshake);

	assert_int_equal(facts.bits, 128);
	assert_false(facts.resumed);
	if (version == TLS1_3_VERSION) {
		assert_string_equal(facts.version, "TLSv1.3");
		assert_string_equal(facts.cipher, "TLS_AES_128_GCM_SHA256");
	} else {
		assert_string_equal(facts.version, "TLSv1.2");
		assert_string_equal(facts.cipher,
				    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256");
	}
}

static void works_in_pieces_of_any_size(void **state)
{
	static const size_t sizes[] = { 1, 2, 3, 5, 7, 31, 100, 1400, 60000 };
	static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };
	struct creds *server = server_with_tickets(2);

	for (int v = 0; v < 2; v++) {
		struct creds *client = make_client(versions[v]);

		for (size_t i = 0; i < 81; i++) {
			tlspair_open(&pair, server, client, "mx.example.org");
			pair.piece = sizes[i % 9];
			pair.room = sizes[i / 9];
			assert_true(tlspair_shake(&pair));
			check_facts(versions[v]);
			tlspair_close(&pair);
		}
		creds_close(client);
	}
	creds_close(server);
}

/* Rooms of 1 to 100 bytes: every one says NEED_OUTPUT and loses nothing. */
static void little_room_asks_for_output(void **state)
{
	struct creds *server = server_with_tickets(1);
	struct creds *client = make_client(TLS1_3_VERSION);

	for (size_t room = 1; room <= 100; room++) {
		struct span in = { 0 };
		uint8_t storage[100];
		struct buf out;

		tlspair_open(&pair, server, client, "mx.example.org");
		buf_init(&out, storage, room);
		assert_int_equal(handshake_step(&pair.client.handshake, &in,
						&out),
				 HANDSHAKE_NEED_OUTPUT);
		assert_int_equal(buf_len(&out), room);
		buf_put(&pair.server.in, buf_span(&out));
		pair.room = room;
		assert_true(tlspair_shake(&pair));
		tlspair_close(&pair);
	}
	creds_close(client);
	creds_close(server);
}

/* What follows the handshake in the same segment is left for the records. */
static void leaves_data_behind_the_handshake(void **state)
{
	struct creds *server = server_with_tickets(0);
	struct creds *client = make_client(TLS1_3_VERSION);
	uint8_t storage[64];
	struct buf plain;

	tlspair_open(&pair, server, client, "mx.example.org");
	while (pair.client.result != HANDSHAKE_DONE) {
		struct span in = buf_span(&pair.client.in);
		size_t len = in.len;

		pair.client.result = handshake_step(&pair.client.handshake, &in,
						    &pair.server.in);
		buf_consume(&pair.client.in, len - in.len);
		if (pair.client.result == HANDSHAKE_DONE)
			break;
		in = buf_span(&pair.server.in);
		len = in.len;
		(void)handshake_step(&pair.server.handshake, &in,
				     &pair.client.in);
		buf_consume(&pair.server.in, len - in.len);
	}
	record_take(&pair.client.record, &pair.client.handshake);
	tlspair_send(&pair.client, &pair.server, SPAN("EHLO"));
	assert_true(tlspair_shake(&pair) ||
		    pair.server.result == HANDSHAKE_DONE);
	record_take(&pair.server.record, &pair.server.handshake);
	buf_init(&plain, storage, sizeof(storage));
	assert_int_equal(tlspair_receive(&pair, &pair.server, &plain),
			 RECORD_OK);
	assert_true(span_equal(buf_span(&plain), SPAN("EHLO")));
	tlspair_close(&pair);
	creds_close(client);
	creds_close(server);
}

static int tickets_seen;

static int on_new_session(SSL *ssl, SSL_SESSION *session)
{
	tickets_seen++;
	return 0;
}

/* Lets the client read the tickets; how many came. */
static int count_tickets(struct creds *client)
{
	uint8_t storage[16];
	struct buf plain;

	SSL_CTX_set_session_cache_mode(creds_context(client),
				       SSL_SESS_CACHE_CLIENT |
					       SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(creds_context(client), on_new_session);
	tickets_seen = 0;
	tlspair_take(&pair);
	buf_init(&plain, storage, sizeof(storage));
	assert_int_equal(tlspair_receive(&pair, &pair.client, &plain),
			 RECORD_OK);
	assert_int_equal(buf_len(&plain), 0);
	return tickets_seen;
}

/* All tickets are there when the server's handshake is, before any data. */
static void sends_as_many_tickets_as_told(void **state)
{
	struct creds *client = make_client(TLS1_3_VERSION);

	for (uint32_t n = 0; n <= 3; n++) {
		struct creds *server = server_with_tickets(n);

		tlspair_open(&pair, server, client, "mx.example.org");
		assert_true(tlspair_shake(&pair));
		assert_int_equal(count_tickets(client), n);
		tlspair_close(&pair);
		creds_close(server);
	}
	creds_close(client);
}

static void sends_no_tickets_without_resumption(void **state)
{
	struct creds *client = make_client(TLS1_3_VERSION);
	struct creds *server = make_server(
		(struct creds_server_options){ .tls12 = true,
					       .tickets = 2,
					       .ticket_keys = &keys });

	tlspair_open(&pair, server, client, "mx.example.org");
	assert_true(tlspair_shake(&pair));
	assert_int_equal(count_tickets(client), 0);
	tlspair_close(&pair);
	creds_close(server);
	creds_close(client);
}

/* A connection that offers `session` (NULL: none) and returns what it got. */
static SSL_SESSION *connect_with(struct creds *server, struct creds *client,
				 SSL_SESSION *session, bool *ret_resumed)
{
	SSL_SESSION *got;

	tlspair_open(&pair, server, client, "mx.example.org");
	if (session)
		SSL_set_session(pair.client.handshake.ssl, session);
	assert_true(tlspair_shake(&pair));
	*ret_resumed = handshake_facts(&pair.server.handshake).resumed;
	assert_int_equal(*ret_resumed,
			 handshake_facts(&pair.client.handshake).resumed);
	(void)count_tickets(client);
	got = SSL_get1_session(pair.client.record.ssl);
	/* OpenSSL resumes no session that was cut off. */
	record_shutdown(&pair.client.record, &pair.server.in);
	tlspair_close(&pair);
	return got;
}

static void resume_across_rotation(int version)
{
	struct creds *server = server_with_tickets(1);
	struct creds *client = make_client(version);
	SSL_SESSION *first, *last;
	bool resumed;

	first = connect_with(server, client, NULL, &resumed);
	assert_false(resumed);
	for (int age = 0; age < TICKET_GENERATIONS; age++) {
		SSL_SESSION *copy = SSL_SESSION_dup(first);

		last = connect_with(server, client, copy, &resumed);
		assert_true(resumed);
		/* An older key's ticket is replaced by one of the newest. */
		assert_true(SSL_SESSION_has_ticket(last));
		SSL_SESSION_free(copy);
		if (age == TICKET_GENERATIONS - 1)
			break;
		SSL_SESSION_free(last);
		assert_int_equal(ticket_keys_rotate(&keys), 0);
	}
	assert_int_equal(ticket_keys_rotate(&keys), 0);
	SSL_SESSION_free(connect_with(server, client, first, &resumed));
	assert_false(resumed);
	SSL_SESSION_free(first);
	SSL_SESSION_free(connect_with(server, client, last, &resumed));
	assert_true(resumed);
	SSL_SESSION_free(last);
	creds_close(client);
	creds_close(server);
}

static void resumes_tls13_across_rotation(void **state)
{
	resume_across_rotation(TLS1_3_VERSION);
}

static void resumes_tls12_across_rotation(void **state)
{
	resume_across_rotation(TLS1_2_VERSION);
}

static void resumption_off_takes_no_ticket(void **state)
{
	struct creds *with = server_with_tickets(1);
	struct creds *without = make_server(
		(struct creds_server_options){ .tls12 = true,
					       .tickets = 1,
					       .ticket_keys = &keys });
	static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };
	bool resumed;

	for (int v = 0; v < 2; v++) {
		struct creds *client = make_client(versions[v]);
		SSL_SESSION *session =
			connect_with(with, client, NULL, &resumed);

		SSL_SESSION_free(
			connect_with(without, client, session, &resumed));
		assert_false(resumed);
		SSL_SESSION_free(connect_with(with, client, session, &resumed));
		assert_true(resumed);
		SSL_SESSION_free(session);
		creds_close(client);
	}
	creds_close(with);
	creds_close(without);
}

/* What a server says to `first` as the peer's first bytes. */
static const char *server_hears(struct span first, size_t *ret_alert_len)
{
	static char reason[128];
	struct creds *server = server_with_tickets(0);
	struct handshake h;
	uint8_t storage[256];
	struct buf out;

	buf_init(&out, storage, sizeof(storage));
	assert_int_equal(handshake_open(&h, server, NULL), 0);
	assert_int_equal(handshake_step(&h, &first, &out), HANDSHAKE_FAILED);
	*ret_alert_len = buf_len(&out);
	snprintf(reason, sizeof(reason), "%s", handshake_reason(&h));
	/* Failure stays. */
	assert_int_equal(handshake_step(&h, &first, &out), HANDSHAKE_FAILED);
	assert_string_equal(reason, handshake_reason(&h));
	handshake_fini(&h);
	creds_close(server);
	return reason;
}

static void says_what_is_not_tls(void **state)
{
	const struct {
		struct span bytes;
		const char *reason;
	} cases[] = {
		{ SPAN("EHLO me\r\n"), "not TLS: an SMTP command in clear" },
		{ SPAN("starttls\r\n"), "not TLS: an SMTP command in clear" },
		{ SPAN("QUIT\r\n"), "not TLS: an SMTP command in clear" },
		{ SPAN("GET / HTTP/1.1\r\n"),
		  "not TLS: an HTTP request in clear" },
		{ SPAN("PRI * HTTP/2.0\r\n"),
		  "not TLS: an HTTP request in clear" },
		{ SPAN("220 mx ESMTP\r\n"), "not TLS: an SMTP reply in clear" },
		{ SPAN("hello?"), "not TLS: text in clear" },
		{ SPAN("\r\n"), "not TLS: text in clear" },
		{ SPAN("E"), "not TLS: text in clear" },
		{ SPAN("\x80\x2e\x01\x03\x01"), "not TLS: no TLS record" },
		{ SPAN("\x17\x03\x03\x00\x05"), "not TLS: no TLS record" },
		{ SPAN("\0\0\0"), "not TLS: no TLS record" },
	};
	size_t alert_len;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		assert_string_equal(server_hears(cases[i].bytes, &alert_len),
				    cases[i].reason);
		assert_int_equal(alert_len, 0);
	}
}

static void bad_client_hello_is_answered_by_alert(void **state)
{
	size_t alert_len;

	(void)server_hears(SPAN("\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00"),
			   &alert_len);
	assert_true(alert_len >= 7);
}

static void oversized_record_is_refused_by_its_header(void **state)
{
	size_t alert_len;
	const char *reason =
		server_hears(SPAN("\x16\x03\x01\xff\xff\x01"), &alert_len);

	/* "packet" or "data", by the version of OpenSSL */
	assert_non_null(strstr(reason, "length too long"));
}

static void both_sides_say_why(void **state)
{
	struct creds *server = make_server((struct creds_server_options){ 0 });
	struct creds *client = make_client(TLS1_2_VERSION);

	tlspair_open(&pair, server, client, "mx.example.org");
	assert_false(tlspair_shake(&pair));
	assert_string_equal(handshake_reason(&pair.server.handshake),
			    "unsupported protocol");
	assert_string_equal(handshake_reason(&pair.client.handshake),
			    "the peer refused: protocol version");
	tlspair_close(&pair);
	creds_close(client);
	creds_close(server);
}

/* An error some other code left in OpenSSL's queue is not taken for ours. */
static void foreign_errors_are_not_ours(void **state)
{
	struct creds *server = server_with_tickets(0);
	struct creds *client = make_client(TLS1_3_VERSION);
	struct span in = { 0 };

	tlspair_open(&pair, server, client, "mx.example.org");
	ERR_raise(ERR_LIB_SSL, SSL_R_HTTP_REQUEST);
	assert_int_equal(handshake_step(&pair.client.handshake, &in,
					&pair.server.in),
			 HANDSHAKE_NEED_INPUT);
	in = SPAN("\x16\x03\x03\x00\x04wxyz");
	assert_int_equal(handshake_step(&pair.client.handshake, &in,
					&pair.server.in),
			 HANDSHAKE_FAILED);
	assert_int_equal(ERR_peek_error(), 0);
	tlspair_close(&pair);
	creds_close(client);
	creds_close(server);
}

static void names_that_are_none_are_refused(void **state)
{
	struct creds *client = make_client(TLS1_3_VERSION);
	char longest[300] = { 0 };
	struct handshake h;

	memset(longest, 'a', 256);
	assert_int_equal(handshake_open(&h, client, longest), -EINVAL);
	assert_null(h.ssl);
	assert_int_equal(handshake_open(&h, client, ""), -EINVAL);
	creds_close(client);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(works_in_pieces_of_any_size),
		cmocka_unit_test(little_room_asks_for_output),
		cmocka_unit_test(leaves_data_behind_the_handshake),
		cmocka_unit_test(sends_as_many_tickets_as_told),
		cmocka_unit_test(sends_no_tickets_without_resumption),
		cmocka_unit_test(resumes_tls13_across_rotation),
		cmocka_unit_test(resumes_tls12_across_rotation),
		cmocka_unit_test(resumption_off_takes_no_ticket),
		cmocka_unit_test(says_what_is_not_tls),
		cmocka_unit_test(bad_client_hello_is_answered_by_alert),
		cmocka_unit_test(oversized_record_is_refused_by_its_header),
		cmocka_unit_test(both_sides_say_why),
		cmocka_unit_test(foreign_errors_are_not_ours),
		cmocka_unit_test(names_that_are_none_are_refused),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
