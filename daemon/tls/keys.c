#include "tls/keys.h"

#include "base/must.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/kdf.h>
#include <openssl/ssl.h>

/*
 * OpenSSL's parameters take pointers without const, though it only reads; so
 * labels and inputs are copied to where they may be written.
 */

#define SALT_BYTES 4 /* the fixed part of the nonce, RFC 5288 3 */

size_t keys_key_bytes(enum keys_cipher cipher)
{
	return cipher == KEYS_AES_128_GCM ? 16 : 32;
}

bool keys_cipher_of(const struct ssl_st *ssl, enum keys_cipher *ret)
{
	const SSL_CIPHER *suite = SSL_get_current_cipher(ssl);

	switch (suite ? SSL_CIPHER_get_cipher_nid(suite) : NID_undef) {
	case NID_aes_128_gcm: *ret = KEYS_AES_128_GCM; return true;
	case NID_aes_256_gcm: *ret = KEYS_AES_256_GCM; return true;
	case NID_chacha20_poly1305: *ret = KEYS_CHACHA20_POLY1305; return true;
	default: return false;
	}
}

static bool derive(const char *function, const OSSL_PARAM params[],
		   struct span_mut to)
{
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, function, NULL);
	EVP_KDF_CTX *ctx = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
	bool ok = ctx && EVP_KDF_derive(ctx, to.p, to.len, params) == 1;

	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(kdf);
	ERR_clear_error();
	return ok;
}

/* HKDF-Expand-Label(secret, label, "", len), RFC 8446 7.1. */
static bool expand(const struct keys_secret *secret, struct span label,
		   struct span_mut to)
{
	struct keys_secret from = *secret;
	int mode = EVP_KDF_HKDF_MODE_EXPAND_ONLY;
	char sha256[] = "SHA256", sha384[] = "SHA384";
	uint8_t prefix[] = { 't', 'l', 's', '1', '3', ' ' }, copy[16];
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode),
		OSSL_PARAM_construct_utf8_string(
			OSSL_KDF_PARAM_DIGEST,
			secret->len > 32 ? sha384 : sha256, 0),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY,
						  from.bytes, from.len),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_PREFIX, prefix,
						  sizeof(prefix)),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_LABEL, copy,
						  label.len),
		OSSL_PARAM_construct_end(),
	};
	bool ok;

	MUST(label.len <= sizeof(copy));
	memcpy(copy, label.p, label.len);
	ok = derive(OSSL_KDF_NAME_TLS1_3_KDF, params, to);
	explicit_bzero(&from, sizeof(from));
	return ok;
}

bool keys_from_secret(const struct keys_secret *secret, enum keys_cipher cipher,
		      struct keys *ret)
{
	struct keys keys = { .cipher = cipher };
	bool ok =
		expand(secret, SPAN("key"),
		       (struct span_mut){ keys.key, keys_key_bytes(cipher) }) &&
		expand(secret, SPAN("iv"),
		       (struct span_mut){ keys.iv, sizeof(keys.iv) });

	if (ok)
		*ret = keys;
	keys_wipe(&keys);
	return ok;
}

bool keys_next_secret(struct keys_secret *secret)
{
	struct keys_secret next = { .len = secret->len };
	bool ok = expand(secret, SPAN("traffic upd"),
			 (struct span_mut){ next.bytes, next.len });

	if (ok)
		*secret = next;
	explicit_bzero(&next, sizeof(next));
	return ok;
}

/* PRF(master, "key expansion", server random, client random), RFC 5246 6.3. */
static bool expand_master(const struct keys_master *master,
			  enum keys_cipher cipher, struct span_mut to)
{
	struct keys_master from = *master;
	char sha256[] = "SHA256", sha384[] = "SHA384";
	char label[] = "key expansion";
	/* Each suite with AES-256 names SHA-384 (RFC 5289). */
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(
			OSSL_KDF_PARAM_DIGEST,
			cipher == KEYS_AES_256_GCM ? sha384 : sha256, 0),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SECRET,
						  from.secret,
						  sizeof(from.secret)),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SEED, label,
						  sizeof(label) - 1),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SEED,
						  from.server_random,
						  sizeof(from.server_random)),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SEED,
						  from.client_random,
						  sizeof(from.client_random)),
		OSSL_PARAM_construct_end(),
	};
	bool ok;

	ok = derive(OSSL_KDF_NAME_TLS1_PRF, params, to);
	explicit_bzero(&from, sizeof(from));
	return ok;
}

bool keys_from_master(const struct keys_master *master, enum keys_cipher cipher,
		      struct keys *ret_client, struct keys *ret_server)
{
	const size_t key = keys_key_bytes(cipher);
	const size_t iv = cipher == KEYS_CHACHA20_POLY1305 ? KEYS_IV_BYTES :
							     SALT_BYTES;
	uint8_t block[2 * (KEYS_KEY_MAX + KEYS_IV_BYTES)];
	const uint8_t *p = block;
	bool ok = expand_master(master, cipher,
				(struct span_mut){ block, 2 * (key + iv) });

	if (ok) {
		*ret_client = *ret_server = (struct keys){ .cipher = cipher };
		memcpy(ret_client->key, p, key);
		memcpy(ret_server->key, p + key, key);
		memcpy(ret_client->iv, p + 2 * key, iv);
		memcpy(ret_server->iv, p + 2 * key + iv, iv);
	}
	explicit_bzero(block, sizeof(block));
	return ok;
}

void keys_wipe(struct keys *keys)
{
	explicit_bzero(keys, sizeof(*keys));
}
