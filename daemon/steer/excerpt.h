#pragma once

/*
 * excerpt: the one line of the verifier's log that says why it refused a
 * program. Pure.
 */

#include <stddef.h>

/* Room for a log from which it can be taken. */
#define EXCERPT_LOG_BYTES (256 * 1024)

/* Takes the log to pieces; "" when nothing in it says why. */
void excerpt_take(char *log, char *ret, size_t ret_len);
