/*
 *	 0 segment   24 due_s u32             36 word u16
 *	 8 offset    28 first_failure_s u32   38 kind u8, 39 zero
 *	16 bits      32 attempts u16, code    40 checksum of 0..39
 */
#include "spool/change.h"

#include "base/must.h"
#include "spool/hash.h"

struct wire {
	uint64_t segment, offset, bits;
	uint32_t due_s, first_failure_s;
	uint16_t attempts, code, word;
	uint8_t kind, zero;
	uint64_t hash;
};

_Static_assert(sizeof(struct wire) == CHANGE_BYTES, "no padding");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
	       "numbers go to disk as they lie in memory");

/* Bytes that lay elsewhere, or in another journal, give another checksum. */
static uint64_t wire_hash(const struct wire *w, uint64_t sequence, uint64_t at)
{
	uint64_t place[2] = { sequence, at };
	uint64_t seed =
		hash_of(span_of((const uint8_t *)place, sizeof(place)), 0);

	return hash_of(span_of((const uint8_t *)w, CHANGE_BYTES - 8), seed);
}

void change_put(uint8_t out[static CHANGE_BYTES], const struct change *c,
		uint64_t sequence, uint64_t at)
{
	struct wire w = {
		.segment = c->segment,
		.offset = c->offset,
		.bits = c->bits,
		.due_s = c->due_s,
		.first_failure_s = c->first_failure_s,
		.attempts = c->attempts,
		.code = c->code,
		.word = c->word,
		.kind = (uint8_t)c->kind,
	};

	MUST(at % CHANGE_BYTES == 0);
	w.hash = wire_hash(&w, sequence, at);
	memcpy(out, &w, sizeof(w));
}

bool change_get(const uint8_t in[static CHANGE_BYTES], uint64_t sequence,
		uint64_t at, struct change *ret)
{
	struct wire w;

	memcpy(&w, in, sizeof(w));
	if (w.hash != wire_hash(&w, sequence, at) || w.kind < CHANGE_BEGIN ||
	    w.kind >= CHANGE_KINDS)
		return false;
	*ret = (struct change){
		.kind = (enum change_kind)w.kind,
		.segment = w.segment,
		.offset = w.offset,
		.bits = w.bits,
		.due_s = w.due_s,
		.first_failure_s = w.first_failure_s,
		.attempts = w.attempts,
		.code = w.code,
		.word = w.word,
	};
	return true;
}
