#pragma once

/*
 * server_mail: the mail transaction (RFC 5321 4.1.1.2 to 4.1.1.5): when MAIL,
 * RCPT and RSET may come, and what ends a transaction. It owns the fields of
 * struct smtp_server that describe it.
 */

#include "smtp/server.h"

/* Answer the command, or leave the server in CHECKING_MAIL, CHECKING_RCPT. */
void server_mail_mail(struct smtp_server *s, struct smtp_io *io,
		      struct span argument);
void server_mail_rcpt(struct smtp_server *s, struct smtp_io *io,
		      struct span argument);
void server_mail_rset(struct smtp_server *s, struct smtp_io *io);

/* The pump has agreed to the MAIL or RCPT that was checked. */
void server_mail_taken(struct smtp_server *s);
void server_mail_recipient_taken(struct smtp_server *s);

/* The message is durable: the transaction is over and the pump knows. */
void server_mail_done(struct smtp_server *s);

/* Gives the transaction up; SMTP_DISCARD tells the pump if there was one. */
void server_mail_drop(struct smtp_server *s);

/* Gives it up and ends the session once `out` is sent. */
void server_mail_close(struct smtp_server *s);
