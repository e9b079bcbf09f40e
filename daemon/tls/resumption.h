#pragma once

/*
 * resumption: the sessions that a client remembers to resume them, the newest
 * first, a fixed number. Sessions come by themselves while records are opened
 * (TLS 1.3) or a handshake ends (1.2); each is given to one handshake only, for
 * a server may take a ticket once, but the last one stays. One thread alone may
 * use it.
 */

#include <stdint.h>

struct resumption;
struct ssl_ctx_st;
struct ssl_st;

/* Makes connections of `ctx` leave their sessions here. NULL: no memory. */
struct resumption *resumption_open(struct ssl_ctx_st *ctx, uint32_t max);

/* After the context's end; NULL is harmless. */
void resumption_close(struct resumption *r);

/* Offers a remembered session, if there is one, in a handshake to begin. */
void resumption_offer(struct resumption *r, struct ssl_st *ssl);
