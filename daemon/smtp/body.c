#include "smtp/body.h"

#include "base/must.h"
#include "smtp/stretch.h"

/*
 * Two small machines look at each octet, one for the framing and one for the
 * header section. They meet in body_scan. Behind the header section, where there
 * is nothing to decide, they are passed over: body_stretch.
 *
 * Framing (enum body_at), the octets as they came:
 *   LINE    behind CRLF, or at the very start (RFC 5321 4.1.1.4)
 *   TEXT    in a line
 *   CR      behind a CR, which is not stored before its LF has come
 *   DOT     LINE and a dot: stuffed, or the last line (stuffed framing only)
 *   DOT_CR  LINE, dot, CR: an LF makes it the end of the data
 *   END     the end of the data was seen
 *
 * Header section (enum body_head), the lines as they are stored:
 *   LINE    at the start of a line
 *   NAME    in what may be a field name; held back until it is known, and
 *           only then counted as header
 *   GAP     in white space between a name and its colon (RFC 5322 4.5)
 *   FIELD   in the rest of a field, or in a continuation
 *   ENDING  the next thing stored is no part of the header section
 *   OVER    behind it
 *
 * Invariants:
 * I1  Only END after CR LF `.` CR LF in LINE, and only in stuffed framing. A
 *     bare LF leads to TEXT, so no dot behind it is ever looked at.
 * I2  An octet is consumed only when what it leads to was stored or noted, so
 *     BODY_FULL can be answered at any octet.
 * I3  Nothing is stored after a finding; the framing goes on alone.
 * I4  Limits are reached octet by octet: a run is cut where the first of them
 *     would be passed, so the finding does not depend on how input was cut.
 */

void body_begin(struct body *b, enum body_framing framing,
		const struct body_limits *limits)
{
	*b = (struct body){
		.limits = *limits,
		.at = BODY_AT_LINE,
		.head = BODY_HEAD_LINE,
		.finding = REPLY_OK,
		.stuffed = framing == BODY_STUFFED,
	};
}

/*
 * Every line has an LF, so looking for it first bounds the other two searches
 * to the line: a message without any CR costs no more than one with.
 */
size_t body_plain_run(struct span s)
{
	size_t n = span_find(s, '\n');

	n = span_find(span_head(s, n), '\r');
	return span_find(span_head(s, n), 0);
}

void body_fail(struct body *b, enum reply reply)
{
	if (b->finding == REPLY_OK)
		b->finding = reply;
}

enum reply body_finding(const struct body *b)
{
	return b->finding;
}

bool body_is_plain(const struct body *b)
{
	return !b->stuffed && !b->limits.normalise_bare_lf &&
	       b->finding == REPLY_OK && b->head == BODY_HEAD_OVER &&
	       !b->hold_n;
}

void body_taken(struct body *b, size_t n)
{
	b->flushed += n;
}

bool body_mid_line(const struct body *b)
{
	return b->line_len > b->hold_n;
}

/* Octets of n that the message and the header section may still grow by. */
static uint64_t body_clip(struct body *b, uint64_t n)
{
	uint64_t left = b->limits.message_max - b->size;
	enum reply limit = REPLY_TOO_BIG;

	if (b->head == BODY_HEAD_FIELD &&
	    b->limits.header_max - b->header_len < left) {
		left = b->limits.header_max - b->header_len;
		limit = REPLY_HEADER_TOO_BIG;
	}
	if (!left)
		body_fail(b, limit);
	return n < left ? n : left;
}

/* The same for octets of a text line, which has a limit of its own. */
static uint64_t body_clip_text(struct body *b, uint64_t n)
{
	uint64_t left = b->limits.text_line_max - b->line_len;

	if (!left)
		body_fail(b, REPLY_TEXT_LINE_TOO_LONG);
	return body_clip(b, n < left ? n : left);
}

static void body_count(struct body *b, uint64_t n)
{
	b->size += n;
	if (b->head == BODY_HEAD_FIELD)
		b->header_len += (uint32_t)n;
}

static enum body_result body_full(struct body *b, const struct buf *out)
{
	MUST(buf_len(out));
	b->flushed += buf_len(out);
	return BODY_FULL;
}

/* A line that begins with a dot is about to be stored. */
static void body_note_dot(const struct body *b, const struct buf *out,
			  struct dots *dots)
{
	dots_add(dots, b->flushed + buf_len(out));
}

static bool body_is_white(uint8_t c)
{
	return c == ' ' || c == '\t';
}

/* ftext of RFC 5322 3.6.8. */
static bool body_is_name_octet(uint8_t c)
{
	return c > ' ' && c < 0x7f && c != ':';
}

/* The first octet of a line in the header section tells what it may be. */
static void body_head_begin(struct body *b, uint8_t c)
{
	if (body_is_name_octet(c))
		b->head = BODY_HEAD_NAME;
	else if (body_is_white(c) && b->header_len)
		b->head = BODY_HEAD_FIELD;
	else
		b->head = BODY_HEAD_ENDING;
}

/* `hold` is the name of a field, perhaps with white space behind it. */
static void body_head_field(struct body *b)
{
	struct span name = span_of(b->hold, b->hold_n);

	while (name.len && body_is_white(name.p[name.len - 1]))
		name.len--;
	b->head = BODY_HEAD_FIELD;
	if (span_equal_nocase(name, SPAN("Date")))
		b->has_date = true;
	else if (span_equal_nocase(name, SPAN("Message-ID")))
		b->has_message_id = true;
	else if (span_equal_nocase(name, SPAN("Received")) &&
		 ++b->hops > b->limits.hops_max)
		body_fail(b, REPLY_LOOP);
}

/* `From ` at the very start: the separator line of an mbox file. */
static bool body_is_mbox_line(const struct body *b, uint8_t c)
{
	return c == ' ' && !b->header_len &&
	       span_equal(span_of(b->hold, b->hold_n), SPAN("From"));
}

/*
 * The next octet of what may be a field name. A name too long to be held is
 * taken for one: no name that matters here is so long, and a line of text
 * taken for a field only moves the place of what is added.
 */
static void body_head_name(struct body *b, struct span *in)
{
	uint8_t c = in->p[0];
	bool white = body_is_white(c);

	if (c == ':') {
		body_head_field(b);
	} else if (body_is_mbox_line(b, c) || b->hold_n == BODY_HOLD_MAX) {
		b->head = BODY_HEAD_FIELD;
	} else if (!white &&
		   (b->head == BODY_HEAD_GAP || !body_is_name_octet(c))) {
		b->head = BODY_HEAD_ENDING;
	} else if (body_clip_text(b, 1)) {
		if (white)
			b->head = BODY_HEAD_GAP;
		b->hold[b->hold_n++] = c;
		b->line_len++;
		body_count(b, 1);
		*in = span_tail(*in, 1);
	}
}

/* Stores what was held back: a field's name, or text. */
static enum body_result body_release(struct body *b, struct buf *out,
				     struct dots *dots)
{
	if (buf_room(out) < b->hold_n)
		return body_full(b, out);
	if (b->hold[0] == '.')
		body_note_dot(b, out, dots);
	buf_put(out, span_of(b->hold, b->hold_n));
	if (b->head == BODY_HEAD_FIELD)
		b->header_len += b->hold_n;
	if (b->header_len > b->limits.header_max)
		body_fail(b, REPLY_HEADER_TOO_BIG);
	b->hold_n = 0;
	return BODY_MORE;
}

/* What was decided about the header section, but not yet carried out. */
static enum body_result body_settle(struct body *b, struct buf *out,
				    struct dots *dots)
{
	if (b->head == BODY_HEAD_ENDING) {
		if (buf_room(out) < BODY_ROOM_MIN)
			return body_full(b, out);
		b->head = BODY_HEAD_OVER;
		return BODY_HEADER_END;
	}
	if (b->hold_n && b->head >= BODY_HEAD_FIELD)
		return body_release(b, out, dots);
	return BODY_MORE;
}

/* At an LF that ends a line, behind its CR or, when normalised, without. */
static enum body_result body_line_end(struct body *b, struct span *in,
				      struct buf *out)
{
	if (b->head < BODY_HEAD_FIELD) {
		/* An empty line, or one that turned out to be no field. */
		b->head = BODY_HEAD_ENDING;
		return BODY_MORE;
	}
	if (body_clip(b, 2) < 2) {
		body_fail(b, b->size + 2 > b->limits.message_max ?
				     REPLY_TOO_BIG :
				     REPLY_HEADER_TOO_BIG);
		return BODY_MORE;
	}
	if (buf_room(out) < 2)
		return body_full(b, out);
	buf_put_str(out, "\r\n");
	body_count(b, 2);
	b->line_len = 0;
	if (b->head == BODY_HEAD_FIELD)
		b->head = BODY_HEAD_LINE;
	b->at = b->at == BODY_AT_CR ? BODY_AT_LINE : BODY_AT_TEXT; /* I1 */
	*in = span_tail(*in, 1);
	return BODY_MORE;
}

/* Octets that are stored as they are, as many as can be at once. */
static enum body_result body_run(struct body *b, struct span *in,
				 struct buf *out, struct dots *dots)
{
	size_t n = (size_t)body_clip_text(b, body_plain_run(*in)); /* I4 */

	if (!n)
		return BODY_MORE;
	if (!buf_room(out))
		return body_full(b, out);
	if (!b->line_len && in->p[0] == '.')
		body_note_dot(b, out, dots);
	if (n > buf_room(out))
		n = buf_room(out);
	buf_put(out, span_head(*in, n));
	b->line_len += n;
	body_count(b, n);
	*in = span_tail(*in, n);
	return BODY_MORE;
}

static enum body_result body_text(struct body *b, struct span *in,
				  struct buf *out, struct dots *dots)
{
	switch (in->p[0]) {
	case 0: body_fail(b, REPLY_NUL_BYTE); return BODY_MORE;
	case '\n':
		if (b->limits.normalise_bare_lf)
			return body_line_end(b, in, out);
		body_fail(b, REPLY_BARE_LF);
		return BODY_MORE;
	case '\r':
		if (b->hold_n) {
			b->head = BODY_HEAD_ENDING;
			return BODY_MORE;
		}
		b->at = BODY_AT_CR;
		*in = span_tail(*in, 1);
		return BODY_MORE;
	default: break;
	}
	switch (b->head) {
	case BODY_HEAD_LINE: body_head_begin(b, in->p[0]); break;
	case BODY_HEAD_NAME:
	case BODY_HEAD_GAP: body_head_name(b, in); break;
	case BODY_HEAD_FIELD:
	case BODY_HEAD_ENDING:
	case BODY_HEAD_OVER: return body_run(b, in, out, dots);
	}
	return BODY_MORE;
}

static enum body_result body_octet(struct body *b, struct span *in,
				   struct buf *out, struct dots *dots)
{
	uint8_t c = in->p[0];

	switch (b->at) {
	case BODY_AT_LINE:
		b->at = BODY_AT_TEXT;
		if (!b->stuffed || c != '.')
			return BODY_MORE;
		b->at = BODY_AT_DOT;
		break;
	case BODY_AT_DOT:
		b->at = BODY_AT_TEXT;
		if (c != '\r')
			return BODY_MORE;
		b->at = BODY_AT_DOT_CR;
		break;
	case BODY_AT_DOT_CR:
		if (c != '\n') {
			body_fail(b, REPLY_BARE_CR);
			return BODY_MORE;
		}
		b->at = BODY_AT_END; /* I1 */
		break;
	case BODY_AT_CR:
		if (c == '\n')
			return body_line_end(b, in, out);
		body_fail(b, REPLY_BARE_CR);
		return BODY_MORE;
	case BODY_AT_TEXT:
	case BODY_AT_END: return body_text(b, in, out, dots);
	}
	*in = span_tail(*in, 1);
	return BODY_MORE;
}

/* Whole lines behind the header section, as many as can be at once (I4). */
static bool body_stretch(struct body *b, struct span *in, struct buf *out)
{
	uint64_t left = b->limits.message_max - b->size;
	size_t n = in->len < buf_room(out) ? in->len : buf_room(out);

	n = n < left ? n : (size_t)left;
	if (b->head != BODY_HEAD_OVER || n < STRETCH_BLOCK ||
	    (b->at != BODY_AT_LINE && b->at != BODY_AT_TEXT) ||
	    b->limits.text_line_max < STRETCH_BLOCK)
		return false;
	n = stretch_of(span_head(*in, n), b->limits.text_line_max,
		       &b->line_len);
	if (!n)
		return false;
	buf_put(out, span_head(*in, n));
	body_count(b, n);
	b->at = b->line_len ? BODY_AT_TEXT : BODY_AT_LINE;
	*in = span_tail(*in, n);
	return true;
}

/* The framing alone, behind a finding (I3). */
static void body_swallow(struct body *b, struct span *in)
{
	while (in->len && b->at != BODY_AT_END) {
		size_t skip = b->at == BODY_AT_TEXT ? span_find(*in, '\r') : 0;
		uint8_t c;

		*in = span_tail(*in, skip);
		if (!in->len)
			return;
		c = in->p[0];
		*in = span_tail(*in, 1);
		if (b->at == BODY_AT_CR && c == '\n')
			b->at = BODY_AT_LINE;
		else if (b->at == BODY_AT_LINE && c == '.')
			b->at = BODY_AT_DOT;
		else if (b->at == BODY_AT_DOT && c == '\r')
			b->at = BODY_AT_DOT_CR;
		else if (b->at == BODY_AT_DOT_CR && c == '\n')
			b->at = BODY_AT_END; /* I1 */
		else
			b->at = c == '\r' ? BODY_AT_CR : BODY_AT_TEXT;
	}
}

enum body_result body_scan(struct body *b, struct span *in, struct buf *out,
			   struct dots *dots)
{
	enum body_result r = BODY_MORE;

	while (r == BODY_MORE && b->at != BODY_AT_END) {
		if (b->finding == REPLY_OK)
			r = body_settle(b, out, dots);
		if (r != BODY_MORE || !in->len)
			return r;
		if (b->finding == REPLY_OK && body_stretch(b, in, out))
			continue;
		if (b->finding == REPLY_OK)
			r = body_octet(b, in, out, dots);
		else if (b->stuffed)
			body_swallow(b, in);
		else
			*in = span_tail(*in, in->len);
	}
	return r == BODY_MORE ? body_finish(b, out, dots) : r;
}

enum body_result body_finish(struct body *b, struct buf *out, struct dots *dots)
{
	enum body_result r;

	if (b->at == BODY_AT_CR)
		body_fail(b, REPLY_BARE_CR);
	if (b->finding != REPLY_OK)
		return BODY_END;
	if (b->head < BODY_HEAD_ENDING)
		b->head = BODY_HEAD_ENDING;
	r = body_settle(b, out, dots);
	return r == BODY_MORE ? BODY_END : r;
}
