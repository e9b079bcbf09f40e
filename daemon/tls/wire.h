#pragma once

/*
 * wire: what OpenSSL takes for its socket. Reading takes bytes from a borrowed
 * span, writing appends to a struct buf, and both are lent for one call of
 * OpenSSL only. It owns no memory, keeps no byte and never blocks: where the
 * span is used up or the buffer full, OpenSSL is told to come again.
 */

#include "base/buf.h"

struct ssl_st;

/* What one call of OpenSSL may use. */
struct wire {
	struct span *in; /* advanced past what OpenSSL read */
	struct buf *out;
	uint32_t control_n; /* 0 or 1: see wire_stop_at_control */
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

/*
 * From now on a wire lent to `ssl` gives no further byte once OpenSSL met a
 * record that carries no data: KeyUpdate, an alert, renegotiation, a ticket. So
 * one call handles at most one of them, writes at most one answer, and whoever
 * called may count.
 */
void wire_stop_at_control(struct ssl_st *ssl);
