#include "base/json.h"

void json_quote(struct buf *out, struct span s)
{
	buf_put_byte(out, '"');
	for (size_t i = 0; i < s.len; i++) {
		uint8_t c = s.p[i];

		if (c == '"' || c == '\\')
			buf_put_byte(out, '\\');
		if (c < ' ' || c >= 0x7f)
			buf_printf(out, "\\u%04x", c);
		else
			buf_put_byte(out, c);
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
