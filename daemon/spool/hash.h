#pragma once

/*
 * hash: the spool's checksum, XXH3 of 64 bits, over bytes that come in pieces.
 * It finds torn and rotten data. It is no defence against someone who can write
 * to the spool; the random seed (the segment's id) only keeps a client from
 * sending bytes that look like a frame.
 */

#include "base/span.h"

/* Opaque storage: the library's state is large and not part of its ABI. */
struct hash {
	_Alignas(64) uint64_t state[72];
};

void hash_init(struct hash *h, uint64_t seed);
void hash_add(struct hash *h, struct span s);
uint64_t hash_value(const struct hash *h);

/* All at once. */
uint64_t hash_of(struct span s, uint64_t seed);
