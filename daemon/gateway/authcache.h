#pragma once

/*
 * authcache: remembers for a while which credentials were right, so that a
 * client with a connection per message does not pay a crypt(3) for each. It
 * keeps no password: an entry is an HMAC-SHA256 of user and password under a
 * random key that never leaves this process. Wrong credentials are never
 * cached. Direct-mapped and of fixed size; a collision forgets the older entry.
 */

#include "base/span.h"

#define AUTHCACHE_DIGEST 32

struct authcache_entry {
	uint64_t expires_ms; /* 0: empty */
	uint8_t digest[AUTHCACHE_DIGEST];
};

struct authcache {
	struct authcache_entry *entries;
	uint32_t n; /* 0: the cache is off */
	uint64_t lifetime_ms;
	uint8_t key[32];
};

/* Allocates `entries`. -ENOMEM, or -EIO when no random key is to be had. */
int authcache_init(struct authcache *c, uint32_t entries, uint64_t lifetime_ms);
void authcache_fini(struct authcache *c);

/* True when these very credentials were right within the lifetime. */
bool authcache_knows(const struct authcache *c, struct span user,
		     struct span password, uint64_t now_ms);
void authcache_remember(struct authcache *c, struct span user,
			struct span password, uint64_t now_ms);
