#include "config/value.h"

struct unit {
	uint8_t letter;
	uint64_t factor;
};

static const struct unit size_units[] = { { 'G', 1 << 30 },
					  { 'M', 1 << 20 },
					  { 'K', 1 << 10 } };
static const struct unit duration_units[] = { { 'd', 24 * 3600 },
					      { 'h', 3600 },
					      { 'm', 60 },
					      { 's', 1 } };

#define N_OF(array) (sizeof(array) / sizeof(*(array)))

static bool with_unit(const char *text, const struct unit *units, size_t n,
		      uint64_t *ret)
{
	struct span digits = span_str(text);
	uint64_t factor = 1;
	uint64_t value;

	for (size_t i = 0; i < n && digits.len; i++) {
		if (digits.p[digits.len - 1] == units[i].letter) {
			factor = units[i].factor;
			digits.len--;
			break;
		}
	}
	return span_to_u64(digits, &value) &&
	       !__builtin_mul_overflow(value, factor, ret);
}

bool value_size(const char *text, uint64_t *ret)
{
	return with_unit(text, size_units, N_OF(size_units), ret);
}

bool value_duration(const char *text, uint64_t *ret)
{
	return with_unit(text, duration_units, N_OF(duration_units), ret);
}

static void put_with_unit(struct buf *out, const struct unit *units, size_t n,
			  uint64_t value)
{
	size_t i = 0;

	while (i < n && (!value || value % units[i].factor))
		i++;
	buf_put_u64(out, i < n ? value / units[i].factor : value);
	if (i < n)
		buf_put_byte(out, units[i].letter);
}

void value_put_size(struct buf *out, uint64_t n)
{
	put_with_unit(out, size_units, N_OF(size_units), n);
}

void value_put_duration(struct buf *out, uint64_t seconds)
{
	put_with_unit(out, duration_units, N_OF(duration_units), seconds);
}

bool value_word(const char *text, const char *const *words, uint32_t *ret)
{
	for (uint32_t i = 0; words[i]; i++) {
		if (!strcmp(text, words[i])) {
			*ret = i;
			return true;
		}
	}
	return false;
}

bool value_boolean(const char *text, bool *ret)
{
	static const char *const words[] = { "false", "true", "no", "yes",
					     "off",   "on",   NULL };
	uint32_t i;

	if (!value_word(text, words, &i))
		return false;
	*ret = i & 1;
	return true;
}

static bool label(struct span s)
{
	if (!s.len || s.len > 63 || s.p[0] == '-' || s.p[s.len - 1] == '-')
		return false;
	for (size_t i = 0; i < s.len; i++) {
		uint8_t c = ascii_lower(s.p[i]);

		if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') &&
		    c != '-')
			return false;
	}
	return true;
}

bool value_domain(struct span text)
{
	struct span rest = text;
	size_t dot = span_find(rest, '.');

	while (dot < rest.len) {
		if (!label(span_head(rest, dot)))
			return false;
		rest = span_tail(rest, dot + 1);
		dot = span_find(rest, '.');
	}
	return text.len <= 253 && label(rest);
}

static bool port_of(struct span digits, uint16_t *ret)
{
	uint64_t n;

	if (!span_to_u64(digits, &n) || !n || n > UINT16_MAX)
		return false;
	*ret = (uint16_t)n;
	return true;
}

/* "HOST:PORT" or "[HOST]:PORT"; *ret_bracketed tells which. */
static bool host_port(struct span s, struct span *ret_host, uint16_t *ret_port,
		      bool *ret_bracketed)
{
	bool bracketed = s.len && s.p[0] == '[';
	size_t end;

	if (bracketed) {
		s = span_tail(s, 1);
		end = span_find(s, ']');
	} else {
		end = span_find(s, ':');
	}
	*ret_host = span_head(s, end);
	*ret_bracketed = bracketed;
	end += bracketed;
	return end < s.len && s.p[end] == ':' &&
	       port_of(span_tail(s, end + 1), ret_port);
}

static bool has_slash(struct span host)
{
	return span_find(host, '/') < host.len;
}

/* An address without a slash, of that family. */
static bool one_address(struct span host, bool six, struct prefix *ret)
{
	return !has_slash(host) && prefix_parse(host, ret) &&
	       six == (ret->family == PREFIX_V6);
}

/* A mapped IPv4 address would be the same as that address written plainly. */
static bool is_mapped(const struct prefix *p)
{
	static const uint8_t head[] = {
		0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff
	};

	return p->family == PREFIX_V6 &&
	       !memcmp(p->address, head, sizeof(head));
}

/* All addresses are written 0.0.0.0 or [::]; a range of one is that one. */
static bool range(struct span host, bool six, struct prefix *ret)
{
	return has_slash(host) && prefix_parse(host, ret) &&
	       six == (ret->family == PREFIX_V6) && ret->bits &&
	       !is_mapped(ret);
}

static void set_address(struct config_address *ret, const struct prefix *p,
			uint16_t port)
{
	if (p->family == PREFIX_V6) {
		ret->in6 = (struct sockaddr_in6){ .sin6_family = AF_INET6,
						  .sin6_port = htons(port) };
		memcpy(&ret->in6.sin6_addr, p->address, 16);
		ret->len = sizeof(ret->in6);
	} else {
		ret->in = (struct sockaddr_in){ .sin_family = AF_INET,
						.sin_port = htons(port) };
		memcpy(&ret->in.sin_addr, p->address, 4);
		ret->len = sizeof(ret->in);
	}
	ret->range_bits =
		p->bits < (p->family == PREFIX_V6 ? 128 : 32) ? p->bits : 0;
}

bool value_address(const char *text, struct config_address *ret)
{
	struct span host;
	struct prefix p;
	uint16_t port;
	bool six;

	if (strlen(text) >= CONFIG_ADDRESS_TEXT_MAX ||
	    !host_port(span_str(text), &host, &port, &six) ||
	    !(one_address(host, six, &p) || range(host, six, &p)))
		return false;
	set_address(ret, &p, port);
	return true;
}

/* Right but for bits that are set beyond its length. */
static bool has_host_bits(struct span host, bool six)
{
	size_t slash = span_find(host, '/');
	struct prefix p;
	uint64_t bits;

	return slash < host.len && !prefix_parse(host, &p) &&
	       one_address(span_head(host, slash), six, &p) &&
	       span_to_u64(span_tail(host, slash + 1), &bits) && bits &&
	       bits <= p.bits;
}

const char *value_address_wanted(const char *text)
{
	const char *colon = strrchr(text, ':');
	struct span host;
	struct prefix p;
	uint16_t port;
	bool six;
	bool with_port = host_port(span_str(text), &host, &port, &six);

	if (with_port && prefix_parse(host, &p) && !p.bits)
		return "a range: all addresses are written 0.0.0.0 or [::]";
	if (with_port && has_host_bits(host, six))
		return "a range: its address has bits beyond its length";
	if (!with_port && colon && strchr(colon, '-'))
		return "an address with one port: there are no ranges of ports";
	return "an address like \"192.0.2.1:465\" or \"[2001:db8::1]:465\", or "
	       "a range like \"192.0.2.0/24:465\" or \"[2001:db8::/64]:465\"";
}

bool value_hop(const char *text, struct value_hop *ret)
{
	static const struct span maildir = SPAN("maildir:");
	static const struct span smtp = SPAN("smtp://");
	static const struct span smtps = SPAN("smtps://");
	struct span s = span_str(text);
	struct value_hop hop = { .kind = CONFIG_HOP_DISCARD };
	struct prefix p;
	bool six;

	if (span_equal(s, SPAN("discard"))) {
		*ret = hop;
		return true;
	}
	if (span_starts_nocase(s, maildir)) {
		hop.kind = CONFIG_HOP_MAILDIR;
		hop.path = span_tail(s, maildir.len);
		*ret = hop;
		return hop.path.len > 0;
	}
	if (span_starts_nocase(s, smtp)) {
		hop.kind = CONFIG_HOP_SMTP;
		s = span_tail(s, smtp.len);
	} else if (span_starts_nocase(s, smtps)) {
		hop.kind = CONFIG_HOP_SMTPS;
		s = span_tail(s, smtps.len);
	} else {
		return false;
	}
	if (!host_port(s, &hop.host, &hop.port, &six) ||
	    !(six ? one_address(hop.host, true, &p) : value_domain(hop.host)))
		return false;
	*ret = hop;
	return true;
}
