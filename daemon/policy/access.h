#pragma once

/*
 * access: the map of senders: who may use which reverse-path. A line is
 * `user: pattern pattern ...`; a pattern is an address, `@domain` for all
 * addresses of a domain, or `*`; the user `*` stands for every user, and
 * several lines of one user add up. Made once when the file is loaded, never
 * changed afterwards. It does no I/O and never asks anyone.
 */

#include "base/buf.h"

struct access;

/* As users_open: NULL when there was any mistake, with a line for each. */
struct access *access_open(const char *file, struct span text,
			   struct buf *errors);
/* NULL is harmless. */
void access_close(struct access *a);

/*
 * May the authenticated `user` send as `reverse_path` (without <>)? Without a
 * map (NULL) everybody may send as anybody. The null reverse-path and the
 * user's own name are always allowed. Addresses are compared without regard to
 * ASCII case, local parts too: two people are never told apart by case alone,
 * and clients spell their own addresses both ways. Octets beyond ASCII, and
 * user names, are compared as they are.
 */
bool access_may(const struct access *a, struct span user,
		struct span reverse_path);
