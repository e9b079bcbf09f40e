#pragma once

/*
 * hop_body: sends the body of a hop's message. Where the record layer passes
 * bytes, what nobody need look at goes from the file to the socket inside the
 * kernel; the rest is read into the job's block and sealed from there. Only the
 * files of hop include it.
 */

#include "relay/hop.h"

/* Sends what can be sent now. True: it is all there, or the hop is lost. */
bool hop_body_send(struct runner *r, struct hop *h);
