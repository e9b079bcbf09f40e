#pragma once

/*
 * driver: one thread of the load: a ring, its share of the connections, and
 * what it counted. It decides when which connection gets the next message: as
 * soon as one is free (closed loop), or when it is due (open loop), and what
 * is due waits in a backlog of bounded length.
 */

#include "base/slab.h"
#include "base/wheel.h"
#include "kit/stream.h"
#include "load/run.h"
#include "load/tally.h"

#include <pthread.h>

#define DRIVER_OPENING_MAX 64 /* handshakes at a time, when all only open */

struct link;

struct driver {
	struct run *run;
	uint32_t index; /* among the threads */
	uint32_t connections_max;
	struct stream_loop loop;
	struct creds *creds;
	struct slab links;
	struct link *idle;    /* connected, without work; the newest first */
	struct link *touched; /* to be pumped */
	struct wheel wheel;
	struct tally tally;
	struct dice dice;
	enum run_phase phase;   /* as last looked at */
	uint64_t now_ns;        /* of this turn */
	uint64_t start_ns;      /* open loop: of the first that was due */
	uint64_t next_due;      /* open loop: number of the next to begin */
	uint64_t rest_until_ns; /* after a connect that failed */
	uint32_t open_n;
	uint32_t opening_n;
	uint32_t opened_n;         /* in all */
	uint64_t jobs_n;           /* under way */
	uint64_t warm_up_messages; /* acknowledged before MEASURE */

	/* For the main thread's eyes. */
	_Atomic uint64_t done_now;
	_Atomic uint64_t failed_now;
	_Atomic uint64_t busy_now;    /* messages under way */
	_Atomic uint64_t ready_now;   /* connections that wait */
	_Atomic uint64_t refused_now; /* connections that never got ready */
	_Atomic int result;           /* negative errno: it could not run */
	pthread_t thread;
};

/* Negative errno; *ret_problem says more where it can. */
int driver_open(struct driver *d, struct run *run, uint32_t index,
		struct creds_error *ret_problem);
void driver_close(struct driver *d);

/* Starts the thread; pthread_join waits for its end after RUN_CLOSE. */
int driver_start(struct driver *d);

/* For links. */
void driver_touch(struct driver *d, struct link *l);
/* The link's message or handshake is over. */
void driver_job_done(struct driver *d, bool good);
/* No connection came about: the next one is tried a moment later. */
void driver_refused(struct driver *d);
/* The last act of a link: it is freed. */
void driver_give_link(struct driver *d, struct link *l);
