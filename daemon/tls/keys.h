#pragma once

/*
 * keys: derives the keys that protect records, as RFC 8446 7.3 and RFC 5246 6.3
 * say, from what OpenSSL tells of a handshake. Results are secret: whoever
 * holds them wipes them (keys_wipe).
 */

#include "base/span.h"

struct ssl_st;

enum keys_cipher {
	KEYS_AES_128_GCM,
	KEYS_AES_256_GCM,
	KEYS_CHACHA20_POLY1305,
	KEYS_CIPHERS, /* their number */
};

#define KEYS_KEY_MAX    32
#define KEYS_IV_BYTES   12
#define KEYS_SECRET_MAX 48

/* Of one direction. In TLS 1.2 with AES-GCM only the first 4 of iv are set. */
struct keys {
	enum keys_cipher cipher;
	uint8_t key[KEYS_KEY_MAX];
	uint8_t iv[KEYS_IV_BYTES];
};

/* A traffic secret of TLS 1.3: 32 bytes with SHA-256, 48 with SHA-384. */
struct keys_secret {
	uint8_t len; /* 0: none */
	uint8_t bytes[KEYS_SECRET_MAX];
};

/* What a handshake of TLS 1.2 leaves. */
struct keys_master {
	uint8_t secret[48];
	uint8_t client_random[32];
	uint8_t server_random[32];
};

/* False: a suite with another cipher. */
bool keys_cipher_of(const struct ssl_st *ssl, enum keys_cipher *ret);
size_t keys_key_bytes(enum keys_cipher cipher);

/* All of them: false when OpenSSL cannot (out of memory, a policy). */
bool keys_from_secret(const struct keys_secret *secret, enum keys_cipher cipher,
		      struct keys *ret);
bool keys_from_master(const struct keys_master *master, enum keys_cipher cipher,
		      struct keys *ret_client, struct keys *ret_server);

/* Replaces a secret by the one that follows a KeyUpdate (RFC 8446 7.2). */
bool keys_next_secret(struct keys_secret *secret);

void keys_wipe(struct keys *keys);
