#pragma once

/*
 * server_auth: the AUTH command and the lines of its exchange (RFC 4954). It
 * carries responses to the pump and knows no mechanism; whether credentials are
 * right is for others to say.
 */

#include "smtp/server.h"

/* Answers the command, or leaves the server in AUTHENTICATING. */
void server_auth_begin(struct smtp_server *s, struct smtp_io *io,
		       struct span argument);

/* A line of the exchange; its result is that of line_take. */
void server_auth_line(struct smtp_server *s, struct smtp_io *io,
		      enum line_result result, struct span text);
