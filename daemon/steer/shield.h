#pragma once

/*
 * shield: the daemon's side of bpf/shield.bpf.c: a filter on listening sockets
 * that drops SYNs of denied prefixes and meters those of all others. It loads
 * and attaches the program and keeps its lists, which are pinned where they can
 * be. It logs nothing and decides no policy. Where nothing can be loaded, all
 * of it succeeds and does nothing.
 */

#include "base/prefix.h"
#include "steer/pins.h"

#define SHIELD_EXCERPT_MAX 240

struct shield_report {
	int error;      /* why there is no shield; 0: there is */
	int pins_error; /* maps are not pinned, because: */
	bool pins_replaced;
	uint32_t pins_version;
	char excerpt[SHIELD_EXCERPT_MAX]; /* of the verifier's log, or "" */
};

enum shield_why {
	SHIELD_CONFIGURED,
	SHIELD_OPERATOR,
	SHIELD_AUTH,      /* failed too often */
	SHIELD_HANDSHAKE, /* likewise */
};

struct shield_denial {
	struct prefix prefix;
	enum shield_why why;
	uint64_t since_ms; /* CLOCK_MONOTONIC */
	uint64_t until_ms; /* 0: until it is removed */
};

struct shield_rules {
	uint32_t syn_rate;  /* a second, of each source; 0: no meter */
	uint32_t syn_burst; /* at once, besides */
	uint32_t prefix_ipv4;
	uint32_t prefix_ipv6; /* bits that make a source */
	const struct prefix *allowed;
	uint32_t allowed_n;
	const struct prefix *denied;
	uint32_t denied_n;
};

/* SYNs since the daemon's start. */
struct shield_counts {
	uint64_t passed;
	uint64_t allowed;
	uint64_t denied;  /* dropped */
	uint64_t metered; /* dropped */
};

enum shield_answer { SHIELD_OPEN, SHIELD_ALLOWED, SHIELD_DENIED };

struct shield;

struct shield_options {
	bool wanted;
	const char *pins; /* directory on a bpffs */
	/* NULL, or none: it begins anew; else with these of a predecessor */
	const struct pins_passed *passed;
};

/*
 * Unless `wanted`, one that does nothing. -EBUSY: another daemon uses these
 * pins; -ENOMEM; else 0, and `report` says how far it came. With what was passed
 * there is nothing less: -EPROTO: its maps are of another version; any other
 * error: no program for them can be had.
 */
int shield_open(const struct shield_options *o, struct shield_report *report,
		struct shield **ret);
/* The descriptors stay ours; none: it does nothing. */
void shield_pass(const struct shield *s, struct pins_passed *ret);
/* In a forked child it lets go of the child's share. */
void shield_close(struct shield *s);
bool shield_works(const struct shield *s);
/* Its descriptor, for test runs and run-time statistics; -1: none. */
int shield_program(const struct shield *s);

/* Puts the filter before a listening socket, also in another's place. */
int shield_attach(const struct shield *s, int fd);
/* Takes it off a socket that was accepted there and inherited it. */
int shield_detach(int fd);

/*
 * Meter, allowed and configured prefixes are as `rules` say; what was denied
 * otherwise stays. Negative errno: some of it may be done.
 */
int shield_apply(struct shield *s, const struct shield_rules *rules);

/* -ENOSPC: as many are denied as can be. */
int shield_deny(struct shield *s, const struct shield_denial *denial);
/* -ENOENT. */
int shield_remove(struct shield *s, const struct prefix *prefix);
struct shield_swept {
	uint32_t over; /* and removed */
	uint32_t left; /* denied for failures */
};

/* Removes what is over. */
struct shield_swept shield_sweep(struct shield *s, uint64_t now_ms);

/* Copies up to `max` denials, in no order; how many there are. */
uint32_t shield_list(const struct shield *s, struct shield_denial *ret,
		     uint32_t max);
/* What becomes of that prefix, and *ret says by which denial. */
enum shield_answer shield_explain(const struct shield *s,
				  const struct prefix *prefix, uint64_t now_ms,
				  struct shield_denial *ret);
struct shield_counts shield_counts(const struct shield *s);
