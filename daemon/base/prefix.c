#include "base/prefix.h"

#include <arpa/inet.h>

static uint8_t most_bits(uint8_t family)
{
	return family == PREFIX_V4 ? 32 : 128;
}

static bool bit(const uint8_t *bytes, uint32_t n)
{
	return bytes[n / 8] >> (7 - n % 8) & 1;
}

/* inet_pton wants a string. */
static bool parse_address(struct span text, struct prefix *p)
{
	char string[INET6_ADDRSTRLEN];
	bool six = span_find(text, ':') < text.len;

	if (!text.len || text.len >= sizeof(string) ||
	    span_find(text, '\0') < text.len)
		return false;
	memcpy(string, text.p, text.len);
	string[text.len] = '\0';
	p->family = six ? PREFIX_V6 : PREFIX_V4;
	p->bits = most_bits(p->family);
	return inet_pton(six ? AF_INET6 : AF_INET, string, p->address) == 1;
}

bool prefix_parse(struct span text, struct prefix *ret)
{
	size_t slash = span_find(text, '/');
	struct prefix p = { 0 };
	uint64_t bits;

	if (!parse_address(span_head(text, slash), &p))
		return false;
	if (slash < text.len) {
		if (!span_to_u64(span_tail(text, slash + 1), &bits) ||
		    bits > p.bits)
			return false;
		for (uint32_t i = (uint32_t)bits; i < p.bits; i++)
			if (bit(p.address, i))
				return false;
		p.bits = (uint8_t)bits;
	}
	*ret = p;
	return true;
}

void prefix_put(struct buf *out, const struct prefix *p)
{
	char text[INET6_ADDRSTRLEN];

	(void)inet_ntop(p->family == PREFIX_V4 ? AF_INET : AF_INET6, p->address,
			text, sizeof(text));
	buf_put_str(out, text);
	if (p->bits == most_bits(p->family))
		return;
	buf_put_byte(out, '/');
	buf_put_u64(out, p->bits);
}

void prefix_cut(struct prefix *p, uint32_t bits)
{
	if (bits >= p->bits)
		return;
	for (uint32_t i = bits; i < p->bits; i++)
		p->address[i / 8] &= (uint8_t) ~(0x80 >> i % 8);
	p->bits = (uint8_t)bits;
}

bool prefix_contains(const struct prefix *outer, const struct prefix *inner)
{
	if (outer->family != inner->family || outer->bits > inner->bits)
		return false;
	for (uint32_t i = 0; i < outer->bits; i++)
		if (bit(outer->address, i) != bit(inner->address, i))
			return false;
	return true;
}

bool prefix_of_address(const struct sockaddr *address, struct prefix *ret)
{
	struct sockaddr_in four;
	struct sockaddr_in6 six;
	struct prefix p = { .family = PREFIX_V4, .bits = 32 };

	if (address->sa_family == AF_INET) {
		memcpy(&four, address, sizeof(four));
		memcpy(p.address, &four.sin_addr, 4);
	} else if (address->sa_family == AF_INET6) {
		memcpy(&six, address, sizeof(six));
		if (IN6_IS_ADDR_V4MAPPED(&six.sin6_addr)) {
			memcpy(p.address, six.sin6_addr.s6_addr + 12, 4);
		} else {
			p = (struct prefix){ .family = PREFIX_V6, .bits = 128 };
			memcpy(p.address, &six.sin6_addr, 16);
		}
	} else {
		return false;
	}
	*ret = p;
	return true;
}
