#pragma once

/*
 * guest_smtp: what a guest says and is answered. Only guest.c includes it.
 */

#include "sink/guest.h"

void guest_smtp_greet(struct host *h, struct guest *g);

/*
 * Takes what it can off *in: command lines, bodies, chunks. False: it is not to
 * be asked again before more came or went out.
 */
bool guest_smtp_step(struct host *h, struct guest *g, struct span *in);

/* The final reply, its delay being over. */
void guest_smtp_reply(struct guest *g);
