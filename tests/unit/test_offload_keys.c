#include "tls/secrets.h"

#include "pki.h"
#include "tlspair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>

/*
 * Keys and record numbers as the kernel would be given them, tried by a record
 * layer of our own that talks with OpenSSL's.
 */

static const char *const suites[] = {
	"TLS_AES_128_GCM_SHA256",        "TLS_AES_256_GCM_SHA384",
	"TLS_CHACHA20_POLY1305_SHA256",  "ECDHE-ECDSA-AES128-GCM-SHA256",
	"ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305"
};
#define SUITES_N 6
#define TLS12    3

static struct pki leaf, second;
static struct ticket_keys ticket_keys;
static struct tlspair pair;
static uint8_t storage[TLSPAIR_QUEUE];
static struct buf plain;

/* RFC 8448 3, the simple handshake. */
static const uint8_t client_secret[] = {
	0x9e, 0x40, 0x64, 0x6c, 0xe7, 0x9a, 0x7f, 0x9d, 0xc0, 0x5a, 0xf8,
	0x88, 0x9b, 0xce, 0x65, 0x52, 0x87, 0x5a, 0xfa, 0x0b, 0x06, 0xdf,
	0x00, 0x87, 0xf7, 0x92, 0xeb, 0xb7, 0xc1, 0x75, 0x04, 0xa5
};
static const uint8_t client_key[] = { 0x17, 0x42, 0x2d, 0xda, 0x59, 0x6e,
				      0xd5, 0xd9, 0xac, 0xd8, 0x90, 0xe3,
				      0xc6, 0x3f, 0x50, 0x51 };
static const uint8_t client_iv[] = { 0x5b, 0x78, 0x92, 0x3d, 0xee, 0x08,
				     0x57, 0x90, 0x33, 0xe5, 0x23, 0xd9 };
static const uint8_t server_secret[] = {
	0xa1, 0x1a, 0xf9, 0xf0, 0x55, 0x31, 0xf8, 0x56, 0xad, 0x47, 0x11,
	0x6b, 0x45, 0xa9, 0x50, 0x32, 0x82, 0x04, 0xb4, 0xf4, 0x4b, 0xfb,
	0x6b, 0x3a, 0x4b, 0x4f, 0x1f, 0x3f, 0xcb, 0x63, 0x16, 0x43
};
static const uint8_t server_key[] = { 0x9f, 0x02, 0x28, 0x3b, 0x6c, 0x9c,
				      0x07, 0xef, 0xc2, 0x6b, 0xb9, 0xf2,
				      0xac, 0x92, 0xe3, 0x56 };
static const uint8_t server_iv[] = { 0xcf, 0x78, 0x2b, 0x88, 0xdd, 0x83,
				     0x54, 0x9a, 0xad, 0xf1, 0xe9, 0x84 };

static void keys_of_rfc_8448(void **state)
{
	struct keys_secret secret = { .len = 32 };
	struct keys keys;

	memcpy(secret.bytes, client_secret, 32);
	assert_true(keys_from_secret(&secret, KEYS_AES_128_GCM, &keys));
	assert_memory_equal(keys.key, client_key, sizeof(client_key));
	assert_memory_equal(keys.iv, client_iv, sizeof(client_iv));
	memcpy(secret.bytes, server_secret, 32);
	assert_true(keys_from_secret(&secret, KEYS_AES_128_GCM, &keys));
	assert_memory_equal(keys.key, server_key, sizeof(server_key));
	assert_memory_equal(keys.iv, server_iv, sizeof(server_iv));
	keys_wipe(&keys);
	for (size_t i = 0; i < sizeof(keys.key); i++)
		assert_int_equal(keys.key[i], 0);
}

/* A record layer of our own */

static const EVP_CIPHER *evp_of(enum keys_cipher cipher)
{
	if (cipher == KEYS_CHACHA20_POLY1305)
		return EVP_chacha20_poly1305();
	return cipher == KEYS_AES_128_GCM ? EVP_aes_128_gcm() :
					    EVP_aes_256_gcm();
}

static void put_number(uint8_t to[8], uint64_t n)
{
	for (int i = 0; i < 8; i++)
		to[i] = (uint8_t)(n >> (56 - 8 * i));
}

struct crypt {
	bool seal, tls13;
	const struct offload_direction *d;
	const uint8_t *head;  /* of the record */
	const uint8_t *nonce; /* TLS 1.2 with AES-GCM: what the record has */
};

/* True when the tag was right; `bytes` changes in place, the tag follows. */
static bool crypt(const struct crypt *c, uint8_t *bytes, size_t len)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	uint8_t iv[12], number[8], aad[13];
	size_t aad_len = c->tls13 ? 5 : 13;
	int n, ok;

	memcpy(iv, c->d->keys.iv, sizeof(iv));
	put_number(number, c->d->sequence);
	if (c->nonce)
		memcpy(iv + 4, c->nonce, 8);
	for (int i = 0; i < 8 && !c->nonce; i++)
		iv[4 + i] ^= number[i];
	memcpy(aad, number, 8);
	memcpy(aad + 8, c->head, 3);
	aad[11] = (uint8_t)(len >> 8);
	aad[12] = (uint8_t)len;
	assert_true(EVP_CipherInit_ex(ctx, evp_of(c->d->keys.cipher), NULL,
				      c->d->keys.key, iv, c->seal));
	assert_true(EVP_CipherUpdate(ctx, NULL, &n, c->tls13 ? c->head : aad,
				     (int)aad_len));
	if (!c->seal)
		EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, 16,
				    bytes + len);
	assert_true(EVP_CipherUpdate(ctx, bytes, &n, bytes, (int)len));
	ok = EVP_CipherFinal_ex(ctx, bytes + len, &n);
	if (c->seal)
		EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, 16,
				    bytes + len);
	EVP_CIPHER_CTX_free(ctx);
	return ok;
}

/* What each record of that kind has between its header and its data. */
static size_t nonce_len(const struct offload_keys *k)
{
	return !k->tls13 && k->tx.keys.cipher != KEYS_CHACHA20_POLY1305 ? 8 : 0;
}

static void seal(struct offload_keys *k, struct span text, struct buf *to)
{
	uint8_t record[200] = { SSL3_RT_APPLICATION_DATA, 3, 3 };
	size_t nonce = nonce_len(k), len = text.len + k->tls13;
	struct crypt c = { .seal = true,
			   .tls13 = k->tls13,
			   .d = &k->tx,
			   .head = record,
			   .nonce = nonce ? record + 5 : NULL };

	record[4] = (uint8_t)(nonce + len + 16);
	put_number(record + 5, k->tx.sequence);
	memcpy(record + 5 + nonce, text.p, text.len);
	record[5 + nonce + text.len] = SSL3_RT_APPLICATION_DATA;
	assert_true(crypt(&c, record + 5 + nonce, len));
	k->tx.sequence++;
	buf_put(to, span_of(record, 5u + record[4]));
}

/* Opens the first record of `from` and compares its data. */
static void expect(struct offload_keys *k, struct buf *from, struct span text)
{
	uint8_t *record = from->p + from->start;
	size_t nonce = nonce_len(k);
	size_t len = ((size_t)record[3] << 8 | record[4]) - nonce - 16;
	struct crypt c = { .tls13 = k->tls13,
			   .d = &k->rx,
			   .head = record,
			   .nonce = nonce ? record + 5 : NULL };

	assert_true(crypt(&c, record + 5 + nonce, len));
	assert_int_equal(len, text.len + k->tls13);
	assert_memory_equal(record + 5 + nonce, text.p, text.len);
	k->rx.sequence++;
	buf_consume(from, 5 + nonce + len + 16);
}

/* Connections */

static struct creds *open_server(uint32_t tickets)
{
	const struct creds_server_options options = {
		.tls12 = true,
		.resumption = tickets > 0,
		.tickets = tickets,
		.ticket_keys = tickets ? &ticket_keys : NULL,
	};
	struct pki_text chains[] = { pki_certificate(&leaf),
				     pki_certificate(&second) };
	struct pki_text texts[] = { pki_key(&leaf, NULL),
				    pki_key(&second, NULL) };
	struct creds_certificate certificates[] = {
		{ "main", pki_span(&chains[0]), pki_span(&texts[0]) },
		{ "other", pki_span(&chains[1]), pki_span(&texts[1]) },
	};
	struct creds_error error;
	struct creds *creds;

	assert_int_equal(creds_open_server(certificates, 2, &options, &creds,
					   &error),
			 0);
	return creds;
}

static struct creds *open_client(int suite)
{
	const struct creds_client_options options = { .verify = false };
	struct creds_error error;
	struct creds *creds;
	SSL_CTX *ctx;

	assert_int_equal(creds_open_client(&options, &creds, &error), 0);
	ctx = creds_context(creds);
	if (suite < TLS12) {
		SSL_CTX_set_ciphersuites(ctx, suites[suite]);
	} else {
		SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION);
		SSL_CTX_set_cipher_list(ctx, suites[suite]);
	}
	return creds;
}

static void connect_with(int suite, uint32_t tickets)
{
	struct creds *server = open_server(tickets);
	struct creds *client = open_client(suite);

	tlspair_open(&pair, server, client, "mx.example.org");
	assert_int_equal(handshake_keep_secrets(&pair.server.handshake), 0);
	assert_int_equal(handshake_keep_secrets(&pair.client.handshake), 0);
	assert_true(tlspair_shake(&pair));
	tlspair_take(&pair);
	creds_close(client);
	creds_close(server);
	buf_init(&plain, storage, sizeof(storage));
}

static struct offload_keys derive(const struct tlspair_end *end)
{
	const struct record *r = &end->record;
	struct offload_keys keys;
	enum keys_cipher cipher;

	assert_true(keys_cipher_of(r->ssl, &cipher));
	assert_true(secrets_derive(r->secrets, r->ssl, cipher, &keys));
	return keys;
}

static void says(struct offload_keys *k, struct tlspair_end *to,
		 const char *text)
{
	buf_clear(&plain);
	seal(k, span_str(text), &to->in);
	assert_int_equal(tlspair_receive(&pair, to, &plain), RECORD_OK);
	assert_true(span_equal(buf_span(&plain), span_str(text)));
}

static void hears(struct offload_keys *k, struct tlspair_end *from,
		  struct tlspair_end *to, const char *text)
{
	tlspair_send(from, to, span_str(text));
	expect(k, &to->in, span_str(text));
}

/* `end` is the kernel's now; it talks with the other. */
static void talk(struct tlspair_end *end, struct tlspair_end *other)
{
	struct offload_keys k = derive(end);

	for (int i = 0; i < 3; i++) {
		says(&k, other, "250 2.0.0 OK\r\n");
		hears(&k, other, end, "RSET\r\n");
	}
}

static void both_roles_talk_with_openssl(void **state)
{
	for (int suite = 0; suite < SUITES_N; suite++)
		for (uint32_t tickets = 0; tickets <= 3; tickets++) {
			connect_with(suite, tickets);
			assert_int_equal(pair.server.record.secrets->sent_n,
					 suite < TLS12 ? tickets : 0);
			assert_int_equal(pair.server.record.secrets->received_n,
					 0);
			assert_int_equal(tlspair_receive(&pair, &pair.client,
							 &plain),
					 RECORD_OK);
			talk(&pair.server, &pair.client);
			tlspair_close(&pair);

			connect_with(suite, tickets);
			assert_int_equal(pair.client.record.secrets->received_n,
					 0);
			assert_int_equal(tlspair_receive(&pair, &pair.client,
							 &plain),
					 RECORD_OK);
			assert_int_equal(pair.client.record.secrets->received_n,
					 suite < TLS12 ? tickets : 0);
			talk(&pair.client, &pair.server);
			tlspair_close(&pair);
		}
}

/* What OpenSSL did before the passage counts, too. */
static void records_before_are_counted(void **state)
{
	for (int suite = 0; suite < SUITES_N; suite++) {
		connect_with(suite, 2);
		for (int i = 0; i < 5; i++) {
			tlspair_send(&pair.client, &pair.server, SPAN("a"));
			assert_int_equal(tlspair_receive(&pair, &pair.server,
							 &plain),
					 RECORD_OK);
		}
		tlspair_send(&pair.server, &pair.client, SPAN("b"));
		assert_int_equal(tlspair_receive(&pair, &pair.client, &plain),
				 RECORD_OK);
		assert_int_equal(pair.server.record.secrets->received_n, 5);
		talk(&pair.server, &pair.client);
		tlspair_close(&pair);
	}
}

/* The peer is OpenSSL, which makes the next secret by itself. */
static void next_secrets_follow_a_key_update(void **state)
{
	for (int suite = 0; suite < TLS12; suite++) {
		struct keys_secret secret;
		struct offload_keys k;

		connect_with(suite, 0);
		k = derive(&pair.server);
		secret = pair.server.record.secrets->client;
		for (int i = 0; i < 3; i++) {
			assert_true(
				SSL_key_update(pair.client.record.ssl,
					       SSL_KEY_UPDATE_NOT_REQUESTED));
			tlspair_send(&pair.client, &pair.server, SPAN("x"));
			/* The KeyUpdate has the old keys and another type. */
			buf_consume(&pair.server.in, 5 + 5 + 1 + 16);
			assert_true(keys_next_secret(&secret));
			assert_true(keys_from_secret(&secret, k.rx.keys.cipher,
						     &k.rx.keys));
			k.rx.sequence = 0;
			expect(&k, &pair.server.in, SPAN("x"));
		}
		tlspair_close(&pair);
	}
}

static void key_updates_are_noticed(void **state)
{
	connect_with(0, 0);
	assert_true(SSL_key_update(pair.client.record.ssl,
				   SSL_KEY_UPDATE_NOT_REQUESTED));
	tlspair_send(&pair.client, &pair.server, SPAN("x"));
	assert_false(pair.server.record.secrets->rekeyed);
	assert_int_equal(tlspair_receive(&pair, &pair.server, &plain),
			 RECORD_OK);
	assert_true(pair.server.record.secrets->rekeyed);
	assert_true(pair.client.record.secrets->rekeyed);
	tlspair_close(&pair);
}

/* Only who asked is listened to; and where nobody does, nothing is said. */
static void others_leave_no_secrets(void **state)
{
	struct creds *server = open_server(0);
	struct creds *client = open_client(0);

	tlspair_connect(&pair, server, client, "mx.example.org");
	assert_null(pair.server.record.secrets);
	assert_null(SSL_get_app_data(pair.server.record.ssl));
	assert_null(SSL_CTX_get_keylog_callback(creds_context(server)));
	tlspair_close(&pair);

	tlspair_open(&pair, server, client, "mx.example.org");
	assert_int_equal(handshake_keep_secrets(&pair.server.handshake), 0);
	assert_non_null(SSL_CTX_get_keylog_callback(creds_context(server)));
	tlspair_close(&pair);

	tlspair_connect(&pair, server, client, "mx.example.org");
	assert_null(pair.server.record.secrets);
	assert_null(SSL_get_app_data(pair.server.record.ssl));
	tlspair_close(&pair);
	creds_close(client);
	creds_close(server);
}

/* The name asked for changes the certificate, and with it the context. */
static void any_name_leaves_secrets(void **state)
{
	struct creds *server = open_server(0);
	struct creds *client = open_client(0);

	tlspair_open(&pair, server, client, "other.example.org");
	assert_int_equal(handshake_keep_secrets(&pair.server.handshake), 0);
	assert_true(tlspair_shake(&pair));
	assert_ptr_not_equal(SSL_get_SSL_CTX(pair.server.handshake.ssl),
			     creds_context(server));
	tlspair_take(&pair);
	buf_init(&plain, storage, sizeof(storage));
	talk(&pair.server, &pair.client);
	tlspair_close(&pair);
	creds_close(client);
	creds_close(server);
}

/* The second handshake resumes the first, by a ticket. */
static void resumed_sessions_talk_too(void **state)
{
	const int some[] = { 0, 1, TLS12, TLS12 + 1, TLS12 + 2 };

	for (size_t i = 0; i < sizeof(some) / sizeof(*some); i++) {
		struct creds *server = open_server(2);
		struct creds *client = open_client(some[i]);
		SSL_SESSION *session;

		SSL_CTX_set_session_cache_mode(creds_context(client),
					       SSL_SESS_CACHE_CLIENT);
		tlspair_connect(&pair, server, client, "mx.example.org");
		buf_init(&plain, storage, sizeof(storage));
		(void)tlspair_receive(&pair, &pair.client, &plain);
		session = SSL_get1_session(pair.client.record.ssl);
		/* A session that ends without it is not resumed. */
		SSL_set_shutdown(pair.client.record.ssl, SSL_SENT_SHUTDOWN);
		tlspair_close(&pair);
		tlspair_open(&pair, server, client, "mx.example.org");
		SSL_set_session(pair.client.handshake.ssl, session);
		SSL_SESSION_free(session);
		handshake_keep_secrets(&pair.server.handshake);
		assert_true(tlspair_shake(&pair));
		assert_true(handshake_facts(&pair.server.handshake).resumed);
		tlspair_take(&pair);
		(void)tlspair_receive(&pair, &pair.client, &plain);
		talk(&pair.server, &pair.client);
		tlspair_close(&pair);
		creds_close(client);
		creds_close(server);
	}
}

static int setup(void **state)
{
	pki_make(&leaf, &(struct pki_wish){ .subject = "leaf",
					    .names = "DNS:mx.example.org",
					    .key = "P-256" });
	pki_make(&second, &(struct pki_wish){ .subject = "other",
					      .names = "DNS:other.example.org",
					      .key = "P-256" });
	return ticket_keys_init(&ticket_keys);
}

static int teardown(void **state)
{
	pki_free(&second);
	pki_free(&leaf);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_of_rfc_8448),
		cmocka_unit_test(both_roles_talk_with_openssl),
		cmocka_unit_test(records_before_are_counted),
		cmocka_unit_test(next_secrets_follow_a_key_update),
		cmocka_unit_test(key_updates_are_noticed),
		cmocka_unit_test(others_leave_no_secrets),
		cmocka_unit_test(any_name_leaves_secrets),
		cmocka_unit_test(resumed_sessions_talk_too),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
