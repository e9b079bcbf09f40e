/*
 * TLS as network cards take it: who gets it from a server that prefers or
 * requires it, and what a client that does so offers.
 */
#include "tls/creds.h"

#include "pki.h"
#include "tls/handshake.h"
#include "tlspair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <openssl/ssl.h>

#define GCM      "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256"
#define GCM_OURS "ECDHE-ECDSA-AES128-GCM-SHA256"
#define CHACHA   "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"

static struct pki leaf;
static struct tlspair pair;

static struct creds *open_server(enum creds_device device, bool tls12)
{
	const struct creds_server_options options = { .tls12 = tls12,
						      .device = device };
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

static struct creds *open_client(enum creds_device device)
{
	const struct creds_client_options options = { .device = device };
	struct creds_error error;
	struct creds *creds;

	assert_int_equal(creds_open_client(&options, &creds, &error), 0);
	return creds;
}

/* Shakes hands and closes both; no version: they must not agree. */
static void expect(struct creds *server, struct creds *client,
		   const char *version, const char *cipher)
{
	bool agreed;

	tlspair_open(&pair, server, client, "mx.example.org");
	agreed = tlspair_shake(&pair);
	if (!version) {
		assert_false(agreed);
	} else {
		struct handshake_facts facts;

		assert_true(agreed);
		facts = handshake_facts(&pair.server.handshake);
		assert_string_equal(facts.version, version);
		assert_non_null(strstr(facts.cipher, cipher));
	}
	tlspair_close(&pair);
	creds_close(client);
	creds_close(server);
}

static void server_gives_what_cards_take(void **state)
{
	static const struct {
		int least, most;
		const char *suites; /* of TLS 1.2 */
		const char *version, *cipher;
		bool required_too;
	} rows[] = {
		{ TLS1_2_VERSION, TLS1_3_VERSION, GCM, "TLSv1.2", "AES_128_GCM",
		  true },
		{ TLS1_2_VERSION, TLS1_2_VERSION, GCM, "TLSv1.2", "AES_128_GCM",
		  true },
		{ TLS1_2_VERSION, TLS1_3_VERSION, CHACHA ":" GCM, "TLSv1.2",
		  "AES_128_GCM", true },
		{ TLS1_2_VERSION, TLS1_2_VERSION, CHACHA ":" GCM, "TLSv1.2",
		  "AES_128_GCM", true },
		{ TLS1_3_VERSION, TLS1_3_VERSION, GCM, "TLSv1.3", "AES_128_GCM",
		  false },
		{ TLS1_2_VERSION, TLS1_3_VERSION, CHACHA, "TLSv1.3",
		  "AES_128_GCM", false },
		{ TLS1_2_VERSION, TLS1_2_VERSION, CHACHA, "TLSv1.2", "CHACHA20",
		  false },
	};

	for (size_t i = 0; i < 2 * sizeof(rows) / sizeof(*rows); i++) {
		bool required = i % 2;
		struct creds *server = open_server(
			required ? CREDS_DEVICE_REQUIRE : CREDS_DEVICE_PREFER,
			true);
		struct creds *client = open_client(CREDS_DEVICE_OFF);
		SSL_CTX *ctx = creds_context(client);

		SSL_CTX_set_min_proto_version(ctx, rows[i / 2].least);
		SSL_CTX_set_max_proto_version(ctx, rows[i / 2].most);
		SSL_CTX_set_cipher_list(ctx, rows[i / 2].suites);
		expect(server, client,
		       required && !rows[i / 2].required_too ?
			       NULL :
			       rows[i / 2].version,
		       rows[i / 2].cipher);
	}
}

/* A client that could use one type of certificate alone is not tried. */
static void server_does_not_guess(void **state)
{
	struct creds *client = open_client(CREDS_DEVICE_OFF);

	SSL_CTX_set_cipher_list(creds_context(client), GCM_OURS);
	expect(open_server(CREDS_DEVICE_PREFER, true), client, "TLSv1.3",
	       "AES_128_GCM");
}

static void without_wish_nothing_changes(void **state)
{
	expect(open_server(CREDS_DEVICE_OFF, true),
	       open_client(CREDS_DEVICE_OFF), "TLSv1.3", "AES_128_GCM");
}

static void client_offers_what_cards_take(void **state)
{
	struct creds *chacha = open_server(CREDS_DEVICE_OFF, true);

	expect(open_server(CREDS_DEVICE_OFF, true),
	       open_client(CREDS_DEVICE_PREFER), "TLSv1.2", "AES_128_GCM");
	expect(open_server(CREDS_DEVICE_OFF, true),
	       open_client(CREDS_DEVICE_REQUIRE), "TLSv1.2", "AES_128_GCM");
	expect(open_server(CREDS_DEVICE_OFF, false),
	       open_client(CREDS_DEVICE_PREFER), NULL, NULL);
	SSL_CTX_set_cipher_list(creds_context(chacha), CHACHA);
	expect(chacha, open_client(CREDS_DEVICE_PREFER), "TLSv1.2", "CHACHA20");
	chacha = open_server(CREDS_DEVICE_OFF, true);
	SSL_CTX_set_cipher_list(creds_context(chacha), CHACHA);
	expect(chacha, open_client(CREDS_DEVICE_REQUIRE), NULL, NULL);
}

static int setup(void **state)
{
	pki_make(&leaf, &(struct pki_wish){ .subject = "leaf",
					    .names = "DNS:mx.example.org",
					    .key = "P-256" });
	return 0;
}

static int teardown(void **state)
{
	pki_free(&leaf);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(server_gives_what_cards_take),
		cmocka_unit_test(server_does_not_guess),
		cmocka_unit_test(without_wish_nothing_changes),
		cmocka_unit_test(client_offers_what_cards_take),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
