#pragma once

/*
 * lanes: between the configuration and steering: opens the best program that
 * the configuration allows, tells it about lanes, listeners and sources, and
 * logs what could be had and what is lost (P6).
 */

#include "steer/steer.h"
#include "super/sockets.h"

/*
 * Without lanes it opens STEER_PLAIN; `passed` is a predecessor's, or NULL.
 * Negative errno with a line in `errors`: what the configuration names, or the
 * predecessor has, cannot be had, or the pins are another daemon's.
 */
int lanes_open(const struct config *config, const struct steer_passed *passed,
	       struct steer **ret, struct buf *errors);

/* How sockets are to be bound for that. */
enum sockets_reach lanes_reach(const struct steer *steer);

/*
 * After sockets_bind, at start and at a reload: the sockets go into the maps,
 * and the maps say what `config` says. Negative errno, logged.
 */
int lanes_feed(struct steer *steer, const struct config *config,
	       struct sockets *sockets);
