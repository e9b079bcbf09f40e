#pragma once

/*
 * handover: what two supervisors say to each other when one takes over from the
 * other, each message in one packet over a socket between them. Pure: bytes to
 * values and back; passing.h carries them with their descriptors.
 *
 *	the old one                  the new one
 *	WELCOME, SOCKETS ...   -->
 *	                       <--   READY, or REFUSED and it leaves
 *	                       <--   AGED    another generation came
 *	DRAIN                  <->   DRAIN   whoever hears it drains, too
 *
 * The head and REFUSED stay as they are in all versions, so that a program that
 * cannot take over can always say why.
 */

#include "base/buf.h"

#define HANDOVER_VERSION 2
/* Longest packet, and the most sockets that one announces. */
#define HANDOVER_BYTES       16384
#define HANDOVER_SOCKETS_MAX 64
#define HANDOVER_ADDRESS     64
/* Descriptors that come with each WELCOME. */
#define HANDOVER_FDS 3
/* At most: those of steering, or of the shield; lanes, or listeners. */
#define HANDOVER_MAPS_MAX  16
#define HANDOVER_LANES_MAX 64

enum handover_kind {
	HANDOVER_WELCOME = 1,
	HANDOVER_SOCKETS,
	HANDOVER_READY,
	HANDOVER_REFUSED,
	HANDOVER_AGED,
	HANDOVER_DRAIN,
};

/* A lane, its own, and how many workers it has; or a listener and its lane. */
struct handover_lane {
	const char *name;
	const char *lane;
	uint32_t workers;
};

/*
 * What the old one runs with and the new one must keep; strings: NULL: none.
 * Descriptors: the three, the pid file's lock, the control socket, steering's,
 * the shield's.
 */
struct handover_welcome {
	uint32_t generation;
	uint32_t workers;
	uint32_t sockets_n; /* in the messages that follow */
	uint32_t configured_workers;
	uint64_t rotate_ms; /* when ticket keys are due, CLOCK_MONOTONIC */
	const char *user;
	const char *pid_file; /* its lock comes along */
	const char *control;  /* its socket comes along */
	const char *spool;
	const char *steer_pins;
	const char *shield_pins;
	uint32_t steer_program; /* as configured */
	uint32_t steer_mode;    /* what came of it */
	uint32_t steer_fds_n;
	uint32_t shield; /* 0: none; 1: wanted; 2: required */
	uint32_t shield_fds_n;
	struct handover_lane lanes[HANDOVER_LANES_MAX];
	uint32_t lanes_n;
	struct handover_lane listeners[HANDOVER_LANES_MAX];
	uint32_t listeners_n;
};

struct handover_socket {
	const char *address; /* as configured */
	uint32_t worker;
	uint32_t service;
};

struct handover {
	enum handover_kind kind;
	struct handover_welcome welcome;
	struct handover_socket sockets[HANDOVER_SOCKETS_MAX];
	uint32_t sockets_n;
	struct span text; /* of REFUSED: lines */
};

enum handover_verdict {
	HANDOVER_GOOD,
	HANDOVER_OTHER_VERSION, /* of the message; only REFUSED is understood */
	HANDOVER_BAD,
};

/* `ret` points into `packet`. */
enum handover_verdict handover_parse(struct span packet, struct handover *ret);

/* How many descriptors must come with such a message. */
uint32_t handover_fds(const struct handover *h);

/* Appends the packet; sticky overflow when it is longer than HANDOVER_BYTES. */
void handover_put(struct buf *out, const struct handover *h);
