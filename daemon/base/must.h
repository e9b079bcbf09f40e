#pragma once

/*
 * MUST(x): our own bugs, first of the three error classes. Always compiled in:
 * it prints file, line and expression to standard error and aborts; the
 * supervisor restarts the process. Never used for what a peer or the world did.
 */

#define MUST(x) ((x) ? (void)0 : must_failed(__FILE__, __LINE__, #x))

/* Prints the broken assertion and aborts. Only MUST() calls it. */
_Noreturn void must_failed(const char *file, int line, const char *expression);

/* A place that cannot be reached; `why` is a string literal. */
#define MUST_NOT_REACH(why) must_failed(__FILE__, __LINE__, why)
