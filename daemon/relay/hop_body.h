#pragma once

/*
 * hop_body: sends the body of a hop's message: it is read into the job's block
 * and sealed from there, piece by piece. Only the files of hop include it.
 */

#include "relay/hop.h"

/* Sends what can be sent now. True: it is all there, or the hop is lost. */
bool hop_body_send(struct runner *r, struct hop *h);
