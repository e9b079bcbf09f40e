#pragma once

/*
 * client_inside: what client.c (the connection, and the loop that drives the
 * states) and client_mail.c (one message) share. Nobody else includes it.
 */

#include "smtp/client.h"

enum client_state {
	CLIENT_STATE_GREETING,
	CLIENT_STATE_SAY_HELLO,
	CLIENT_STATE_HELLO,
	CLIENT_STATE_SAY_HELO, /* a peer that knows no EHLO */
	CLIENT_STATE_HELO,
	CLIENT_STATE_SAY_STARTTLS,
	CLIENT_STATE_STARTTLS,
	CLIENT_STATE_TLS,
	CLIENT_STATE_SAY_AUTH,
	CLIENT_STATE_AUTH,
	CLIENT_STATE_IDLE,
	CLIENT_STATE_SAY_RSET,
	CLIENT_STATE_RSET,
	CLIENT_STATE_ENVELOPE,
	CLIENT_STATE_SAY_BODY,
	CLIENT_STATE_DATA,
	CLIENT_STATE_BODY,
	CLIENT_STATE_FINAL,
	CLIENT_STATE_DONE,
	CLIENT_STATE_SAY_QUIT,
	CLIENT_STATE_QUIT,
	CLIENT_STATE_CLOSED,
	CLIENT_STATES
};

void client_set_state(struct client *c, enum client_state state);
/* Ends the open message, or the connection, with the verdict that is set. */
void client_finish(struct client *c, bool closing);
/* With a finding: for now, and the connection is given up; or for good. */
void client_fail(struct client *c, enum client_finding finding);
void client_refuse(struct client *c, enum client_finding finding);
/* The reply just read becomes the verdict. */
void client_judge(struct client *c);

enum client_taken {
	CLIENT_TAKEN_NOTHING,
	CLIENT_TAKEN_REPLY,
	CLIENT_TAKEN_FAILURE
};

/* Takes the reply that is owed, if it is all there. */
enum client_taken client_take_reply(struct client *c, struct client_io *io);

/* READY: a command may be written. While replies are owed, input is theirs. */
enum client_action client_may_say(struct client *c, struct client_io *io,
				  bool owed);
/* Writes a command and moves on from SAY_X to X. */
enum client_action client_say(struct client *c, struct client_io *io,
			      const char *verb, const char *argument);

/* The states of a message: see the table in client.c. */
enum client_action client_mail_say_rset(struct client *c, struct client_io *io);
void client_mail_on_rset(struct client *c);
enum client_action client_mail_step_envelope(struct client *c,
					     struct client_io *io);
enum client_action client_mail_say_body(struct client *c, struct client_io *io);
enum client_action client_mail_step_data(struct client *c,
					 struct client_io *io);
enum client_action client_mail_ask_body(struct client *c, struct client_io *io);
void client_mail_on_final(struct client *c);
enum client_action client_mail_end_message(struct client *c,
					   struct client_io *io);
