#include "policy/offenders.h"

#include "base/must.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define WAYS 8 /* places where a source can be */

int offenders_init(struct offenders *o, uint32_t n, uint64_t seed)
{
	*o = (struct offenders){ .n = (n / WAYS + 1) * WAYS, .seed = seed };
	o->entries = calloc(o->n, sizeof(*o->entries));
	return o->entries ? 0 : -ENOMEM;
}

void offenders_fini(struct offenders *o)
{
	free(o->entries);
	o->entries = NULL;
}

static struct offender *bucket_of(const struct offenders *o,
				  const struct prefix *source)
{
	uint64_t hash = XXH3_64bits_withSeed(source, sizeof(*source), o->seed);

	return &o->entries[hash % (o->n / WAYS) * WAYS];
}

/* Its entry, or the best to take: a free one, else the oldest. */
static struct offender *find(const struct offenders *o,
			     const struct prefix *source)
{
	struct offender *bucket = bucket_of(o, source);
	struct offender *oldest = bucket;

	for (int i = 0; i < WAYS; i++) {
		struct offender *e = &bucket[i];

		if (!memcmp(&e->source, source, sizeof(*source)))
			return e;
		if (!e->source.family)
			oldest = e;
		else if (oldest->source.family &&
			 e->since_ms < oldest->since_ms)
			oldest = e;
	}
	return oldest;
}

bool offenders_note(struct offenders *o, const struct prefix *source,
		    uint64_t now_ms, struct offenders_limit limit)
{
	struct offender *e = find(o, source);

	MUST(source->family && limit.count);
	if (memcmp(&e->source, source, sizeof(*source)) != 0 ||
	    now_ms - e->since_ms >= limit.window_ms)
		*e = (struct offender){ .source = *source, .since_ms = now_ms };
	if (++e->count < limit.count)
		return false;
	*e = (struct offender){ 0 };
	return true;
}
