#include "base/buf.h"

#include "base/must.h"

#include <stdarg.h>
#include <stdio.h>

void buf_consume(struct buf *b, size_t n)
{
	MUST(n <= buf_len(b));
	b->start += (uint32_t)n;
	if (b->start == b->end)
		b->start = b->end = 0;
}

void buf_compact(struct buf *b)
{
	size_t len = buf_len(b);

	if (!b->start)
		return;
	memmove(b->p, b->p + b->start, len);
	b->start = 0;
	b->end = (uint32_t)len;
}

uint8_t *buf_reserve(struct buf *b, size_t *ret_room)
{
	buf_compact(b);
	*ret_room = b->cap - b->end;
	return b->end ? b->p + b->end : b->p;
}

void buf_produced(struct buf *b, size_t n)
{
	MUST(n <= b->cap - b->end);
	b->end += (uint32_t)n;
}

void buf_put(struct buf *b, struct span s)
{
	if (b->overflowed || s.len > buf_room(b)) {
		b->overflowed = true;
		return;
	}
	if (s.len > b->cap - b->end)
		buf_compact(b);
	if (s.len)
		memcpy(b->p + b->end, s.p, s.len);
	b->end += (uint32_t)s.len;
}

void buf_put_byte(struct buf *b, uint8_t c)
{
	buf_put(b, span_of(&c, 1));
}

void buf_put_str(struct buf *b, const char *s)
{
	buf_put(b, span_str(s));
}

void buf_put_u64(struct buf *b, uint64_t value)
{
	char digits[20];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + value % 10);
		value /= 10;
	} while (value);
	buf_put(b, span_of((const uint8_t *)digits + at, sizeof(digits) - at));
}

void buf_put_decimal(struct buf *b, uint64_t value, unsigned int digits)
{
	uint8_t text[20];

	MUST(digits <= sizeof(text));
	for (unsigned int at = digits; at; value /= 10)
		text[--at] = (uint8_t)('0' + value % 10);
	buf_put(b, span_of(text, digits));
}

void buf_put_hex(struct buf *b, uint64_t value)
{
	uint8_t text[16];

	for (size_t at = sizeof(text); at; value >>= 4)
		text[--at] = (uint8_t) "0123456789abcdef"[value & 15];
	buf_put(b, span_of(text, sizeof(text)));
}

void buf_printf(struct buf *b, const char *format, ...)
{
	char text[1024];
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (n < 0 || (size_t)n >= sizeof(text)) {
		b->overflowed = true;
		return;
	}
	buf_put(b, span_of((const uint8_t *)text, (size_t)n));
}
