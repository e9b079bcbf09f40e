#include "sink/intake.h"

#include "base/must.h"

void intake_begin(struct intake *i, bool hashes)
{
	i->at = INTAKE_AT_LINE;
	i->hashes = i->in_header = hashes;
	i->known = false;
	i->line_n = 0;
	i->bytes = i->hashed = 0;
	if (hashes)
		hash_init(&i->hash, 0);
}

/* -- what is hashed ------------------------------------------------------------- */

static bool read_field(struct intake *i)
{
	struct span line = span_of(i->line, i->line_n);
	const size_t name_len = sizeof(ACCOUNT_FIELD) - 1;

	return span_starts_nocase(line, SPAN(ACCOUNT_FIELD)) &&
	       line.len == name_len + ACCOUNT_ID_LEN + 2 &&
	       account_read_id(span_of(line.p + name_len, ACCOUNT_ID_LEN),
			       &i->id);
}

/*
 * One byte of the header section. True: with it ends our field, and what is
 * hashed begins anew, with that field.
 */
static bool read_header(struct intake *i, uint8_t c)
{
	if (i->line_n < INTAKE_LINE_MAX)
		i->line[i->line_n++] = c;
	if (c != '\n')
		return false;
	i->in_header = i->line_n != 2 || i->line[0] != '\r';
	i->known = i->in_header && i->line_n < INTAKE_LINE_MAX && read_field(i);
	if (i->known) {
		i->in_header = false;
		hash_init(&i->hash, 0);
		hash_add(&i->hash, span_of(i->line, i->line_n));
		i->hashed = i->line_n;
	}
	i->line_n = 0;
	return i->known;
}

static void add(struct intake *i, struct span s)
{
	size_t looked = 0;
	bool found = false;

	i->bytes += s.len;
	if (!i->hashes)
		return;
	while (i->in_header && looked < s.len)
		found = read_header(i, s.p[looked++]);
	if (found)
		s = span_tail(s, looked);
	hash_add(&i->hash, s);
	i->hashed += s.len;
}

void intake_counted(struct intake *i, struct span s)
{
	add(i, s);
}

/* -- the end of DATA ------------------------------------------------------------ */

/*
 * CRLF in front of a dot, or NULL. Dots are rare in mail, lines are not: looking
 * for the dot first is several times as fast as memmem.
 */
static const uint8_t *find_dot_line(struct span s)
{
	size_t from = 0;

	while (from < s.len) {
		size_t at = from + span_find(span_tail(s, from), '.');

		if (at == s.len)
			break;
		if (at > 1 && s.p[at - 1] == '\n' && s.p[at - 2] == '\r')
			return s.p + at - 2;
		from = at + 1;
	}
	return NULL;
}

/* Text up to the next line that begins with a dot, or all there is. */
static void take_text(struct intake *i, struct span *in)
{
	const uint8_t *hit = find_dot_line(*in);
	size_t n = hit ? (size_t)(hit - in->p) + 2 : in->len;

	add(i, span_head(*in, n));
	if (hit || (n > 1 && in->p[n - 1] == '\n' && in->p[n - 2] == '\r'))
		i->at = INTAKE_AT_LINE;
	else
		i->at = in->p[n - 1] == '\r' ? INTAKE_AT_CR : INTAKE_AT_TEXT;
	*in = span_tail(*in, n);
}

/* A byte where a line begins or may; true: it was the message's last. */
static bool take_byte(struct intake *i, struct span *in)
{
	uint8_t c = in->p[0];

	switch (i->at) {
	case INTAKE_AT_LINE:
		if (c != '.')
			break;
		i->at = INTAKE_AT_DOT; /* the dot is not the message's */
		*in = span_tail(*in, 1);
		return false;
	case INTAKE_AT_CR:
		if (c != '\n')
			break;
		add(i, span_head(*in, 1));
		*in = span_tail(*in, 1);
		i->at = INTAKE_AT_LINE;
		return false;
	case INTAKE_AT_DOT:
		if (c != '\r')
			break;
		i->at = INTAKE_AT_DOT_CR;
		*in = span_tail(*in, 1);
		return false;
	case INTAKE_AT_DOT_CR:
		if (c == '\n') {
			*in = span_tail(*in, 1);
			return true;
		}
		add(i, SPAN("\r"));
		break;
	case INTAKE_AT_TEXT: MUST_NOT_REACH("text is taken in runs");
	}
	i->at = INTAKE_AT_TEXT;
	return false;
}

bool intake_stuffed(struct intake *i, struct span *in)
{
	while (in->len) {
		if (i->at == INTAKE_AT_TEXT)
			take_text(i, in);
		else if (take_byte(i, in))
			return true;
	}
	return false;
}
