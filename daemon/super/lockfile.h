#pragma once

/*
 * lockfile: the pid file, which is also the lock that keeps a second supervisor
 * away. The lock dies with the process, so a stale file never hinders a start.
 */

#include <sys/types.h>

/*
 * Creates and locks `path` and writes our pid. The descriptor is the caller's
 * and holds the lock while it is open. -EEXIST: another process holds it, whose
 * pid is *ret_owner (0: unknown). Negative errno otherwise.
 */
int lockfile_take(const char *path, pid_t *ret_owner);

/* Writes our pid into a file whose lock we hold, or share. Negative errno. */
int lockfile_renew(int fd);

/* Empties the file, then lets the lock go. */
void lockfile_give(int fd);
