#include "tls/secrets.h"

#include "base/must.h"

#include <openssl/crypto.h>
#include <openssl/ssl.h>

/*
 * I1 A connection that nobody called secrets_open for leaves no secret here:
 *    the callbacks know theirs by the application data of its SSL.
 * I2 OpenSSL reports the header of the record that holds Finished before
 *    Finished itself, so counting anew at Finished counts what comes behind it.
 */

/* NSS key log lines: LABEL, the client's random, the secret, both in hex. */
#define RANDOM_HEX 64

static int nibble(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static void read_secret(struct keys_secret *to, const char *hex)
{
	struct keys_secret secret = { 0 };

	while (secret.len < KEYS_SECRET_MAX) {
		int high = nibble(hex[0]);
		int low = high < 0 ? -1 : nibble(hex[1]);

		if (low < 0)
			break;
		secret.bytes[secret.len++] = (uint8_t)(high << 4 | low);
		hex += 2;
	}
	*to = secret;
	explicit_bzero(&secret, sizeof(secret));
}

static void on_keylog(const SSL *ssl, const char *line)
{
	static const char client[] = "CLIENT_TRAFFIC_SECRET_0 ";
	static const char server[] = "SERVER_TRAFFIC_SECRET_0 ";
	const size_t secret_at = sizeof(client) - 1 + RANDOM_HEX + 1;
	struct secrets *s = SSL_get_app_data(ssl);

	if (!s || strlen(line) < secret_at) /* I1 */
		return;
	if (!strncmp(line, client, sizeof(client) - 1))
		read_secret(&s->client, line + secret_at);
	else if (!strncmp(line, server, sizeof(server) - 1))
		read_secret(&s->server, line + secret_at);
}

/*
 * Where nobody listens OpenSSL need not print each secret in hex, which takes
 * about a twentieth of a handshake; so a context is told when it is wanted.
 */
static void listen_to(SSL_CTX *ctx)
{
	if (!SSL_CTX_get_keylog_callback(ctx))
		SSL_CTX_set_keylog_callback(ctx, on_keylog);
}

void secrets_follow(const struct ssl_st *ssl)
{
	if (SSL_get_app_data(ssl))
		listen_to(SSL_get_SSL_CTX(ssl));
}

struct secrets *secrets_open(struct ssl_st *ssl)
{
	struct secrets *s = OPENSSL_zalloc(sizeof(*s));

	if (s && !SSL_set_app_data(ssl, s)) {
		OPENSSL_free(s);
		return NULL;
	}
	if (s)
		listen_to(SSL_get_SSL_CTX(ssl));
	return s;
}

void secrets_close(struct secrets *s, struct ssl_st *ssl)
{
	if (s && ssl)
		(void)SSL_set_app_data(ssl, NULL);
	OPENSSL_clear_free(s, sizeof(*s));
}

/* I2 */
static void count(bool *finished, uint64_t *n, bool is_finished)
{
	if (is_finished) {
		*finished = true;
		*n = 0;
	} else {
		++*n;
	}
}

void secrets_on_message(const struct ssl_st *ssl, bool sent, int kind,
			struct span message)
{
	struct secrets *s = SSL_get_app_data(ssl);
	bool is_finished = kind == SSL3_RT_HANDSHAKE && message.len &&
			   message.p[0] == SSL3_MT_FINISHED;

	if (!s)
		return;
	if (kind == SSL3_RT_HANDSHAKE && message.len &&
	    message.p[0] == SSL3_MT_KEY_UPDATE)
		s->rekeyed = true;
	if (kind != SSL3_RT_HEADER && !is_finished)
		return;
	if (sent)
		count(&s->sent_finished, &s->sent_n, is_finished);
	else
		count(&s->received_finished, &s->received_n, is_finished);
}

static bool read_master(const SSL *ssl, struct keys_master *ret)
{
	const SSL_SESSION *session = SSL_get_session(ssl);

	return session &&
	       SSL_SESSION_get_master_key(session, ret->secret,
					  sizeof(ret->secret)) ==
		       sizeof(ret->secret) &&
	       SSL_get_client_random(ssl, ret->client_random,
				     sizeof(ret->client_random)) ==
		       sizeof(ret->client_random) &&
	       SSL_get_server_random(ssl, ret->server_random,
				     sizeof(ret->server_random)) ==
		       sizeof(ret->server_random);
}

static bool derive12(const SSL *ssl, enum keys_cipher cipher,
		     struct keys *client, struct keys *server)
{
	struct keys_master master;
	bool ok = read_master(ssl, &master) &&
		  keys_from_master(&master, cipher, client, server);

	explicit_bzero(&master, sizeof(master));
	return ok;
}

static bool derive13(const struct secrets *s, enum keys_cipher cipher,
		     struct keys *client, struct keys *server)
{
	const uint8_t len = cipher == KEYS_AES_256_GCM ? 48 : 32;

	return s->client.len == len && s->server.len == len &&
	       keys_from_secret(&s->client, cipher, client) &&
	       keys_from_secret(&s->server, cipher, server);
}

bool secrets_derive(const struct secrets *s, const struct ssl_st *ssl,
		    enum keys_cipher cipher, struct offload_keys *ret)
{
	const bool is_server = SSL_is_server(ssl);
	struct keys *client = is_server ? &ret->rx.keys : &ret->tx.keys;
	struct keys *server = is_server ? &ret->tx.keys : &ret->rx.keys;
	uint64_t finished;

	MUST(!s->rekeyed);
	*ret = (struct offload_keys){ .tls13 = SSL_version(ssl) ==
					       TLS1_3_VERSION };
	finished = ret->tls13 ? 0 : 1; /* a record of the same keys */
	ret->tx.sequence = s->sent_n + finished;
	ret->rx.sequence = s->received_n + finished;
	return s->sent_finished && s->received_finished &&
	       (ret->tls13 ? derive13(s, cipher, client, server) :
			     derive12(ssl, cipher, client, server));
}
