#pragma once

/*
 * password: takes a password from the terminal or a pipe and makes the hash
 * that the file of users holds. It never takes one from the command line,
 * where others can read it, and wipes what it held.
 */

#include "base/secret.h"

enum password_scheme {
	PASSWORD_YESCRYPT,
	PASSWORD_SHA512CRYPT,
	PASSWORD_BCRYPT,
	PASSWORD_SCHEMES
};

/* Size of the longest hash, with its end. */
#define PASSWORD_HASH_MAX 384

/* Name of a scheme, as users write it. */
const char *password_scheme_name(enum password_scheme scheme);

/*
 * From a terminal: asks twice, without echo. Otherwise: one line of standard
 * input. -EINTR: broken off by a signal; -ENODATA: empty or no line at all;
 * -E2BIG: longer than SECRET_MAX - 1; -EBADMSG: the two are not the same;
 * -EILSEQ: it holds a NUL.
 */
int password_read(struct secret *ret);

/*
 * `cost` as the scheme counts it; 0: a sensible one. -EINVAL: that cost is not
 * possible; -E2BIG: more than the 72 bytes that bcrypt looks at.
 */
int password_hash(const struct secret *password, enum password_scheme scheme,
		  unsigned long cost, char ret[PASSWORD_HASH_MAX]);
