#include "smtp/line.h"

/* What an unfinished over-long line holds so far is of no interest. */
static enum line_result line_skip(struct line *l, struct span *in)
{
	while (in->len) {
		size_t at = span_find(*in, '\r');

		if (at + 1 >= in->len) {
			/* A last CR stays: its LF may come next. */
			*in = span_tail(*in, at);
			break;
		}
		*in = span_tail(*in, at + 1);
		if (in->p[0] == '\n') {
			*in = span_tail(*in, 1);
			l->skipping = false;
			return LINE_TOO_LONG;
		}
	}
	return LINE_NONE;
}

static bool line_has_control(struct span text)
{
	for (size_t i = 0; i < text.len; i++)
		if ((text.p[i] < ' ' && text.p[i] != '\t') || text.p[i] == 0x7f)
			return true;
	return false;
}

enum line_result line_take(struct line *l, struct span *in, size_t max,
			   struct span *ret_text)
{
	struct span window = in->len > max ? span_head(*in, max) : *in;
	size_t end = span_find(window, '\n');
	struct span text;

	if (!l->skipping && end == window.len) {
		if (window.len < max)
			return LINE_NONE;
		l->skipping = true;
	}
	if (l->skipping) {
		*ret_text = span_head(*in, 0);
		return line_skip(l, in);
	}
	text = span_head(*in, end);
	*in = span_tail(*in, end + 1);
	if (!text.len || text.p[text.len - 1] != '\r') {
		*ret_text = text;
		return LINE_BARE_LF;
	}
	*ret_text = span_head(text, text.len - 1);
	return line_has_control(*ret_text) ? LINE_CONTROL : LINE_OK;
}
