#pragma once

/*
 * handshake: one TLS handshake, either side, as bytes in and bytes out. It
 * reads no socket and knows no ring. It takes no byte of `in` behind the
 * handshake's last one: those are the record layer's. When done it hands what
 * it built to the record layer (record_take) and is empty again.
 */

#include "base/buf.h"
#include "tls/creds.h"

enum handshake_result {
	HANDSHAKE_NEED_INPUT,  /* send `out`, then give more */
	HANDSHAKE_NEED_OUTPUT, /* drain `out`, step again */
	HANDSHAKE_DONE,        /* `out` may hold the last flight and tickets */
	HANDSHAKE_FAILED,      /* send `out` (an alert), close; see reason */
};

struct secrets;
struct ssl_st;

struct handshake {
	struct ssl_st *ssl;      /* NULL: none going on */
	struct secrets *secrets; /* NULL: not listened to */
	const char *failure;     /* NULL: not failed */
	bool server;
	bool begun; /* the peer's first byte was seen */
};

/* Static strings and flags; valid after HANDSHAKE_DONE. */
struct handshake_facts {
	const char *version; /* "TLSv1.3" */
	const char *cipher;  /* IANA's name: "TLS_AES_128_GCM_SHA256" */
	bool resumed;
	uint16_t bits;
};

/*
 * Begins. `name` is for the client side the server's name or address (SNI and,
 * when creds verify, the name that must match); NULL on the server side. Memory
 * is all it may lack: -ENOMEM; -EINVAL when `name` cannot be a host's name.
 */
int handshake_open(struct handshake *h, const struct creds *creds,
		   const char *name);

/*
 * Keeps what the kernel needs to make the records afterwards (record_offload).
 * To be called before the first step; without it they stay in this process.
 * -ENOMEM.
 */
int handshake_keep_secrets(struct handshake *h);

/*
 * Consumes from `in`, appends to `out`, any room of which will do. A failure's
 * alert is appended as far as there is room. Failure stays.
 */
enum handshake_result handshake_step(struct handshake *h, struct span *in,
				     struct buf *out);

struct handshake_facts handshake_facts(const struct handshake *h);

/*
 * Why it failed, in the protocol's terms ("no shared cipher", "the peer
 * refused: unknown CA", "not TLS: an SMTP command in clear"); a static string,
 * valid after handshake_fini too.
 */
const char *handshake_reason(const struct handshake *h);

/* Frees what is left; harmless when record_take emptied it. */
void handshake_fini(struct handshake *h);
