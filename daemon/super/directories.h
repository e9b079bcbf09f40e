#pragma once

/*
 * directories: makes and opens the directories that workers write in, owned by
 * their user, and proves that they can be written: a file is written, synced
 * and removed, so a full, read-only or foreign file system is found at start
 * and not with the first mail. Workers get descriptors, never paths.
 */

#include "super/sandbox.h"

/*
 * Opens the directory `name` below the descriptor `parent` (or AT_FDCWD),
 * making it (mode 0700, one level). What it made, or lies below `parent`, is
 * given to `user`; a directory that stood there keeps its owner. The
 * descriptor is the caller's. Negative errno.
 */
int directories_open(int parent, const char *name, struct sandbox_user user);

/* Writes and syncs a file there as `user` would. Negative errno. */
int directories_probe(int dir, struct sandbox_user user);

/* What the operator can do about such an error. */
const char *directories_cure(int error);
