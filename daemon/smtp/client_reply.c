/*
 * A next hop's replies decide whether mail is kept or dropped, and the peer may
 * lie, babble or be somebody else. So the reader is strict where a lax one
 * could be led to take bytes for a reply that are none.
 *
 * I1  A line ends with CRLF within CLIENT_REPLY_LINE_MAX bytes or is a finding;
 *     both are decided by the bytes alone, never by how they arrived.
 * I2  Every line of a reply has the code of the first.
 * I3  text holds printable ASCII, so it may go into logs and reports as is.
 */
#include "smtp/client_reply.h"

void client_reply_clear(struct client_reply *r)
{
	*r = (struct client_reply){ 0 };
}

static bool is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

/* Code of a line, or 0 when it does not begin like a reply. */
static uint16_t line_code(struct span line)
{
	if (line.len < 3 || line.p[0] < '2' || line.p[0] > '5')
		return 0;
	if (!is_digit(line.p[1]) || !is_digit(line.p[2]))
		return 0;
	if (line.len > 3 && line.p[3] != ' ' && line.p[3] != '-')
		return 0;
	return (uint16_t)((line.p[0] - '0') * 100 + (line.p[1] - '0') * 10 +
			  (line.p[2] - '0'));
}

/* Takes a number of one to three digits off s. */
static bool take_number(struct span *s, uint16_t *ret_number)
{
	uint16_t number = 0;
	size_t n = 0;

	while (n < s->len && n < 3 && is_digit(s->p[n]))
		number = (uint16_t)(number * 10 + (s->p[n++] - '0'));
	if (!n)
		return false;
	*s = span_tail(*s, n);
	*ret_number = number;
	return true;
}

static bool take_byte(struct span *s, uint8_t c)
{
	if (!s->len || s->p[0] != c)
		return false;
	*s = span_tail(*s, 1);
	return true;
}

/*
 * Takes "5.1.1 " off the text; its class must be that of the code (RFC 2034 4).
 * Text that only looks like one stays text.
 */
static void take_enhanced(struct client_reply *r, struct span *text)
{
	struct span s = *text;
	uint16_t class, subject, detail;

	if (!take_number(&s, &class) || class != r->code / 100 ||
	    !take_byte(&s, '.') || !take_number(&s, &subject) ||
	    !take_byte(&s, '.') || !take_number(&s, &detail))
		return;
	if (s.len && !take_byte(&s, ' '))
		return;
	r->class = (uint8_t) class;
	r->subject = subject;
	r->detail = detail;
	*text = s;
}

static void keep_text(struct client_reply *r, struct span text)
{
	if (r->text_len && text.len && r->text_len < sizeof(r->text))
		r->text[r->text_len++] = ' ';
	for (size_t i = 0; i < text.len && r->text_len < sizeof(r->text); i++) {
		uint8_t c = text.p[i];

		r->text[r->text_len++] = c >= ' ' && c < 0x7f ? (char)c :
								'?'; /* I3 */
	}
}

static enum client_reply_result
add_line(struct client_reply *r, struct span line, struct span *ret_line)
{
	uint16_t code = line_code(line);
	bool last = line.len < 4 || line.p[3] == ' ';
	struct span text;

	if (!code || (r->code && r->code != code)) /* I2 */
		return CLIENT_REPLY_BAD;
	r->code = code;
	r->lines_n++;
	*ret_line = text = span_tail(line, line.len < 4 ? line.len : 4);
	take_enhanced(r, &text);
	keep_text(r, text);
	if (last)
		return CLIENT_REPLY_END;
	if (r->lines_n == CLIENT_REPLY_LINES_MAX)
		return CLIENT_REPLY_ENDLESS;
	return CLIENT_REPLY_LINE;
}

enum client_reply_result client_reply_consume(struct client_reply *r,
					      struct span *in,
					      struct span *ret_line)
{
	size_t looked = in->len < CLIENT_REPLY_LINE_MAX ? in->len :
							  CLIENT_REPLY_LINE_MAX;
	size_t lf = span_find(span_head(*in, looked), '\n');
	struct span line;

	if (lf == CLIENT_REPLY_LINE_MAX) /* I1 */
		return CLIENT_REPLY_LONG;
	if (lf == in->len)
		return CLIENT_REPLY_MORE;
	if (!lf || in->p[lf - 1] != '\r')
		return CLIENT_REPLY_BARE_LF;
	line = span_head(*in, lf - 1);
	*in = span_tail(*in, lf + 1);
	return add_line(r, line, ret_line);
}
