#pragma once

/*
 * passing: packets and the descriptors that travel with them (SCM_RIGHTS), over
 * a SOCK_SEQPACKET socket between two processes of ours. Never blocks on
 * sending; what came in and does not fit what was expected is closed again.
 */

#include "base/buf.h"

/* The kernel's limit is 253 (SCM_MAX_FD). */
#define PASSING_FDS 64

struct passing {
	int fds[PASSING_FDS];
	uint32_t fds_n;
};

/* A pair of them, close-on-exec; the first end does not block. */
int passing_open(int ret_fds[2]);

/* Negative errno; the descriptors stay the caller's. */
int passing_send(int fd, struct span packet, const struct passing *with);

/*
 * One packet into `packet`, which must be empty; the descriptors are the
 * caller's. -ENODATA: the other end is closed, as it is when its process is
 * dead; -EPROTO: more than there is room for; -EAGAIN: nothing there.
 */
int passing_receive(int fd, struct buf *packet, struct passing *ret);

void passing_close(struct passing *p);
