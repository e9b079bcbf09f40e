#pragma once

/*
 * program: the file that the daemon is started from, and starting one as our
 * successor. A successor becomes a child of our own parent where the kernel
 * lets it: so whoever supervises us, systemd for one, goes on supervising it
 * when we are gone.
 */

#include "base/buf.h"

#include <limits.h>
#include <sys/types.h>

/*
 * The path that the command was called by, made absolute but not followed: a
 * link that points to another version by then is what an upgrade is for.
 * Negative errno.
 */
int program_find(const char *called, char ret[PATH_MAX]);

/*
 * Whether `path` may run with our privileges: a file that only root or our user
 * can write. False with a line in `errors`.
 */
bool program_check(const char *path, struct buf *errors);

struct program {
	const char *path;
	char *const *arguments;
	int fd; /* stays open in it, as descriptor PROGRAM_FD */
	pid_t pid;
	int pidfd;
};
#define PROGRAM_FD 3

/*
 * Starts it with our environment, standard descriptors and `fd`, nothing else;
 * fills in pid and pidfd. Negative errno, also when the file cannot be executed.
 */
int program_start(struct program *p);

/* Ends it at once; it may be dead already. */
void program_kill(const struct program *p);
