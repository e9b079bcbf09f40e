#pragma once

/*
 * steer: the daemon's side of bpf/steer.bpf.c. It loads the programs, attaches
 * the best that this machine allows, and fills their maps: which worker has
 * which listener, which address and which source belongs to which lane, how a
 * lane's connections are spread over its workers. Maps are pinned where they
 * can be, so what an operator assigned outlives the daemon; the programs do not
 * outlive it. A successor takes over the maps, and its first steer_apply puts its
 * program in the place of the one that runs. It logs nothing and decides no policy. Where nothing can be
 * loaded (STEER_PLAIN) everything here succeeds and does nothing.
 */

#include "base/prefix.h"
#include "steer/pins.h"

#include <stdatomic.h>

#define STEER_LANES_MAX    16
#define STEER_WORKERS_MAX  64 /* of all lanes together */
#define STEER_SERVICES_MAX 64
#define STEER_NAME_MAX     32 /* of a lane, with its end */
#define STEER_WEIGHT_MOST  100
#define STEER_EXCERPT_MAX  240

enum steer_mode {
	STEER_PLAIN,     /* the kernel spreads connections over a group */
	STEER_REUSEPORT, /* a program chooses within the group of an address */
	STEER_LOOKUP,    /* a program chooses among all listeners */
};

/* What a predecessor steers with. */
struct steer_passed {
	enum steer_mode mode;
	struct pins_passed fds; /* with STEER_LOOKUP, its attachment last */
};

struct steer_options {
	const char *pins;     /* directory on a bpffs */
	enum steer_mode best; /* no better one is tried */
	/* NULL, or none: it begins anew; else this it goes on with */
	const struct steer_passed *passed;
};

/* What came of steer_open, for the operator. */
struct steer_report {
	int lookup_error; /* 0: not tried, or it works */
	int reuseport_error;
	int pins_error;     /* maps are not pinned, because: */
	bool pins_replaced; /* those of another version, of which: */
	uint32_t pins_version;
	uint32_t sources_dropped;        /* assigned to a lane that is gone */
	char excerpt[STEER_EXCERPT_MAX]; /* of the verifier's log, or "" */
};

enum steer_choose { STEER_BY_HASH, STEER_BY_CPU, STEER_BY_LOAD };

struct steer_lane {
	const char *name; /* shorter than STEER_NAME_MAX */
	uint32_t first;   /* number of its first worker */
	uint32_t workers_n;
	enum steer_choose choose;
	uint16_t cpus[STEER_WORKERS_MAX]; /* that workers run on, in turn */
	uint32_t cpus_n;                  /* 0: on any */
};

/* An address that is listened on: a prefix and a port. */
struct steer_service {
	struct prefix local;
	uint16_t port;
	uint32_t service; /* its column, below STEER_SERVICES_MAX */
	uint32_t lane;
};

struct steer_source {
	struct prefix prefix;
	uint32_t lane;
	bool assigned; /* by the operator, not by the configuration */
};

/* All that a configuration asks for. */
struct steer_plan {
	struct steer_lane lanes[STEER_LANES_MAX];
	uint32_t lanes_n;
	struct steer_service services[STEER_SERVICES_MAX];
	uint32_t services_n;
	const struct steer_source *sources;
	uint32_t sources_n;
};

struct steer_count {
	uint64_t chosen;
	uint64_t passed_over; /* a worker: it had no listener; a lane: none */
};

/* What a worker says of itself; it alone writes there. */
struct steer_load {
	_Atomic uint64_t sessions; /* now */
	_Atomic uint64_t accepted; /* connections since the daemon's start */
};

struct steer;

/*
 * -EBUSY: another daemon uses these pins; -ENOMEM. Otherwise 0, if only with
 * STEER_PLAIN, and `report` says why no better. With what was passed there is
 * nothing less: -EPROTO: its maps are of another version; any other error:
 * no program for them can be had.
 */
int steer_open(const struct steer_options *o, struct steer_report *report,
	       struct steer **ret);
/* In a forked child it lets go of the child's share; loads stay mapped. */
void steer_close(struct steer *s);
/* The descriptors stay ours; of STEER_PLAIN there are none. */
void steer_pass(const struct steer *s, struct steer_passed *ret);
/* They are a successor's now: from here on as STEER_PLAIN. */
void steer_let_go(struct steer *s);
enum steer_mode steer_mode(const struct steer *s);
/* "sk_lookup", "sk_reuseport", "none". */
const char *steer_mode_name(enum steer_mode mode);

/* The listener of that worker for that service; again: 0. Negative errno. */
int steer_put_listener(struct steer *s, uint32_t worker, uint32_t service,
		       int fd);
/*
 * Makes the maps say what `plan` says; weights, and sources that the operator
 * assigned, stay. Negative errno: some of it may be done.
 */
int steer_apply(struct steer *s, const struct steer_plan *plan,
		struct steer_report *report);

/* The operator's changes. steer_release: -ENOENT. */
int steer_assign(struct steer *s, const struct prefix *prefix, uint32_t lane);
int steer_release(struct steer *s, const struct prefix *prefix);
int steer_weigh(struct steer *s, uint32_t worker, uint8_t weight);
uint8_t steer_weight(const struct steer *s, uint32_t worker);
/* A dead worker gets no new connections until it is back. */
int steer_set_down(struct steer *s, uint32_t worker, bool down);

/* All sources in no order: up to `max` of them; how many there are. */
uint32_t steer_sources(const struct steer *s, struct steer_source *ret,
		       uint32_t max);
struct steer_count steer_worker_count(const struct steer *s, uint32_t worker);
struct steer_count steer_lane_count(const struct steer *s, uint32_t lane);

/* Where that worker keeps its own; NULL: nobody asks. */
struct steer_load *steer_load(const struct steer *s, uint32_t worker);
