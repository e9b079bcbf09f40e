#include "fuzz/reference.h"

struct decoding {
	const struct body_limits *limits;
	struct buf *out;
	reference_set broken;
	uint64_t header;
	uint32_t hops;
	bool in_header;
	bool has_date;
	bool has_id;
};

static bool reference_is_white(uint8_t c)
{
	return c == ' ' || c == '\t';
}

/* CRLF.CRLF, or .CRLF at the very start. */
size_t reference_end(struct span in)
{
	if (in.len >= 3 && !memcmp(in.p, ".\r\n", 3))
		return 3;
	for (size_t i = 0; i + 5 <= in.len; i++)
		if (!memcmp(in.p + i, "\r\n.\r\n", 5))
			return i + 5;
	return 0;
}

/* Line ends and NULs are judged and stuffed dots taken away, nothing else. */
static reference_set reference_unstuff(struct span in, bool stuffed,
				       bool normalise, struct buf *out)
{
	reference_set broken = 0;

	for (size_t i = 0; i < in.len; i++) {
		uint8_t before = i ? in.p[i - 1] : 0;
		uint8_t behind = i + 1 < in.len ? in.p[i + 1] : 0;
		bool starts = !i ||
			      (i >= 2 && before == '\n' && in.p[i - 2] == '\r');

		if (stuffed && starts && in.p[i] == '.')
			continue;
		if (!in.p[i])
			broken |= reference_bit(REPLY_NUL_BYTE);
		if (in.p[i] == '\r' && behind != '\n')
			broken |= reference_bit(REPLY_BARE_CR);
		if (in.p[i] == '\n' && (!i || before != '\r')) {
			if (!normalise)
				broken |= reference_bit(REPLY_BARE_LF);
			buf_put_byte(out, '\r');
		}
		buf_put_byte(out, in.p[i]);
	}
	return broken;
}

/* Length of the name in front of a colon; 0: the line is no field. */
static size_t reference_name(struct span line)
{
	size_t n = 0, gap;

	while (n < line.len && line.p[n] > ' ' && line.p[n] < 0x7f &&
	       line.p[n] != ':')
		n++;
	gap = n;
	while (gap < line.len && reference_is_white(line.p[gap]))
		gap++;
	/* What is held back is bounded: a longer name passes for a field's. */
	if (gap > BODY_HOLD_MAX ||
	    (gap == BODY_HOLD_MAX && gap < line.len && line.p[gap] != ':'))
		return n ? BODY_HOLD_MAX : 0;
	return gap < line.len && line.p[gap] == ':' ? n : 0;
}

/* Is the line part of the header section? Notes which field it is. */
static bool reference_is_header(struct decoding *d, struct span line)
{
	bool first = !d->header;
	struct span name;

	if (!line.len)
		return false;
	if (reference_is_white(line.p[0]))
		return !first;
	if (first && line.len >= 5 && !memcmp(line.p, "From ", 5))
		return true;
	name = span_head(line, reference_name(line));
	d->has_date |= span_equal_nocase(name, SPAN("date"));
	d->has_id |= span_equal_nocase(name, SPAN("message-id"));
	if (span_equal_nocase(name, SPAN("received")) &&
	    ++d->hops > d->limits->hops_max)
		d->broken |= reference_bit(REPLY_LOOP);
	return name.len;
}

static void reference_add_missing(struct decoding *d)
{
	if (!d->has_date)
		buf_put_str(d->out, REFERENCE_DATE);
	if (!d->has_id)
		buf_put_str(d->out, REFERENCE_ID);
	d->in_header = false;
}

/* A line and its end, or what is left without one. */
static void reference_line(struct decoding *d, struct span line, size_t len)
{
	struct span text = span_head(line, len);

	if (text.len > d->limits->text_line_max)
		d->broken |= reference_bit(REPLY_TEXT_LINE_TOO_LONG);
	if (d->in_header && !reference_is_header(d, text))
		reference_add_missing(d);
	if (d->in_header) {
		d->header += line.len;
		if (d->header > d->limits->header_max)
			d->broken |= reference_bit(REPLY_HEADER_TOO_BIG);
	}
	buf_put(d->out, line);
}

reference_set reference_decode(struct span message, enum body_framing framing,
			       const struct body_limits *limits,
			       struct buf *work, struct buf *out)
{
	struct decoding d = { .limits = limits, .out = out, .in_header = true };
	bool whole_line = true;
	struct span rest;

	d.broken = reference_unstuff(message, framing == BODY_STUFFED,
				     limits->normalise_bare_lf, work);
	rest = buf_span(work);
	if (rest.len > limits->message_max)
		d.broken |= reference_bit(REPLY_TOO_BIG);
	while (rest.len) {
		size_t at = span_find(rest, '\n');
		size_t end = at + (at < rest.len);
		bool crlf = at < rest.len && at && rest.p[at - 1] == '\r';

		whole_line = at < rest.len;
		reference_line(&d, span_head(rest, end), crlf ? at - 1 : at);
		rest = span_tail(rest, end);
	}
	if (d.in_header) {
		if (!whole_line && !(d.has_date && d.has_id))
			buf_put_str(out, "\r\n");
		reference_add_missing(&d);
	}
	return d.broken;
}
