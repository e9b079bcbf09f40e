#pragma once

/*
 * listener: one listening socket of a worker, accepting by one multishot
 * operation. It stops accepting while no session is free (connections wait in
 * the kernel's queue) and for a second when descriptors run out.
 */

#include "ring/op.h"
#include "ring/ring.h"

struct worker;

struct listener {
	struct op op; /* FLYING while the multishot accept is armed */
	int fd;
	bool cancelling;
	uint8_t looks; /* for who waits, when it was stopped */
	uint64_t paused_until_ms;
};

/* Arms or disarms according to the worker's state and free sessions. */
void listener_pump(struct worker *w, uint32_t index);

/* Records a completion of the accept and opens a session for it. */
void listener_on_cqe(struct worker *w, const struct ring_completion *c);

/*
 * Closes the socket once nothing is in flight; true when it is closed. Others
 * may have the socket, too: whoever waits there is taken first, and refused by
 * a worker that drains.
 */
bool listener_stop(struct worker *w, uint32_t index);
