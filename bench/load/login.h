#pragma once

/*
 * login: the password of the load, from a file or the environment, as AUTH
 * PLAIN says it. It never stands on a command line.
 */

#include "load/load_options.h"

#define LOGIN_PLAIN_MAX 1024

/*
 * Writes AUTH PLAIN's initial response in base64 with a NUL; the caller wipes
 * it. Negative errno: -ENOENT, the variable is not set; -E2BIG, too long; or why
 * the file could not be read.
 */
int login_plain(const struct load_options *o, char out[LOGIN_PLAIN_MAX]);
