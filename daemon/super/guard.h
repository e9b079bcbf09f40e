#pragma once

/*
 * guard: between the configuration, the workers and the shield: puts the shield
 * before the listening sockets, hears from the workers who fails, and has those
 * denied who fail too often, with a line in the log for each.
 */

#include "policy/offenders.h"
#include "steer/shield.h"
#include "super/sockets.h"

struct guard {
	struct shield *shield; /* does nothing without a block `shield` */
	struct offenders offenders;
	int fds[2];        /* workers write reports to the second */
	uint32_t denied_n; /* for failures, as of the last sweep and since */
	uint64_t sweep_ms; /* the next */
	bool full_told;    /* since the last sweep */
};

/*
 * `passed` is a predecessor's, or NULL. Negative errno with a line in `errors`:
 * the shield is required, or a predecessor has it, and cannot be had, its pins
 * are another daemon's, or there is no memory.
 */
int guard_open(struct guard *g, const struct config *config,
	       const struct pins_passed *passed, struct buf *errors);
void guard_close(struct guard *g);

/* After sockets_bind, at start and at a reload. Negative errno, logged. */
int guard_apply(struct guard *g, const struct config *config,
		struct sockets *sockets);

/* Takes the workers' reports, and removes denials that are over. */
void guard_turn(struct guard *g, const struct config *config, uint64_t now_ms);
