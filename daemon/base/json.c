#include "base/json.h"

/* How many bytes at its start stand for themselves. */
static size_t plain_head(struct span s)
{
	size_t n = 0;

	while (n < s.len && s.p[n] >= ' ' && s.p[n] < 0x7f && s.p[n] != '"' &&
	       s.p[n] != '\\')
		n++;
	return n;
}

void json_quote(struct buf *out, struct span s)
{
	buf_put_byte(out, '"');
	while (s.len) {
		size_t n = plain_head(s);

		buf_put(out, span_head(s, n));
		s = span_tail(s, n);
		if (!s.len)
			break;
		if (s.p[0] == '"' || s.p[0] == '\\')
			buf_printf(out, "\\%c", s.p[0]);
		else
			buf_printf(out, "\\u%04x", s.p[0]);
		s = span_tail(s, 1);
	}
	buf_put_byte(out, '"');
}

static void begin(struct json *j, const char *key)
{
	if (j->comma)
		buf_put_byte(j->out, ',');
	if (key) {
		json_quote(j->out, span_str(key));
		buf_put_byte(j->out, ':');
	}
	j->comma = true;
}

void json_open(struct json *j, const char *key, char bracket)
{
	begin(j, key);
	buf_put_byte(j->out, (uint8_t)bracket);
	j->comma = false;
}

void json_close(struct json *j, char bracket)
{
	buf_put_byte(j->out, (uint8_t)bracket);
	j->comma = true;
}

void json_string(struct json *j, const char *key, const char *value)
{
	begin(j, key);
	json_quote(j->out, span_str(value));
}

void json_number(struct json *j, const char *key, uint64_t value)
{
	begin(j, key);
	buf_put_u64(j->out, value);
}

void json_decimal(struct json *j, const char *key, double value, int decimals)
{
	begin(j, key);
	buf_printf(j->out, "%.*f", decimals, value);
}
