#include "policy/shares.h"

#include "base/must.h"

#define XXH_INLINE_ALL
#include <errno.h>
#include <stdlib.h>
#include <xxhash.h>

#define END UINT32_MAX

static uint32_t buckets_for(uint32_t n)
{
	uint32_t buckets_n = 1;

	while (buckets_n < n && buckets_n < 1u << 31)
		buckets_n *= 2;
	return buckets_n;
}

uint64_t shares_bytes(uint32_t n)
{
	return n * (uint64_t)sizeof(struct share) +
	       buckets_for(n) * (uint64_t)sizeof(uint32_t);
}

int shares_init(struct shares *s, uint32_t n, uint64_t seed)
{
	MUST(n && n < END);
	*s = (struct shares){
		.entries = calloc(n, sizeof(struct share)),
		.buckets_n = buckets_for(n),
		.n = n,
		.seed = seed,
	};
	s->buckets = calloc(s->buckets_n, sizeof(uint32_t));
	if (!s->entries || !s->buckets) {
		shares_fini(s);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < s->buckets_n; i++)
		s->buckets[i] = END;
	for (uint32_t i = 0; i < n; i++)
		s->entries[i].next = i + 1 < n ? i + 1 : END;
	return 0;
}

void shares_fini(struct shares *s)
{
	free(s->entries);
	free(s->buckets);
	s->entries = NULL;
	s->buckets = NULL;
}

static uint32_t *bucket_of(const struct shares *s, uint64_t key)
{
	return &s->buckets[key & (s->buckets_n - 1)];
}

static uint32_t find(const struct shares *s, uint64_t key)
{
	uint32_t i = *bucket_of(s, key);

	while (i != END && s->entries[i].key != key)
		i = s->entries[i].next;
	return i;
}

static uint32_t make(struct shares *s, uint64_t key)
{
	uint32_t *bucket = bucket_of(s, key);
	uint32_t i = s->free;

	MUST(i != END); /* as many as holders */
	s->free = s->entries[i].next;
	s->entries[i] = (struct share){ .key = key, .next = *bucket };
	*bucket = i;
	return i;
}

uint32_t shares_hold(struct shares *s, struct span client)
{
	uint64_t key = XXH3_64bits_withSeed(client.p, client.len, s->seed);
	uint32_t i = find(s, key);

	if (i == END)
		i = make(s, key);
	s->entries[i].holders++;
	return i;
}

uint32_t shares_hold_again(struct shares *s, uint32_t index)
{
	struct share *e = shares_at(s, index);

	if (e)
		e->holders++;
	return index;
}

static void free_entry(struct shares *s, uint32_t index)
{
	struct share *e = &s->entries[index];
	uint32_t *link = bucket_of(s, e->key);

	MUST(!e->connections && !e->messages && !e->bytes);
	while (*link != index)
		link = &s->entries[*link].next;
	*link = e->next;
	e->next = s->free;
	s->free = index;
}

void shares_let_go(struct shares *s, uint32_t index)
{
	struct share *e = shares_at(s, index);

	if (e && !--e->holders)
		free_entry(s, index);
}

struct share *shares_at(const struct shares *s, uint32_t index)
{
	if (index == SHARES_NONE)
		return NULL;
	MUST(index < s->n && s->entries[index].holders);
	return &s->entries[index];
}
