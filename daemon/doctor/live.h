#pragma once

/*
 * live: what a running daemon counted, per listener: sessions whose records the
 * kernel made, those of them that the network card did, and those that stayed
 * in userspace, by reason. It reads the daemon's answer to "listeners"
 * (control/listing.h); asking is the caller's, and no finding here is worse
 * than a note: what a session got depends on its client, too.
 */

#include "doctor/finding.h"

/* What it says of each listener; of a daemon without sessions, that. */
void live_judge(struct span answer, struct findings *f);

/* Nobody answers, for that reason. */
void live_absent(const char *why, struct findings *f);
