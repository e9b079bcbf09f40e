#pragma once

/*
 * host: one thread of the sink: a ring, the guests it accepted, and what it
 * counted.
 */

#include "base/slab.h"
#include "base/wheel.h"
#include "kit/dice.h"
#include "kit/stream.h"
#include "sink/sink.h"

#include <pthread.h>

struct guest;

enum host_op { HOST_OP_ACCEPT = STREAM_OP_OTHERS };

struct host {
	struct sink *sink;
	struct stream_loop loop;
	struct slab guests;
	struct guest *touched;
	struct wheel wheel;
	struct dice dice;
	uint64_t now_ms;
	bool wrote;                         /* into the account, in this turn */
	bool accepting[SINK_LISTENERS_MAX]; /* an accept flies */
	struct sink_counts counts;
	int result; /* negative errno: why it ended; after the join */
	pthread_t thread;
};

/* Negative errno. */
int host_open(struct host *h, struct sink *sink, uint32_t index);
int host_start(struct host *h);
void host_close(struct host *h);

void host_touch(struct host *h, struct guest *g);
/* The last act of a guest: it is freed. */
void host_give_guest(struct host *h, struct guest *g);
