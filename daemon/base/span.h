#pragma once

/*
 * span: bytes borrowed for the length of a call. It owns nothing and is never
 * kept across calls. All functions are total: an empty span has len 0 and may
 * have any pointer.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct span {
	const uint8_t *p;
	size_t len;
};

/* Bytes lent for writing: storage that the lender gets back. */
struct span_mut {
	uint8_t *p;
	size_t len;
};

/* A span over a string literal. */
#define SPAN(literal) \
	((struct span){ (const uint8_t *)("" literal), sizeof(literal) - 1 })

static inline struct span span_of(const uint8_t *p, size_t len)
{
	return (struct span){ p, len };
}

static inline struct span span_str(const char *s)
{
	return (struct span){ (const uint8_t *)s, strlen(s) };
}

/* The first n bytes; n must not exceed s.len. */
static inline struct span span_head(struct span s, size_t n)
{
	return (struct span){ s.p, n };
}

/*
 * All but the first n bytes; n must not exceed s.len. (C leaves even NULL + 0
 * undefined.)
 */
static inline struct span span_tail(struct span s, size_t n)
{
	return (struct span){ n ? s.p + n : s.p, s.len - n };
}

static inline bool span_equal(struct span a, struct span b)
{
	return a.len == b.len && (!a.len || !memcmp(a.p, b.p, a.len));
}

/* Index of the first byte c, or s.len. */
static inline size_t span_find(struct span s, uint8_t c)
{
	const uint8_t *hit = s.len ? memchr(s.p, c, s.len) : NULL;

	return hit ? (size_t)(hit - s.p) : s.len;
}

static inline uint8_t ascii_lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c;
}

/* ASCII case-insensitive equality, as SMTP verbs and parameters compare. */
static inline bool span_equal_nocase(struct span a, struct span b)
{
	if (a.len != b.len)
		return false;
	for (size_t i = 0; i < a.len; i++)
		if (ascii_lower(a.p[i]) != ascii_lower(b.p[i]))
			return false;
	return true;
}

/* True when s begins with prefix, ASCII case-insensitively. */
static inline bool span_starts_nocase(struct span s, struct span prefix)
{
	return s.len >= prefix.len &&
	       span_equal_nocase(span_head(s, prefix.len), prefix);
}

/*
 * Decimal number of one to 20 digits and nothing else. False when s is not one
 * or exceeds 64 bits; then *ret_value is untouched.
 */
bool span_to_u64(struct span s, uint64_t *ret_value);
