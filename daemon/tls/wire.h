#pragma once

/*
 * wire: what OpenSSL takes for its socket. Reading takes bytes from a borrowed
 * span, writing appends to a struct buf, and both are lent for one call of
 * OpenSSL only. It owns no memory, keeps no byte and never blocks: where the
 * span is used up or the buffer full, OpenSSL is told to come again.
 */

#include "base/buf.h"

struct ssl_st;

/*
 * What one call of OpenSSL may use. A control record is one that carries no
 * data: KeyUpdate, an alert, a ticket, renegotiation. With stop_at_control the
 * wire gives no further byte once OpenSSL met one, so that one call handles at
 * most one of them, and whoever called may count.
 */
struct wire {
	struct span *in; /* advanced past what OpenSSL read */
	struct buf *out;
	bool stop_at_control;
	bool met_control;
};

/*
 * Prepares the process; called by whoever makes credentials, before any
 * handshake and by one thread. -ENOMEM.
 */
int wire_setup(void);

/* Makes a wire the socket of `ssl`. -ENOMEM. */
int wire_attach(struct ssl_st *ssl);

/* Lends `w` to `ssl` until wire_take_back. */
void wire_lend(struct ssl_st *ssl, struct wire *w);
void wire_take_back(struct ssl_st *ssl);
