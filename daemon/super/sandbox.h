#pragma once

/*
 * sandbox: how a worker gives up what it does not need before it reads a byte
 * of a peer: the root user, new privileges, core dumps, the terminal's signals.
 * There is no way back. The supervisor uses the parts about core dumps only.
 */

#include <stdint.h>
#include <sys/types.h>

struct sandbox_user {
	uid_t uid;
	gid_t gid;
};

/*
 * Looks `name` up; NULL: the user we are. -ENOENT: no such user. Done by the
 * supervisor, before any fork.
 */
int sandbox_find_user(const char *name, struct sandbox_user *ret);

/* No core dumps, no ptrace by others: keys are in this memory. */
int sandbox_no_dumps(void);

/*
 * Raises the limits of open descriptors to at least n and of locked memory,
 * which io_uring's rings count towards, as far as we may.
 */
void sandbox_raise_limits(uint64_t n);

/*
 * Becomes that user with no supplementary groups, forbids new privileges and
 * core dumps, and ignores the terminal's signals: the supervisor's word counts.
 * A negative errno means the process must not go on.
 */
int sandbox_enter(struct sandbox_user user);
