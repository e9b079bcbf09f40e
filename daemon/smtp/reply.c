#include "smtp/reply.h"

#include "base/must.h"

struct reply_row {
	int code;
	const char *name;
	const char *enhanced;
	const char *text;
};

static const struct reply_row reply_rows[REPLY_N] = {
#define REPLY_ROW(name, code, enhanced, text) \
	[REPLY_##name] = { code, #name, enhanced, text },
	REPLY_TABLE(REPLY_ROW)
#undef REPLY_ROW
};

/*
 * Printable ASCII as it is; what may be UTF-8 too (RFC 6531 3.7.4.2 allows it
 * in the text of a reply); everything else could end or disguise the line.
 */
static uint8_t reply_clean(uint8_t c)
{
	return (c >= ' ' && c <= '~') || c >= 0x80 ? c : '?';
}

static void reply_put_argument(struct buf *line, struct span argument,
			       size_t max)
{
	if (argument.len > max) {
		argument.len = max;
		/* Never half a UTF-8 character. */
		while (argument.len &&
		       (argument.p[argument.len] & 0xc0) == 0x80)
			argument.len--;
	}
	for (size_t i = 0; i < argument.len; i++)
		buf_put_byte(line, reply_clean(argument.p[i]));
}

void reply_put(struct buf *out, enum reply reply, struct span argument)
{
	const struct reply_row *row = &reply_rows[reply];
	uint8_t storage[REPLY_LINE_MAX];
	struct span text = span_str(row->text);
	size_t hole = span_find(text, '%');
	struct span behind = { 0 };
	struct buf line;

	if (hole < text.len)
		behind = span_tail(text, hole + 2);
	buf_init(&line, storage, sizeof(storage));
	buf_put_u64(&line, (uint64_t)row->code);
	buf_put_byte(&line, ' ');
	if (row->enhanced[0]) {
		buf_put_str(&line, row->enhanced);
		buf_put_byte(&line, ' ');
	}
	buf_put(&line, span_head(text, hole));
	if (hole < text.len)
		reply_put_argument(&line, argument,
				   buf_room(&line) - behind.len - 2);
	buf_put(&line, behind);
	buf_put_str(&line, "\r\n");
	MUST(!line.overflowed);
	buf_put(out, buf_span(&line));
}

int reply_code(enum reply reply)
{
	return reply_rows[reply].code;
}

const char *reply_name(enum reply reply)
{
	return reply_rows[reply].name;
}
