/*
 * XXH3 is compiled into this file alone, so the size of its state is known to
 * be the one that is linked.
 */
#include "spool/hash.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

_Static_assert(sizeof(struct hash) >= sizeof(XXH3_state_t), "room");
_Static_assert(_Alignof(struct hash) >= _Alignof(XXH3_state_t), "alignment");

void hash_init(struct hash *h, uint64_t seed)
{
	XXH3_state_t *state = (XXH3_state_t *)(void *)h->state;

	XXH3_INITSTATE(state);
	(void)XXH3_64bits_reset_withSeed(state, seed);
}

void hash_add(struct hash *h, struct span s)
{
	if (s.len)
		(void)XXH3_64bits_update((XXH3_state_t *)(void *)h->state, s.p,
					 s.len);
}

uint64_t hash_value(const struct hash *h)
{
	return XXH3_64bits_digest((const XXH3_state_t *)(const void *)h->state);
}

uint64_t hash_of(struct span s, uint64_t seed)
{
	return XXH3_64bits_withSeed(s.p, s.len, seed);
}
