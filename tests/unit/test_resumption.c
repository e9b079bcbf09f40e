/* What a client remembers and resumes, and the one TLS it may be told to speak. */
#include "tls/resumption.h"

#include "pki.h"
#include "tlspair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>

static struct ticket_keys keys;
static struct pki ca, leaf;
static struct pki_text chain, key;
static struct tlspair pair;

static struct creds *server_with_tickets(uint32_t tickets)
{
	const struct creds_server_options options = { .tls12 = true,
						      .resumption = true,
						      .tickets = tickets,
						      .ticket_keys = &keys };
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

static struct creds *client_of(enum creds_version version, const char *cipher,
			       uint32_t sessions_n)
{
	const struct creds_client_options options = {
		.version = version,
		.cipher = cipher,
		.sessions_n = sessions_n,
	};
	struct creds_error error;
	struct creds *made;

	assert_int_equal(creds_open_client(&options, &made, &error), 0);
	return made;
}

/* One connection, with tickets taken when `reads`. */
static struct handshake_facts
connect_once(const struct creds *server, const struct creds *client, bool reads)
{
	struct handshake_facts facts;
	uint8_t storage[64];
	struct buf plain;

	buf_init(&plain, storage, sizeof(storage));
	tlspair_open(&pair, server, client, "mx.example.org");
	assert_true(tlspair_shake(&pair));
	facts = handshake_facts(&pair.client.handshake);
	assert_int_equal(facts.resumed,
			 handshake_facts(&pair.server.handshake).resumed);
	tlspair_take(&pair);
	if (reads)
		assert_int_equal(tlspair_receive(&pair, &pair.client, &plain),
				 RECORD_OK);
	/* OpenSSL resumes no session that was cut off. */
	record_shutdown(&pair.client.record, &pair.server.in);
	tlspair_close(&pair);
	return facts;
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

static void resumes_from_the_second_on(void **state)
{
	static const enum creds_version versions[] = { CREDS_TLS12,
						       CREDS_TLS13 };

	for (size_t v = 0; v < 2; v++) {
		struct creds *server = server_with_tickets(1);
		struct creds *client = client_of(versions[v], NULL, 4);

		assert_false(connect_once(server, client, true).resumed);
		for (int i = 0; i < 10; i++)
			assert_true(connect_once(server, client, true).resumed);
		creds_close(client);
		creds_close(server);
	}
}

static void remembers_nothing_unless_told(void **state)
{
	struct creds *server = server_with_tickets(2);
	struct creds *client = client_of(CREDS_ANY_VERSION, NULL, 0);

	assert_null(creds_resumption(client));
	for (int i = 0; i < 3; i++)
		assert_false(connect_once(server, client, true).resumed);
	creds_close(client);
	creds_close(server);
}

/* Tickets that nobody reads are none. The last one that was stays good. */
static void keeps_the_last_one(void **state)
{
	struct creds *server = server_with_tickets(3);
	struct creds *client = client_of(CREDS_TLS13, NULL, 8);

	assert_false(connect_once(server, client, false).resumed);
	assert_false(connect_once(server, client, true).resumed);
	for (int i = 0; i < 6; i++)
		assert_true(connect_once(server, client, false).resumed);
	creds_close(client);
	creds_close(server);
}

/* More tickets than there is room for: the oldest go, nothing is lost. */
static void forgets_the_oldest(void **state)
{
	struct creds *server = server_with_tickets(5);
	struct creds *client = client_of(CREDS_TLS13, NULL, 2);

	assert_false(connect_once(server, client, true).resumed);
	for (int i = 0; i < 5; i++)
		assert_true(connect_once(server, client, true).resumed);
	creds_close(client);
	creds_close(server);
}

/* A session of keys that the server forgot costs one full handshake. */
static void survives_a_server_that_forgot(void **state)
{
	struct creds *server = server_with_tickets(1);
	struct creds *client = client_of(CREDS_TLS13, NULL, 1);

	assert_false(connect_once(server, client, true).resumed);
	for (int i = 0; i < TICKET_GENERATIONS; i++)
		assert_int_equal(ticket_keys_rotate(&keys), 0);
	assert_false(connect_once(server, client, true).resumed);
	assert_true(connect_once(server, client, true).resumed);
	creds_close(client);
	creds_close(server);
}

static void speaks_what_it_is_told(void **state)
{
	static const struct {
		enum creds_version version;
		const char *cipher, *said_version, *said_cipher;
	} cases[] = {
		{ CREDS_TLS12, NULL, "TLSv1.2", NULL },
		{ CREDS_TLS13, NULL, "TLSv1.3", "TLS_AES_128_GCM_SHA256" },
		{ CREDS_ANY_VERSION, "TLS_CHACHA20_POLY1305_SHA256", "TLSv1.3",
		  "TLS_CHACHA20_POLY1305_SHA256" },
		{ CREDS_TLS13, "TLS_AES_256_GCM_SHA384", "TLSv1.3",
		  "TLS_AES_256_GCM_SHA384" },
		{ CREDS_ANY_VERSION, "ECDHE-ECDSA-AES256-GCM-SHA384", "TLSv1.2",
		  "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384" },
	};
	struct creds *server = server_with_tickets(1);

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct creds *client =
			client_of(cases[i].version, cases[i].cipher, 0);
		struct handshake_facts facts =
			connect_once(server, client, true);

		assert_string_equal(facts.version, cases[i].said_version);
		if (cases[i].said_cipher)
			assert_string_equal(facts.cipher, cases[i].said_cipher);
		creds_close(client);
	}
	creds_close(server);
}

static void refuses_what_is_not_allowed(void **state)
{
	static const struct creds_client_options bad[] = {
		{ .cipher = "NULL-MD5" },
		{ .cipher = "" },
		{ .cipher = "TLS_AES_128" },
		{ .cipher = "AES_128_GCM_SHA256" },
		{ .cipher = "TLS_AES_128_GCM_SHA256", .version = CREDS_TLS12 },
		{ .cipher = "ECDHE-ECDSA-AES128-GCM-SHA256",
		  .version = CREDS_TLS13 },
		{ .cipher = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:x" },
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct creds_error error;
		struct creds *made;

		assert_int_equal(creds_open_client(&bad[i], &made, &error),
				 -EINVAL);
		assert_non_null(strstr(error.text, "no such cipher"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(resumes_from_the_second_on),
		cmocka_unit_test(remembers_nothing_unless_told),
		cmocka_unit_test(keeps_the_last_one),
		cmocka_unit_test(forgets_the_oldest),
		cmocka_unit_test(survives_a_server_that_forgot),
		cmocka_unit_test(speaks_what_it_is_told),
		cmocka_unit_test(refuses_what_is_not_allowed),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
