#include "control/json.h"

/* What is not ASCII is shown byte by byte: the document is valid anyway. */
static void put_quoted(struct buf *out, const char *s)
{
	buf_put_byte(out, '"');
	for (; *s; s++) {
		uint8_t c = (uint8_t)*s;

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
		put_quoted(j->out, key);
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
	put_quoted(j->out, value);
}

void json_number(struct json *j, const char *key, uint64_t value)
{
	begin(j, key);
	buf_put_u64(j->out, value);
}
