/*
 * fuzz_intake: a message on its way into the sink. Properties: the first byte
 * says how the rest is cut, and any cut gives the same end, count and hash as
 * taking it whole; what is taken never exceeds what was given.
 */

#include "base/must.h"
#include "sink/intake.h"

/* Bytes left behind the end, or SIZE_MAX: it has not come. */
static size_t fuzz_feed(struct intake *i, struct span all, size_t cut)
{
	intake_begin(i, true);
	while (all.len) {
		struct span piece =
			span_head(all, cut < all.len ? cut : all.len);
		size_t len = piece.len;
		bool ended = intake_stuffed(i, &piece);

		MUST(piece.len <= len);
		MUST(ended || !piece.len);
		all = span_tail(all, len - piece.len);
		if (ended)
			return all.len;
	}
	return SIZE_MAX;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct intake whole, cut;
	struct span all;

	if (!size)
		return 0;
	all = span_of(data + 1, size - 1);
	MUST(fuzz_feed(&whole, all, all.len + 1) ==
	     fuzz_feed(&cut, all, 1u + data[0] % 16));
	MUST(whole.bytes == cut.bytes && whole.hashed == cut.hashed);
	MUST(whole.known == cut.known);
	MUST(hash_value(&whole.hash) == hash_value(&cut.hash));
	MUST(whole.bytes <= all.len);
	return 0;
}
