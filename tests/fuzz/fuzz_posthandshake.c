/*
 * fuzz_posthandshake: handshake messages after the handshake, cut into records'
 * pieces. The first two bytes choose the side, the version and how to cut.
 * Properties: the events are those of a reference that sees all bytes at once,
 * each at its place; however the bytes were cut, but for a KeyUpdate that does
 * not end its piece: it has bytes behind it that had to have new keys.
 */

#include "base/must.h"
#include "tls/posthandshake.h"

#include "fuzz/input.h"

enum { FUZZ_TICKET = 4, FUZZ_KEY_UPDATE = 24 }; /* RFC 8446 4 */

/* One message, as the RFC has it; *ret_end: where the event happens. */
static enum posthandshake_event fuzz_expect(const struct posthandshake *side,
					    struct span rest, size_t *ret_end)
{
	size_t len;

	if (rest.len < 4)
		return POSTHANDSHAKE_NOTHING;
	*ret_end = 4;
	len = (size_t)rest.p[1] << 16 | (size_t)rest.p[2] << 8 | rest.p[3];
	if (!side->tls13)
		return POSTHANDSHAKE_UNEXPECTED;
	if (rest.p[0] == FUZZ_TICKET && side->server)
		return POSTHANDSHAKE_UNEXPECTED;
	if (rest.p[0] != FUZZ_TICKET && rest.p[0] != FUZZ_KEY_UPDATE)
		return POSTHANDSHAKE_UNEXPECTED;
	if (rest.p[0] == FUZZ_TICKET ? !len || len > 65536 : len != 1)
		return POSTHANDSHAKE_MALFORMED;
	if (rest.len < 4 + len)
		return POSTHANDSHAKE_NOTHING;
	*ret_end = 4 + len;
	if (rest.p[0] == FUZZ_TICKET)
		return POSTHANDSHAKE_TICKET;
	switch (rest.p[4]) {
	case 0: return POSTHANDSHAKE_KEY_UPDATE;
	case 1: return POSTHANDSHAKE_KEY_UPDATE_REQUESTED;
	default: return POSTHANDSHAKE_ILLEGAL;
	}
}

static bool fuzz_goes_on(enum posthandshake_event event)
{
	return event == POSTHANDSHAKE_TICKET ||
	       event == POSTHANDSHAKE_KEY_UPDATE ||
	       event == POSTHANDSHAKE_KEY_UPDATE_REQUESTED;
}

static size_t fuzz_piece(size_t left, uint32_t *seed)
{
	size_t n = *seed ? 1 + input_next(seed) % 9 : left;

	return n < left ? n : left;
}

static void fuzz_cut(struct posthandshake p, struct span all, uint32_t seed)
{
	const struct posthandshake side = p;
	struct span rest = all; /* of which the reference has not told */

	while (all.len) {
		size_t n = fuzz_piece(all.len, &seed);
		struct span piece = span_head(all, n);

		all = span_tail(all, n);
		while (piece.len) {
			size_t end = 0;
			enum posthandshake_event want, got;

			got = posthandshake_next(&p, &piece);
			MUST(got != POSTHANDSHAKE_NOTHING || !piece.len);
			if (got == POSTHANDSHAKE_NOTHING)
				break;
			want = fuzz_expect(&side, rest, &end);
			rest = span_tail(rest, end);
			MUST(rest.len == piece.len + all.len);
			if (fuzz_goes_on(want) &&
			    want != POSTHANDSHAKE_TICKET && piece.len)
				want = POSTHANDSHAKE_UNEXPECTED;
			/* What a KeyUpdate asks for is not looked at either. */
			if (want == POSTHANDSHAKE_ILLEGAL && piece.len)
				want = POSTHANDSHAKE_UNEXPECTED;
			MUST(got == want);
			if (!fuzz_goes_on(got))
				return;
		}
	}
	MUST(fuzz_expect(&side, rest, &(size_t){ 0 }) == POSTHANDSHAKE_NOTHING);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_of(data, size);
	uint8_t choice = input_byte(&in);
	uint32_t seed = input_byte(&in);
	const struct posthandshake p = { .server = choice & 1,
					 .tls13 = !(choice & 2) };

	fuzz_cut(p, in, 0);
	fuzz_cut(p, in, seed + 1);
	return 0;
}
