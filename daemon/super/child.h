#pragma once

/*
 * child: what happens between fork and a worker's main loop: the child keeps
 * what is its own, gives up everything else, becomes the unprivileged user, and
 * runs. The one place that knows what a worker is made of.
 */

#include "control/control.h"
#include "steer/steer.h"
#include "super/assets.h"
#include "super/guard.h"
#include "super/process.h"
#include "super/shared.h"
#include "super/sockets.h"

/* What a child may use; all of it inherited. */
struct child_world {
	const struct assets *assets;
	struct sockets *sockets;
	struct guard *guard;     /* likewise */
	struct steer *steer;     /* the child closes its share */
	struct steer_load *load; /* the child's own; NULL: nobody asks */
	struct process_table *processes;
	struct shared *shared;
	pid_t owner; /* the supervisor */
	int relay_doorbell;
	int serving_fd;     /* takes the pid of a worker that accepts */
	int private_fds[8]; /* of the supervisor alone: closed in the child */
	uint32_t private_fds_n;
	struct control *control; /* closed in the child; NULL: none */
	enum log_format log_format;
};

/*
 * Forks `p` and records it as started. Negative errno when there is no process
 * or pipe to be had; then `p` waits as if it had died.
 */
int child_start(struct child_world *world, struct process *p, uint64_t now_ms);
