#pragma once

/*
 * value: what the text of a single value means: numbers with units, words,
 * domain names, addresses, next hops. Total and pure: any text is an answer,
 * true or false; on false the result is untouched. It reports nothing.
 */

#include "config/config.h"

/* Decimal digits, then nothing or one of K, M, G: bytes, in powers of 1024. */
bool value_size(const char *text, uint64_t *ret);

/* Decimal digits, then nothing or one of s, m, h, d: seconds. */
bool value_duration(const char *text, uint64_t *ret);

/* true, yes, on; false, no, off. */
bool value_boolean(const char *text, bool *ret);

/* Index into `words`, which ends with NULL. */
bool value_word(const char *text, const char *const *words, uint32_t *ret);

/* Letters, digits and hyphens in labels (RFC 5321 4.1.2), at most 253. */
bool value_domain(struct span text);

/*
 * "192.0.2.1:465" or "[2001:db8::1]:465", or ranges, "192.0.2.0/24:465" or
 * "[2001:db8::/64]:465"; ret->text is left alone.
 */
bool value_address(const char *text, struct config_address *ret);
/* What a text that it does not take ought to be. */
const char *value_address_wanted(const char *text);

/* A next hop taken apart; the spans borrow from the text. */
struct value_hop {
	enum config_next_hop kind;
	struct span path; /* of a Maildir */
	struct span host; /* without brackets; of smtp and smtps */
	uint16_t port;
};

bool value_hop(const char *text, struct value_hop *ret);

/* Appends n with the largest unit that leaves no remainder: "64K", "5m". */
void value_put_size(struct buf *out, uint64_t n);
void value_put_duration(struct buf *out, uint64_t seconds);
