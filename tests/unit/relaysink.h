#pragma once

/*
 * relaysink: a next hop for tests of the relay, a process of its own that
 * counts what it hears: in clear, behind STARTTLS or inside TLS. A recipient
 * that begins with three digits gets them as the reply.
 */

#include "relayworld.h"

#include <openssl/ssl.h>
#include <stdatomic.h>

/* What the other side of the wire heard, in shared memory. */
struct relaysink {
	_Atomic uint32_t connections;
	_Atomic uint32_t messages;
	_Atomic uint32_t recipients;
	_Atomic uint64_t body_bytes;
	_Atomic uint64_t body_sum;  /* of the bytes, unstuffed */
	_Atomic uint64_t body_hash; /* of the last body, in its order */
	const char *hello;          /* lines of EHLO's answer */
	_Atomic uint32_t secure;    /* sessions over TLS */
	SSL_CTX *tls;               /* of the sink's process, or NULL */
	bool implicit;
	bool silent_after_body; /* closes instead of the final reply */
	bool busy;              /* refuses every session */
	_Atomic bool mute;      /* does not greet */
	bool slow;              /* hears a body with pauses */
	_Atomic bool stuck; /* hears no more of a body as long as this is so */
	_Atomic uint64_t dies_at; /* after so many bytes of a body; 0: never */
};

/*
 * Adds a route for all domains to the world and serves it. `tls`: NULL for
 * none; the route then demands a certificate for mx.example.
 */
struct relaysink *relaysink_open(struct relayworld *w, const char *hello,
				 pid_t *ret, SSL_CTX *tls, bool implicit);
void relaysink_close(pid_t pid);

uint64_t relaysink_sum(struct span s);
/* As body_hash; continues from `before`, which begins as RELAYSINK_HASH. */
#define RELAYSINK_HASH 14695981039346656037ull
uint64_t relaysink_hash(uint64_t before, struct span s);

/* A slow one's receive buffer: the peer finds it full. */
#define RELAYSINK_SLOW_BYTES 65536
