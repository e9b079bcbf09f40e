/*
 * I1  A stored line that begins with a dot is preceded by one more dot, once.
 * I2  The end mark is written only behind CRLF, or at the very start; a body
 *     that does not end in CRLF gets one, because "." must stand on a line of
 *     its own. This is the one place where a body grows, and only with DATA.
 * I3  `tail` holds the last two stored bytes sent, CRLF before the first. Where
 *     it decides something they were seen: of a body with an end mark the last
 *     two always are.
 */
#include "smtp/client_body.h"

#include "base/must.h"

void client_body_init(struct client_body *b, enum client_framing framing,
		      uint64_t bytes, const struct dots *dots)
{
	*b = (struct client_body){ .framing = framing,
				   .dots = dots && !dots->partial ? dots : NULL,
				   .bytes = bytes,
				   .tail = { '\r', '\n' } };
}

static bool at_line_start(const struct client_body *b)
{
	return b->tail[0] == '\r' && b->tail[1] == '\n';
}

/* Stored bytes that can go as they are, by the index. */
static uint64_t run_by_index(const struct client_body *b)
{
	uint64_t next = b->bytes;

	if (b->dot < b->dots->n)
		next = b->dots->at[b->dot];
	MUST(next >= b->at && next <= b->bytes);
	if (next == b->at && b->dot_sent)
		next = b->dot + 1 < b->dots->n ? b->dots->at[b->dot + 1] :
						 b->bytes;
	return next - b->at;
}

/* The same by looking: up to the first line behind here that begins with '.' */
static uint64_t run_by_looking(const struct client_body *b, struct span block)
{
	const uint8_t *hit;

	if (block.len && block.p[0] == '.' && at_line_start(b) && !b->dot_sent)
		return 0;
	if (block.len > 1 && block.p[0] == '\n' && block.p[1] == '.' &&
	    b->tail[1] == '\r')
		return 1; /* the CR was the last byte of the block before */
	hit = block.len ? memmem(block.p, block.len, "\r\n.", 3) : NULL;
	return hit ? (uint64_t)(hit - block.p) + 2 : block.len;
}

static struct span end_mark(const struct client_body *b)
{
	return at_line_start(b) ? SPAN(".\r\n") : SPAN("\r\n.\r\n"); /* I2 */
}

struct client_piece client_body_next(struct client_body *b, struct span block)
{
	struct client_piece piece = { 0 };

	if (block.len > b->bytes - b->at)
		block.len = b->bytes - b->at;
	if (b->at == b->bytes) {
		if (b->framing == CLIENT_DOTTED && !b->ended) {
			b->end = end_mark(b);
			b->ended = true;
		}
		piece.literal = b->end;
	} else if (b->framing == CLIENT_COUNTED) {
		piece.stored = block.len;
	} else if (b->dots || block.len) {
		uint64_t run = b->dots ? run_by_index(b) :
					 run_by_looking(b, block);

		piece.stored = run < block.len ? run : block.len;
		if (!run)
			piece.literal = SPAN("."); /* I1 */
	}
	b->literal_offered = piece.literal.len;
	return piece;
}

uint64_t client_body_unseen(const struct client_body *b)
{
	uint64_t left = b->bytes - b->at;
	uint64_t run;

	if (b->framing == CLIENT_COUNTED)
		return left;
	if (!b->dots || left <= sizeof(b->tail))
		return 0;
	run = run_by_index(b);
	left -= sizeof(b->tail); /* I3 */
	return run < left ? run : left;
}

static void advance(struct client_body *b, uint64_t n)
{
	MUST(n <= b->bytes - b->at);
	b->at += n;
	b->dot_sent = false;
	while (b->dots && b->dot < b->dots->n && b->dots->at[b->dot] < b->at)
		b->dot++;
}

static void keep_tail(struct client_body *b, struct span sent)
{
	if (sent.len > 1)
		b->tail[0] = sent.p[sent.len - 2];
	else
		b->tail[0] = b->tail[1];
	b->tail[1] = sent.p[sent.len - 1]; /* I3 */
}

void client_body_sent(struct client_body *b, struct span sent)
{
	if (!sent.len)
		return;
	if (b->ended) {
		MUST(sent.len <= b->end.len);
		b->end = span_tail(b->end, sent.len);
		return;
	}
	if (b->literal_offered) {
		MUST(sent.len == 1 && !b->dot_sent); /* I1 */
		b->dot_sent = true;
		return;
	}
	advance(b, sent.len);
	keep_tail(b, sent);
}

void client_body_sent_unseen(struct client_body *b, uint64_t n)
{
	MUST(n <= client_body_unseen(b));
	if (!n)
		return;
	advance(b, n);
	memset(b->tail, 0, sizeof(b->tail));
}

bool client_body_done(const struct client_body *b)
{
	if (b->at < b->bytes)
		return false;
	return b->framing == CLIENT_COUNTED || (b->ended && !b->end.len);
}
