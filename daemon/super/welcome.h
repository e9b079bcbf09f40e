#pragma once

/*
 * welcome: what a supervisor passes on to its successor before the successor
 * begins: what it runs with, sockets and other descriptors. It changes nothing
 * of the one that passes it on.
 */

#include "config/config.h"

struct supervisor;

/* Says it to the successor. Negative errno. */
int welcome_say(struct supervisor *s);
/* Takes what the predecessor says; false with lines in `errors`. */
bool welcome_receive(struct supervisor *s, struct buf *errors);
/* Whether `config` leaves as it was what only a restart can change. */
bool welcome_allows(struct supervisor *s, const struct config *config,
		    struct buf *errors);
