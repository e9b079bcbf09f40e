#pragma once

/*
 * hop_pump: the part of a hop that talks, and what hop.c (opening, timers, the
 * end), hop_wire.c (bytes) and hop_body.c (bodies) share with it. Nobody else
 * includes it.
 */

#include "config/config.h"
#include "relay/hop.h"

const struct config_route *hop_route(const struct runner *r,
				     const struct hop *h);
void hop_set_state(struct hop *h, enum hop_state state);
/* 0: none. */
void hop_set_deadline(struct runner *r, struct hop *h, uint64_t after_ms);
struct ring_tag hop_tag(const struct hop *h, uint8_t kind);

void hop_begin_handshake(struct runner *r, struct hop *h);

/* One state's step each; true when there is more to do at once. */
bool hop_step_handshake(struct runner *r, struct hop *h);
bool hop_step_open(struct runner *r, struct hop *h);
bool hop_step_flushing(struct hop *h);

/* No connection could be made: the site rests, the job gets the verdict. */
void hop_unreachable(struct runner *r, struct hop *h,
		     enum client_finding finding, const char *detail);
/* The connection is of no use any more; the next step ends what is open. */
void hop_lost(struct hop *h, enum client_finding finding);
/* Parts the job from the connection; it is the caller's then. */
struct job *hop_detach(struct hop *h);
/* Says QUIT on an idle connection. */
void hop_quit(struct runner *r, struct hop *h);
