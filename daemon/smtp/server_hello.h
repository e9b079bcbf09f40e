#pragma once

/*
 * server_hello: HELO, EHLO with its list of extensions (RFC 5321 4.1.1.1) and
 * STARTTLS (RFC 3207). What is not offered in clear is decided here and held to
 * in server_command.
 */

#include "smtp/server.h"

void server_hello_helo(struct smtp_server *s, struct smtp_io *io,
		       struct span argument);
void server_hello_ehlo(struct smtp_server *s, struct smtp_io *io,
		       struct span argument);
void server_hello_starttls(struct smtp_server *s, struct smtp_io *io);

/* True when AUTH is on offer: after TLS, with a mechanism. */
bool server_hello_offers_auth(const struct smtp_server *s);

/* Forgets what the client said so far (RFC 3207 4.2). */
void server_hello_forget(struct smtp_server *s);
