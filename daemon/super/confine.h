#pragma once

/*
 * confine: Landlock: which part of the file system, and of the network, a
 * worker can reach from now on, whoever may have taken it over. Rules are given
 * as directories: open descriptors, with everything beneath them to be read and
 * written, and paths that may only be read. There is no way back. The kernel
 * checks operations of io_uring too.
 */

#include <stdbool.h>
#include <stddef.h>

struct confine_rules {
	const int *writable; /* directory descriptors; -1 is passed over */
	size_t writable_n;
	const char *const *readable; /* paths; what does not exist is left out */
	size_t readable_n;
	bool no_connect; /* no outgoing TCP, and no binding (Landlock ABI 4) */
};

/*
 * Applies the rules to the calling process; no_new_privs must be set. -ENOSYS
 * or -EOPNOTSUPP: this kernel has no Landlock, nothing has changed.
 */
int confine_apply(const struct confine_rules *rules);
