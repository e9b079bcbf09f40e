#pragma once

/*
 * server_body: DATA (RFC 5321 4.1.1.4) and BDAT (RFC 3030): opening a message,
 * receiving it, its end. The octets of a chunk are always read, also when the
 * chunk is refused, so that no message can be taken for commands.
 */

#include "smtp/server.h"

/* Answer the command, or leave READING for the state that carries it out. */
void server_body_data(struct smtp_server *s, struct smtp_io *io);
void server_body_bdat(struct smtp_server *s, struct smtp_io *io,
		      struct span argument);

/* The pump's answer to OPENING; for a refusal, facts are not used. */
void server_body_opened(struct smtp_server *s, enum reply verdict,
			const struct smtp_message_facts *facts);

/*
 * One turn in TRACING, RECEIVING and SKIPPING. They return true when they need
 * more input.
 */
void server_body_trace(struct smtp_server *s, struct smtp_io *io);
bool server_body_receive(struct smtp_server *s, struct smtp_io *io);
bool server_body_skip(struct smtp_server *s, struct smtp_io *io);
