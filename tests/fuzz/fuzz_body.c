/*
 * fuzz_body: the body scanner against a decoder that is slow and right, with
 * input and output cut at arbitrary places. Property: what is stored, what is
 * found and what is consumed does not depend on the cuts.
 */

#include "base/must.h"
#include "fuzz/input.h"
#include "fuzz/reference.h"

#define MESSAGE_MAX 4096
#define STORED_MAX  (3 * MESSAGE_MAX)
#define BODY_CAP    (BODY_ROOM_MIN + 40)

struct scan {
	struct body body;
	struct buf stored;
	struct dots dots;
	bool ended;
	size_t used;
	uint8_t bytes[STORED_MAX];
};

/* What the server does at each result. True when the message has ended. */
static bool fuzz_result(struct scan *s, enum body_result r, struct buf *out)
{
	switch (r) {
	case BODY_MORE: return false;
	case BODY_FULL:
		buf_put(&s->stored, buf_span(out));
		buf_clear(out);
		return false;
	case BODY_HEADER_END:
		if (s->body.has_date && s->body.has_message_id)
			return false;
		MUST(buf_room(out) >= BODY_ROOM_MIN);
		if (body_mid_line(&s->body))
			buf_put_str(out, "\r\n");
		if (!s->body.has_date)
			buf_put_str(out, REFERENCE_DATE);
		if (!s->body.has_message_id)
			buf_put_str(out, REFERENCE_ID);
		return false;
	case BODY_END: break;
	}
	buf_put(&s->stored, buf_span(out));
	buf_clear(out);
	return true;
}

static void fuzz_scan(struct scan *s, struct span in, enum body_framing framing,
		      const struct body_limits *limits, uint32_t seed)
{
	uint8_t storage[BODY_CAP];
	struct buf out;
	bool cut = seed;

	*s = (struct scan){ 0 };
	buf_init(&s->stored, s->bytes, sizeof(s->bytes));
	buf_init(&out, storage, cut ? BODY_CAP - seed % 40 : BODY_CAP);
	body_begin(&s->body, framing, limits);
	while (!s->ended && s->used < in.len) {
		size_t n = in.len - s->used;
		struct span piece;
		enum body_result r;

		if (cut && n > 1)
			n = 1 + input_next(&seed) % (n < 9 ? n : 9);
		piece = span_head(span_tail(in, s->used), n);
		do {
			r = body_scan(&s->body, &piece, &out, &s->dots);
			s->ended = fuzz_result(s, r, &out);
		} while (r != BODY_MORE && r != BODY_END);
		s->used += n - piece.len;
	}
	while (framing == BODY_COUNTED && !s->ended)
		s->ended = fuzz_result(s, body_finish(&s->body, &out, &s->dots),
				       &out);
}

/* Each offset is a line that begins with a dot, and none is missing. */
static void fuzz_check_dots(const struct scan *s)
{
	struct span body = buf_span(&s->stored);
	uint32_t n = 0;

	for (size_t i = 0; i < body.len; i++) {
		if (body.p[i] != '.' || (i && body.p[i - 1] != '\n'))
			continue;
		if (n == DOTS_MAX)
			return;
		MUST(n < s->dots.n && s->dots.at[n] == i);
		n++;
	}
	MUST(n == s->dots.n);
}

static void fuzz_check(struct span in, enum body_framing framing,
		       const struct body_limits *limits, const struct scan *s)
{
	static uint8_t work_bytes[STORED_MAX], out_bytes[STORED_MAX];
	size_t used = framing == BODY_STUFFED ? reference_end(in) : in.len;
	enum reply finding = body_finding(&s->body);
	struct span message = span_head(in, used);
	struct buf work, out;
	reference_set broken;

	MUST(s->ended == (framing == BODY_COUNTED || used));
	if (!s->ended)
		return;
	MUST(s->used == used);
	if (framing == BODY_STUFFED)
		message.len -= 3;
	buf_init(&work, work_bytes, sizeof(work_bytes));
	buf_init(&out, out_bytes, sizeof(out_bytes));
	broken = reference_decode(message, framing, limits, &work, &out);
	if (finding != REPLY_OK) {
		MUST(broken & reference_bit(finding));
		return;
	}
	MUST(!broken);
	MUST(span_equal(buf_span(&s->stored), buf_span(&out)));
	MUST(s->body.size == buf_len(&work));
	fuzz_check_dots(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct scan whole, cut;
	struct span in = span_of(data, size);
	uint8_t choice = input_byte(&in);
	uint32_t seed = input_byte(&in) * 256U + input_byte(&in) + 1U;
	enum body_framing framing = choice & 1 ? BODY_COUNTED : BODY_STUFFED;
	const struct body_limits limits = {
		.message_max = choice & 2 ? 60 : MESSAGE_MAX * 2,
		.header_max = choice & 4 ? 30 : MESSAGE_MAX * 2,
		.text_line_max = choice & 8 ? 12 : MESSAGE_MAX * 2,
		.hops_max = choice & 16 ? 1 : 1000,
		.normalise_bare_lf = choice & 32,
	};

	if (in.len > MESSAGE_MAX)
		return 0;
	fuzz_scan(&whole, in, framing, &limits, 0);
	fuzz_scan(&cut, in, framing, &limits, seed);
	MUST(whole.ended == cut.ended && whole.used == cut.used);
	MUST(body_finding(&whole.body) == body_finding(&cut.body));
	MUST(span_equal(buf_span(&whole.stored), buf_span(&cut.stored)) ||
	     body_finding(&whole.body) != REPLY_OK || !whole.ended);
	fuzz_check(in, framing, &limits, &whole);
	return 0;
}
