#pragma once

/*
 * secrets: what is kept of a handshake whose connection may go to the kernel:
 * the traffic secrets (TLS 1.3) and how many records each side has sent under
 * its present keys. It listens to OpenSSL by two callbacks, prints nothing, and
 * is wiped when freed.
 */

#include "tls/offload.h"

struct ssl_ctx_st;
struct ssl_st;

struct secrets {
	struct keys_secret client, server; /* empty in TLS 1.2 */
	/* Records since Finished, which is one of them in TLS 1.2 only. */
	uint64_t sent_n, received_n;
	bool sent_finished, received_finished;
	bool rekeyed; /* a KeyUpdate was met: these are the old secrets */
};

/*
 * Listens to `ssl`, before its first step, until freed. NULL: no memory. All
 * handshakes of its context cost more from then on.
 */
struct secrets *secrets_open(struct ssl_st *ssl);

/* `ssl` goes on with another context, in the middle of its handshake. */
void secrets_follow(const struct ssl_st *ssl);

/* Wipes and frees; NULL is harmless. `ssl`, unless NULL, hears no more. */
void secrets_close(struct secrets *s, struct ssl_st *ssl);

/* From the message callback of `ssl`, which wire.c owns. */
void secrets_on_message(const struct ssl_st *ssl, bool sent, int kind,
			struct span message);

/*
 * Keys of both directions and the numbers of their next records; `ssl` has
 * finished its handshake. False: OpenSSL cannot, or something was missed.
 */
bool secrets_derive(const struct secrets *s, const struct ssl_st *ssl,
		    enum keys_cipher cipher, struct offload_keys *ret);
