#pragma once

/*
 * play: carries a script out on a real server core with a real SASL exchange
 * and no socket. It is a small pump: the contract of smtp/server.h, held to and
 * checked.
 */

#include "talk/script.h"

struct play {
	struct buf transcript; /* "S: ..." and, if wanted, "P: ..." lines */
	struct buf body;       /* of all committed messages, traces cut off */
	bool closed;
	const char *broken; /* what the core did against its contract */
};

/* Feeds `step` octets at a time; 0: all there is. */
void play_run(struct play *p, const struct script *s, size_t step);
void play_close(struct play *p);
