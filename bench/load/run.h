#pragma once

/*
 * run: one run of the load, as all its threads see it: what was asked for, and
 * in which phase it is. The main thread alone changes the phase; the threads of
 * the load look at it each turn, and count their work where it can see it.
 *
 *   WARM -> PAUSE -> MEASURE -> END -> CLOSE
 */

#include "kit/endpoint.h"
#include "load/load_options.h"
#include "load/mails.h"
#include "smtp/client.h"

#include <stdatomic.h>

enum run_phase {
	RUN_WARM,    /* load, not measured */
	RUN_PAUSE,   /* nothing new begins; connections stay */
	RUN_MEASURE, /* load; tallies began anew */
	RUN_END,     /* as PAUSE */
	RUN_CLOSE,   /* connections are closed, then threads end */
};

struct run {
	const struct load_options *options;
	const struct mails *mails;
	struct endpoint target;
	struct sockaddr_storage source; /* family 0: any */
	struct client_options client;
	FILE *account; /* NULL: none is kept */
	uint32_t id;
	uint64_t measure_ns; /* when MEASURE began; set before the phase is */
	_Atomic int phase;   /* enum run_phase */
	_Atomic uint64_t issued;   /* messages or handshakes in all */
	_Atomic uint64_t measured; /* of these, in MEASURE */
	_Atomic bool account_failed;
};

static inline enum run_phase run_phase(const struct run *r)
{
	return (enum run_phase)atomic_load_explicit(&r->phase,
						    memory_order_acquire);
}

static inline void run_set_phase(struct run *r, enum run_phase phase)
{
	atomic_store_explicit(&r->phase, phase, memory_order_release);
}

/* True while messages may begin. */
static inline bool run_phase_works(enum run_phase phase)
{
	return phase == RUN_WARM || phase == RUN_MEASURE;
}

/* The next message's number, or false: enough have begun. */
bool run_take_number(struct run *r, uint64_t *ret_number);
/* True when the number of messages was limited and all have begun. */
bool run_is_used_up(const struct run *r);

/* Writes recipient `number`'s address without NUL; returns its length. */
#define RUN_ADDRESS_MAX 320
size_t run_recipient(const struct run *r, uint32_t number,
		     char out[RUN_ADDRESS_MAX]);
