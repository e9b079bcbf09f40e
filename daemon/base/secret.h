#pragma once

/*
 * secret: bytes that must not outlive their use: passwords and keys. A secret
 * has fixed storage in its owner and is wiped by name, in a way the compiler
 * cannot drop. It never goes into a log, an argument list or a core dump.
 */

#include "base/span.h"

#define SECRET_MAX 512

struct secret {
	uint16_t len;
	uint8_t bytes[SECRET_MAX];
};

static inline struct span secret_span(const struct secret *s)
{
	return span_of(s->bytes, s->len);
}

/* Copies s in. False, and empty, when it is longer than SECRET_MAX. */
bool secret_set(struct secret *secret, struct span s);

/* Overwrites the bytes and the length. */
void secret_wipe(struct secret *secret);

/* Equality in a time that depends on the lengths alone. */
bool secret_equal(struct span a, struct span b);
