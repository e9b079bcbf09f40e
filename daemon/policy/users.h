#pragma once

/*
 * users: the file of users, one `name:{crypt}hash` per line, as a table sorted
 * for lookup. Made once when the file is loaded, never changed afterwards; a
 * reload makes a new one. Names are compared octet by octet. It holds hashes
 * and never sees a password: crypt_r is slow and belongs to the caller.
 */

#include "base/buf.h"

#define USERS_NAME_MAX 255
#define USERS_HASH_MAX 255

struct users;

/*
 * Parses `text`, read from `file`; the caller keeps both. NULL when there was
 * any mistake: `errors` then has a line for each, with the cure. Also NULL, and
 * a line, when there is no memory.
 */
struct users *users_open(const char *file, struct span text,
			 struct buf *errors);
/* Wipes and frees. NULL is harmless. */
void users_close(struct users *u);

/*
 * The hash to give to crypt_r, NUL-terminated, or NULL: no such user. The
 * string dies with u. To hide from timing which users exist, hash a password
 * for an unknown one against users_decoy.
 */
const char *users_find(const struct users *u, struct span name);

/*
 * A hash of the first user's scheme and cost that fits no known password. NULL
 * when there are no users.
 */
const char *users_decoy(const struct users *u);

uint32_t users_count(const struct users *u);
