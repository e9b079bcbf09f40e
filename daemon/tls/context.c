#include "tls/context.h"

#include "tls/hello.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>

/*
 * Forward secrecy and AEAD only. AES-128 first: the kernel and the network
 * cards do it fastest, and nothing is gained by more bits. A client that puts
 * CHACHA20 first has no AES instructions and gets it (PRIORITIZE_CHACHA).
 */
#define SUITES13                                         \
	"TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:" \
	"TLS_CHACHA20_POLY1305_SHA256"
#define SUITES12_GCM                                                 \
	"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:" \
	"ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384"
#define SUITES12     \
	SUITES12_GCM \
	":ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
#define GROUPS "X25519:P-256:P-384"

#define TICKET_IV_BYTES 16 /* of AES-CBC */

/* A server's chain has a few certificates of 1-2 KiB each. */
#define PEER_CHAIN_BYTES_MAX (64L * 1024)

/* What both sides have in common. */
static SSL_CTX *new_context(const SSL_METHOD *method, bool tls12)
{
	SSL_CTX *ctx = SSL_CTX_new(method);

	if (!ctx)
		return NULL;
	if (!SSL_CTX_set_min_proto_version(ctx, tls12 ? TLS1_2_VERSION :
							TLS1_3_VERSION) ||
	    !SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION) ||
	    !SSL_CTX_set_ciphersuites(ctx, SUITES13) ||
	    !SSL_CTX_set_cipher_list(ctx, SUITES12) ||
	    !SSL_CTX_set1_groups_list(ctx, GROUPS)) {
		SSL_CTX_free(ctx);
		return NULL;
	}
	SSL_CTX_set_security_level(ctx, 2);
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION |
					 SSL_OP_NO_COMPRESSION |
					 SSL_OP_CIPHER_SERVER_PREFERENCE |
					 SSL_OP_PRIORITIZE_CHACHA);
	SSL_CTX_clear_options(ctx, SSL_OP_IGNORE_UNEXPECTED_EOF);
	/*
	 * Idle sessions keep no record buffers, and a write makes one record,
	 * so that the room it takes is known; without retries a read handles
	 * one message (see record_user.c). Without read-ahead OpenSSL takes no
	 * byte behind the record it works on.
	 */
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS |
				      SSL_MODE_ENABLE_PARTIAL_WRITE |
				      SSL_MODE_NO_AUTO_CHAIN);
	SSL_CTX_clear_mode(ctx, SSL_MODE_AUTO_RETRY);
	SSL_CTX_set_read_ahead(ctx, 0);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_max_cert_list(ctx, PEER_CHAIN_BYTES_MAX);
	return ctx;
}

/* True: what the client offers lets it speak what cards take. */
static bool can_use_device(SSL *ssl)
{
	const unsigned char *versions, *suites;
	size_t versions_n, suites_n;

	if (!SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_supported_versions,
				       &versions, &versions_n)) {
		if (SSL_client_hello_get0_legacy_version(ssl) < TLS1_2_VERSION)
			return false;
	} else if (!hello_lists_tls12(span_of(versions, versions_n))) {
		return false;
	}
	suites_n = SSL_client_hello_get0_ciphers(ssl, &suites);
	return hello_lists_gcm12(span_of(suites, suites_n));
}

/*
 * Before the version is chosen, so that for this client we are a server without
 * TLS 1.3: ours is no downgrade that it must fear (RFC 8446 4.1.3).
 */
static int on_client_hello(SSL *ssl, int *alert, void *argument)
{
	(void)argument;
	*alert = SSL_AD_INTERNAL_ERROR;
	if (can_use_device(ssl) &&
	    !SSL_set_max_proto_version(ssl, TLS1_2_VERSION))
		return SSL_CLIENT_HELLO_ERROR;
	return SSL_CLIENT_HELLO_SUCCESS;
}

/* TLS as cards take it; `client` because only a server hears offers. */
static bool set_device(SSL_CTX *ctx, enum creds_device device, bool client)
{
	if (device == CREDS_DEVICE_OFF)
		return true;
	/* A client's wish for CHACHA20 would come before ours. */
	SSL_CTX_clear_options(ctx, SSL_OP_PRIORITIZE_CHACHA);
	if (device == CREDS_DEVICE_PREFER && !client) {
		SSL_CTX_set_client_hello_cb(ctx, on_client_hello, NULL);
		return true;
	}
	return SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION) &&
	       (device == CREDS_DEVICE_PREFER ||
		SSL_CTX_set_cipher_list(ctx, SUITES12_GCM));
}

static bool set_mac_key(EVP_MAC_CTX *mac, struct ticket_key *key)
{
	char digest[] = "SHA256";
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key->hmac,
						  sizeof(key->hmac)),
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest,
						 0),
		OSSL_PARAM_construct_end(),
	};

	return EVP_MAC_CTX_set_params(mac, params);
}

/* A ticket that nobody can open costs its client one full handshake. */
static bool key_to_seal(const struct ticket_keys *keys, struct ticket_key *ret)
{
	return ticket_keys_newest(keys, ret) ||
	       RAND_bytes((unsigned char *)ret, sizeof(*ret)) == 1;
}

/*
 * OpenSSL's contract: -1 fails the handshake, 0 makes it a full one, 1 goes on,
 * 2 resumes and sends a new ticket.
 */
static int on_ticket(SSL *ssl, unsigned char name[16], unsigned char *iv,
		     EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int sealing)
{
	const struct ticket_keys *keys =
		SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
	struct ticket_key key;
	bool ok, renew, newest = true;

	if (!sealing && !ticket_keys_find(keys, name, &key, &newest))
		return 0;
	ok = !sealing ||
	     (key_to_seal(keys, &key) && RAND_bytes(iv, TICKET_IV_BYTES) == 1);
	if (sealing)
		memcpy(name, key.name, sizeof(key.name));
	ok = ok &&
	     EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, key.aes, iv,
			       sealing) &&
	     set_mac_key(mac, &key);
	ticket_key_wipe(&key);
	if (!ok)
		return -1;
	/* In TLS 1.3 a client uses a ticket once, so it needs another. */
	renew = !newest || SSL_version(ssl) >= TLS1_3_VERSION;
	return !sealing && renew ? 2 : 1;
}

static void set_resumption(SSL_CTX *ctx,
			   const struct creds_server_options *options)
{
	/*
	 * Without the option and the zero both, TLS 1.3 would send tickets
	 * that stand for sessions cached in this process.
	 */
	if (!options->resumption || !options->ticket_keys) {
		SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
		SSL_CTX_set_num_tickets(ctx, 0);
		return;
	}
	SSL_CTX_set_app_data(ctx, options->ticket_keys);
	SSL_CTX_set_num_tickets(ctx, options->tickets);
	SSL_CTX_set_timeout(ctx, CREDS_TICKET_SECONDS);
	SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, on_ticket);
}

struct ssl_ctx_st *
context_new_server(const struct creds_server_options *options)
{
	SSL_CTX *ctx = new_context(TLS_server_method(), options->tls12);

	if (!ctx)
		return NULL;
	set_resumption(ctx, options);
	if (set_device(ctx, options->device, false))
		return ctx;
	SSL_CTX_free(ctx);
	return NULL;
}

struct ssl_ctx_st *
context_new_client(const struct creds_client_options *options)
{
	SSL_CTX *ctx = new_context(TLS_client_method(), true);

	if (!ctx || set_device(ctx, options->device, true))
		return ctx;
	SSL_CTX_free(ctx);
	return NULL;
}

/*
 * OpenSSL reads its default directory of anchors when it verifies, which a
 * sandboxed process may not. So a bundle is read whole, here and now.
 */
static bool load_system_anchors(SSL_CTX *ctx)
{
	const char *const bundles[] = {
		X509_get_default_cert_file(),
		"/etc/ssl/certs/ca-certificates.crt", /* Debian */
		"/etc/pki/tls/certs/ca-bundle.crt",   /* Fedora */
	};
	const size_t n = sizeof(bundles) / sizeof(*bundles);

	for (size_t i = 0; i < n; i++)
		if (SSL_CTX_load_verify_file(ctx, bundles[i]))
			return true;
	return false;
}

bool context_trust(struct ssl_ctx_st *ctx, const char *file)
{
	bool ok = file ? SSL_CTX_load_verify_file(ctx, file) :
			 load_system_anchors(ctx);

	ERR_clear_error();
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	return ok;
}

/* Is `name` in a list of names with colons between? */
static bool is_among(const char *name, const char *list)
{
	size_t len = strlen(name);
	const char *at = len ? strstr(list, name) : NULL;

	while (at &&
	       ((at > list && at[-1] != ':') || (at[len] && at[len] != ':')))
		at = strstr(at + 1, name);
	return at;
}

bool context_limit(struct ssl_ctx_st *ctx, enum creds_version version,
		   const char *cipher)
{
	bool in13 = cipher && is_among(cipher, SUITES13);
	bool in12 = cipher && is_among(cipher, SUITES12);

	if (cipher && ((!in12 && !in13) || (in12 && version == CREDS_TLS13) ||
		       (in13 && version == CREDS_TLS12)))
		return false;
	if (in12)
		version = CREDS_TLS12;
	if (in13)
		version = CREDS_TLS13;
	if (version == CREDS_TLS12 &&
	    !SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION))
		return false;
	if (version == CREDS_TLS13 &&
	    !SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION))
		return false;
	return (!in12 || SSL_CTX_set_cipher_list(ctx, cipher)) &&
	       (!in13 || SSL_CTX_set_ciphersuites(ctx, cipher));
}
