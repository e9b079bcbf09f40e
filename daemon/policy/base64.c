#include "policy/base64.h"

/* Value of a digit, or -1. */
static int base64_digit(uint8_t c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+' || c == '/')
		return c == '+' ? 62 : 63;
	return -1;
}

/* Four digits, of which the last `padding` are `=`, make 3 - padding octets. */
static bool base64_decode_four(const uint8_t *text, size_t padding,
			       struct buf *out)
{
	uint32_t bits = 0;

	for (size_t i = 0; i < 4; i++) {
		int digit = i < 4 - padding ? base64_digit(text[i]) : 0;

		if (digit < 0)
			return false;
		bits = bits << 6 | (uint32_t)digit;
	}
	for (size_t i = 0; i < 3; i++) {
		uint8_t octet = (uint8_t)(bits >> (16 - 8 * i));

		if (i < 3 - padding)
			buf_put_byte(out, octet);
		else if (octet)
			return false; /* unused bits */
	}
	return true;
}

bool base64_decode(struct span text, struct buf *out)
{
	if (text.len % 4)
		return false;
	while (text.len) {
		size_t padding = 0;

		if (text.len == 4 && text.p[3] == '=')
			padding = text.p[2] == '=' ? 2 : 1;
		if (!base64_decode_four(text.p, padding, out))
			return false;
		text = span_tail(text, 4);
	}
	return true;
}
