#include "smtp/address.h"

#include <arpa/inet.h>

#define LABEL_MAX 63

static bool address_is_alnum(uint8_t c)
{
	return (c >= '0' && c <= '9') ||
	       (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z');
}

/* atext of RFC 5322 3.2.3. */
static bool address_is_atext(uint8_t c)
{
	struct span specials = SPAN("!#$%&'*+-/=?^_`{|}~");

	return address_is_alnum(c) || span_find(specials, c) < specials.len;
}

/*
 * The table of RFC 3629 4: which second octets may follow a first one, so that
 * overlong forms, surrogates and what lies past U+10FFFF are no characters.
 */
static bool address_utf8_second(uint8_t first, uint8_t second)
{
	switch (first) {
	case 0xe0: return second >= 0xa0 && second <= 0xbf;
	case 0xed: return second >= 0x80 && second <= 0x9f;
	case 0xf0: return second >= 0x90 && second <= 0xbf;
	case 0xf4: return second >= 0x80 && second <= 0x8f;
	default: return second >= 0x80 && second <= 0xbf;
	}
}

size_t address_utf8(struct span s)
{
	uint8_t first = s.len ? s.p[0] : 0;
	size_t len;

	if (first < 0xc2 || first > 0xf4)
		return 0;
	len = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
	if (s.len < len || !address_utf8_second(first, s.p[1]))
		return 0;
	for (size_t i = 2; i < len; i++)
		if ((s.p[i] & 0xc0) != 0x80)
			return 0;
	return len;
}

/* Length of the longest Dot-string at the front of s, 0 when there is none. */
static size_t address_dot_string(struct span s)
{
	size_t at = 0;

	for (;;) {
		size_t atom = at;

		while (at < s.len) {
			size_t utf8 = address_utf8(span_tail(s, at));

			if (!utf8 && !address_is_atext(s.p[at]))
				break;
			at += utf8 ? utf8 : 1;
		}
		if (at == atom)
			return 0;
		if (at == s.len || s.p[at] != '.')
			return at;
		at++;
	}
}

/* Length of the Quoted-string at the front of s, which begins with a quote. */
static size_t address_quoted_string(struct span s)
{
	size_t at = 1;

	while (at < s.len && s.p[at] != '"') {
		size_t utf8 = address_utf8(span_tail(s, at));

		at += s.p[at] == '\\';
		if (at >= s.len)
			return 0;
		/* A quoted pair is ASCII, RFC 6531 3.3 or no. */
		if (utf8)
			at += utf8;
		else if (s.p[at] >= ' ' && s.p[at] <= '~')
			at++;
		else
			return 0;
	}
	return at < s.len ? at + 1 : 0;
}

/* A label: letters, digits, U-label characters, and inner hyphens. */
static size_t address_label(struct span s)
{
	size_t at = 0;

	while (at < s.len) {
		size_t utf8 = address_utf8(span_tail(s, at));

		if (!utf8 && s.p[at] != '-' && !address_is_alnum(s.p[at]))
			break;
		at += utf8 ? utf8 : 1;
	}
	if (!at || at > LABEL_MAX || s.p[0] == '-' || s.p[at - 1] == '-')
		return 0;
	return at;
}

static size_t address_domain(struct span s)
{
	size_t at = 0;

	for (;;) {
		size_t label = address_label(span_tail(s, at));

		if (!label)
			return 0;
		at += label;
		if (at == s.len || s.p[at] != '.')
			return at;
		at++;
	}
}

/* General-address-literal: Standardized-tag ":" 1*dcontent. */
static bool address_is_general_literal(struct span s)
{
	size_t colon = span_find(s, ':');

	if (!colon || colon + 1 >= s.len || s.p[colon - 1] == '-')
		return false;
	for (size_t i = 0; i < colon; i++)
		if (!address_is_alnum(s.p[i]) && s.p[i] != '-')
			return false;
	for (size_t i = colon + 1; i < s.len; i++)
		if (s.p[i] < '!' || s.p[i] > '~' || s.p[i] == '\\' ||
		    s.p[i] == '[' || s.p[i] == ']')
			return false;
	return true;
}

/* inet_pton is strict enough: no leading zeros, no short forms. */
static bool address_is_ip(struct span s, int family)
{
	char text[INET6_ADDRSTRLEN];
	struct in6_addr ip;

	if (s.len >= sizeof(text) || memchr(s.p, 0, s.len))
		return false;
	memcpy(text, s.p, s.len);
	text[s.len] = 0;
	return inet_pton(family, text, &ip) == 1;
}

/* Length of the address literal at the front of s, which begins with `[`. */
static size_t address_literal(struct span s)
{
	struct span tag = SPAN("IPv6:");
	struct span inside;
	size_t end = span_find(s, ']');

	if (end == s.len || end < 2)
		return 0;
	inside = span_tail(span_head(s, end), 1);
	if (span_starts_nocase(inside, tag)) {
		if (!address_is_ip(span_tail(inside, tag.len), AF_INET6))
			return 0;
	} else if (!address_is_ip(inside, AF_INET) &&
		   !address_is_general_literal(inside)) {
		return 0;
	}
	return end + 1;
}

static size_t address_host(struct span s)
{
	return s.len && s.p[0] == '[' ? address_literal(s) : address_domain(s);
}

static bool address_has_high(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.p[i] & 0x80)
			return true;
	return false;
}

/* Length of the local part at the front of s; 0: none, or too long. */
static size_t address_local(struct span s)
{
	size_t len = s.len && s.p[0] == '"' ? address_quoted_string(s) :
					      address_dot_string(s);

	return len <= ADDRESS_LOCAL_MAX ? len : 0;
}

/* Length of the mailbox at the front of s, 0 when there is none. */
static size_t address_mailbox(struct span s, struct address *ret)
{
	size_t local = address_local(s);
	size_t domain;

	if (!local || local == s.len || s.p[local] != '@')
		return 0;
	domain = address_host(span_tail(s, local + 1));
	if (!domain)
		return 0;
	ret->mailbox = span_head(s, local + 1 + domain);
	ret->local = span_head(s, local);
	ret->domain = span_tail(ret->mailbox, local + 1);
	ret->non_ascii = address_has_high(ret->mailbox);
	return ret->mailbox.len;
}

/* Length of the source route "@a,@b:" at the front of s, 0: malformed. */
static size_t address_route(struct span s)
{
	size_t at = 0;

	while (at < s.len && s.p[at] == '@') {
		size_t host = address_host(span_tail(s, at + 1));

		at += 1 + host;
		if (!host || at == s.len)
			return 0;
		if (s.p[at] == ':')
			return at + 1;
		if (s.p[at++] != ',')
			return 0;
	}
	return 0;
}

bool address_parse(struct span s, struct address *ret)
{
	struct address a;
	size_t len = address_mailbox(s, &a);

	if (!len || len != s.len || len + 2 > ADDRESS_PATH_MAX)
		return false;
	*ret = a;
	return true;
}

static bool address_parse_postmaster(struct span s, struct address *ret)
{
	struct address a = { .mailbox = s, .local = s };

	if (!address_is_postmaster(&a))
		return false;
	*ret = a;
	return true;
}

bool address_take_path(struct span *in, struct address *ret)
{
	struct address a = { 0 };
	struct span rest = *in;
	size_t route = 0, len;

	if (!rest.len || rest.p[0] != '<')
		return false;
	rest = span_tail(rest, 1);
	if (rest.len && rest.p[0] == '@') {
		route = address_route(rest);
		if (!route)
			return false;
		rest = span_tail(rest, route);
	}
	len = address_mailbox(rest, &a);
	if (!len && !route) {
		/* What is no mailbox may be nothing, or the postmaster. */
		len = span_find(rest, '>');
		if (len && !address_parse_postmaster(span_head(rest, len), &a))
			return false;
	}
	if ((!len && route) || len == rest.len || rest.p[len] != '>' ||
	    route + len + 2 > ADDRESS_PATH_MAX)
		return false;
	*in = span_tail(rest, len + 1);
	*ret = a;
	return true;
}

bool address_is_postmaster(const struct address *a)
{
	return !a->domain.len &&
	       span_equal_nocase(a->local, SPAN("postmaster"));
}
