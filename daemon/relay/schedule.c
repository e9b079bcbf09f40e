#include "relay/schedule.h"

void schedule_init(struct schedule *s, const struct schedule_options *options,
		   uint64_t seed)
{
	*s = (struct schedule){ .options = *options, .random = seed };
}

/* splitmix64 (Vigna): one word of state, good enough to spread retries. */
static uint64_t next_random(struct schedule *s)
{
	uint64_t z = s->random += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

uint32_t schedule_delay_s(struct schedule *s, uint32_t attempts)
{
	uint64_t nominal = s->options.first;
	uint64_t delay;

	for (uint32_t i = 1; i < attempts && nominal < s->options.longest; i++)
		nominal *= 2;
	if (nominal > s->options.longest)
		nominal = s->options.longest;
	delay = nominal - nominal / 4 + next_random(s) % (nominal / 2 + 1);
	return delay ? (uint32_t)delay : 1;
}

enum schedule_fate schedule_fate(const struct schedule *s,
				 enum schedule_outcome outcome,
				 uint64_t first_failure_s, uint64_t now_s)
{
	switch (outcome) {
	case SCHEDULE_DELIVERED: return SCHEDULE_FORGET;
	case SCHEDULE_REFUSED: return SCHEDULE_HOLD;
	case SCHEDULE_OPEN:
	case SCHEDULE_DEFERRED: break;
	}
	if (first_failure_s && now_s >= first_failure_s + s->options.give_up)
		return SCHEDULE_HOLD;
	return SCHEDULE_RETRY;
}
