#pragma once

/*
 * shares: how much of a worker each client has at the moment: connections,
 * messages being received, bytes of these. A client is whatever its key says: a
 * user, or the prefix of an address. An entry lives as long as somebody holds
 * it, so the table needs as many as there can be holders, and none is ever
 * refused. The counts are the holders' to keep; the limits, too.
 */

#include "base/span.h"

#include <stdint.h>

struct share {
	uint64_t key; /* hash of what names the client */
	uint64_t bytes;
	uint32_t connections;
	uint32_t messages;
	uint32_t holders; /* 0: free */
	uint32_t next;    /* in its bucket, or of the free ones */
};

struct shares {
	struct share *entries;
	uint32_t *buckets;
	uint32_t buckets_n; /* a power of two */
	uint32_t n;
	uint32_t free;
	uint64_t seed;
};

/* Nobody's share: neither held nor counted. */
#define SHARES_NONE UINT32_MAX

/*
 * For n holders at once. `seed` is random and keeps clients from choosing keys
 * that meet: two that do would share their limits. -ENOMEM.
 */
int shares_init(struct shares *s, uint32_t n, uint64_t seed);
void shares_fini(struct shares *s);

/* Bytes of memory for the bill. */
uint64_t shares_bytes(uint32_t n);

/* The client's share, held once more. */
uint32_t shares_hold(struct shares *s, struct span client);
/* A further hold on one that is held; SHARES_NONE stays what it is. */
uint32_t shares_hold_again(struct shares *s, uint32_t index);
/* The last holder's word frees it. SHARES_NONE is fine. */
void shares_let_go(struct shares *s, uint32_t index);

/* NULL for SHARES_NONE. */
struct share *shares_at(const struct shares *s, uint32_t index);
