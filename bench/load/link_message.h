#pragma once

/*
 * link_message: one message over a link: envelope, body, outcome, and its line
 * in the account. Only link.c includes it.
 */

#include "load/link.h"

/* The client is told of the message. */
void link_message_begin(struct driver *d, struct link *l);
/* The client is told the next recipient, or that there are no more. */
void link_message_recipient(struct driver *d, struct link *l);
/* The client tells of a refused one. */
void link_message_refused(struct driver *d, struct link *l);
/* Puts as much of the body out as there is room for. True: step again. */
bool link_message_send(struct link *l);
/* The client tells the outcome. True: acknowledged. */
bool link_message_done(struct driver *d, struct link *l);
