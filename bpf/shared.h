#pragma once

/*
 * shared: the layouts of the maps through which the daemon tells its BPF
 * programs what to do, and they tell it what they did. Included by both sides.
 * Maps are pinned and outlive the daemon: a change of any layout here is a new
 * SHARED_VERSION, and the daemon replaces maps of another version.
 */

#include <linux/types.h>

#define SHARED_VERSION  2
#define SHARED_LANES    16
#define SHARED_WORKERS  64
#define SHARED_SERVICES 64 /* addresses that are listened on */
#define SHARED_SLOTS    (SHARED_WORKERS * SHARED_SERVICES)
#define SHARED_SPREAD   128 /* a power of two */
#define SHARED_TRIES    16  /* workers asked for a listener */
#define SHARED_SOURCES  65536

/* An LPM key's data: v4 addresses take the first four bytes, the rest is 0. */
#define SHARED_BYTES_MAX 16

enum shared_family { SHARED_V4 = 4, SHARED_V6 = 6 };

struct shared_settings {
	__u32 version; /* stays first in every version */
};

/* Where a connection goes to: its bits count from `family` on. */
struct shared_service_key {
	__u32 bits;
	__u8 family;
	__u8 zero;
	__be16 port;
	__u8 address[SHARED_BYTES_MAX];
};

struct shared_service {
	__u32 service; /* column of the table of listeners */
	__u32 lane;    /* of sources that have none of their own */
};

#define SHARED_SERVICE_BITS 32 /* of family and port */

/* Where a connection comes from. */
struct shared_source_key {
	__u32 bits;
	__u8 family;
	__u8 zero[3];
	__u8 address[SHARED_BYTES_MAX];
};

#define SHARED_SOURCE_BITS 32 /* of the family */

enum shared_origin { SHARED_CONFIGURED, SHARED_ASSIGNED };

struct shared_source {
	__u32 lane;
	__u32 origin; /* enum shared_origin */
};

enum shared_choose { SHARED_BY_HASH, SHARED_BY_CPU, SHARED_BY_LOAD };

#define SHARED_NAME_BYTES 32

/*
 * A lane's workers are numbered first to first + workers_n - 1. `spread` holds
 * their places within the lane, as often as their weight says.
 */
struct shared_lane {
	__u32 first;
	__u32 workers_n;
	__u32 choose; /* enum shared_choose */
	__u8 spread[SHARED_SPREAD];
	__u8 weights[SHARED_WORKERS]; /* what `spread` was made from */
	char name[SHARED_NAME_BYTES];
};

/* Written by the workers, through a mapping. */
struct shared_load {
	__u64 sessions; /* now */
	__u64 accepted; /* connections, since the daemon's start */
};

/* Per worker, or per lane. */
struct shared_count {
	__u64 chosen;
	__u64 passed_over; /* it had no listener; per lane: nobody had one */
};

/* The shield: which SYNs are dropped. */

#define SHARED_DENIED  65536 /* prefixes; as many are allowed at most */
#define SHARED_METERED 65536 /* prefixes whose SYNs are counted at once */

struct shared_shield {
	__u32 version;   /* stays first in every version */
	__u32 mask_ipv4; /* what of an address makes a source */
	__u32 mask_ipv6[4];
	__u64 interval_ns; /* between two SYNs of a source; 0: no meter */
	__u64 burst_ns;    /* how far ahead of that it may be */
};

struct shared_denial {
	__u64 until_ns; /* CLOCK_MONOTONIC; 0: until it is removed */
	__u64 since_ns;
	__u32 bits; /* of the prefix */
	__u32 why;  /* the daemon's */
};

enum shared_verdict {
	SHARED_PASSED,
	SHARED_ALLOWED, /* by the list that always wins */
	SHARED_DROPPED_DENIED,
	SHARED_DROPPED_METERED,
	SHARED_VERDICTS
};

/* Row of a worker, column of a service. */
static inline __u32 shared_slot(__u32 worker, __u32 service)
{
	return worker * SHARED_SERVICES + service;
}
