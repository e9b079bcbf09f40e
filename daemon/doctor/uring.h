#pragma once

/*
 * uring: whether the daemon's event loop can run: io_uring set up the way a
 * worker does it, the operations it uses, and small trials of what differs
 * between kernels. Without io_uring the daemon cannot work.
 */

#include "doctor/finding.h"

/* What a result is before anybody tried; else 0 or a negative errno. */
#define URING_UNTRIED 1

struct uring_facts {
	char disabled[16]; /* kernel.io_uring_disabled; "": no such sysctl */
	int setup;
	int defer_taskrun;
	int accept;  /* multishot */
	int buffers; /* a ring of provided buffers */
	int splice;
	char missing[256]; /* operations that workers use and it lacks */
};

void uring_look(const char *root, struct uring_facts *ret);
void uring_judge(const struct uring_facts *u, struct findings *f);
