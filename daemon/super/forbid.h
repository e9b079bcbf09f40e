#pragma once

/*
 * forbid: system calls that no worker has a use for, refused by seccomp from
 * now on: running programs, tracing, mounting, modules, namespaces, BPF, keys,
 * other users. A list of what is forbidden, not of what is allowed: a libc that
 * learns a new call must not stop the mail. There is no way back.
 */

/* no_new_privs must be set. Negative errno: nothing has changed. */
int forbid_apply(void);
