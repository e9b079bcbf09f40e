#pragma once

/*
 * hop_wire: the bytes of a hop: what completed becomes buffers, what is wanted
 * and idle is started, and in between records are opened and sealed in their
 * order. Only the files of hop include it.
 */

#include "relay/hop.h"

/* Folds completions into buffers. */
void hop_wire_harvest(struct runner *r, struct hop *h);
/* Starts what is wanted and idle. */
void hop_wire_arm(struct runner *r, struct hop *h);
/* Once: cancels what flies. True: nothing does any more. */
bool hop_wire_cancel(struct runner *r, struct hop *h);

/*
 * Hands the records to the kernel when the socket is quiet, as the route wants
 * it. False: the connection cannot go on.
 */
bool hop_wire_offload(struct runner *r, struct hop *h);

/* Decrypts what has come. True: there are new clear bytes. */
bool hop_wire_open(struct hop *h);
/* True when the peer is gone and nothing it said is left. */
bool hop_wire_ended(const struct hop *h);

/* Moves what is to be said into `out`, the record layer's words first. */
void hop_wire_seal(struct hop *h);
/* True when `out` may be appended to by record_seal. */
bool hop_wire_may_seal(const struct hop *h);
/* Seals what is left to say and our close_notify. True: all of it was sent. */
bool hop_wire_shut(struct hop *h);
bool hop_wire_all_sent(const struct hop *h);
