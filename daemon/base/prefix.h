#pragma once

/*
 * prefix: a range of IP addresses that begin with the same bits, as operators
 * write it: "192.0.2.0/24", "2001:db8::/32", or one address alone. Pure.
 */

#include "base/buf.h"

#include <netinet/in.h>

#define PREFIX_TEXT_MAX (INET6_ADDRSTRLEN + 4) /* with its end */

enum prefix_family { PREFIX_V4 = 4, PREFIX_V6 = 6 };

struct prefix {
	uint8_t family; /* enum prefix_family */
	uint8_t bits;
	uint8_t address[16]; /* network order; v4: the first four bytes */
};

/* False: no such thing, or bits are set beyond its length; *ret untouched. */
bool prefix_parse(struct span text, struct prefix *ret);

/* Appends it as prefix_parse reads it; one address without a length. */
void prefix_put(struct buf *out, const struct prefix *p);

/* Takes away the bits behind the first `bits`. */
void prefix_cut(struct prefix *p, uint32_t bits);

/* All of `inner` is in `outer`; a prefix contains itself. */
bool prefix_contains(const struct prefix *outer, const struct prefix *inner);

/* The one address of a peer; a mapped v4 address is v4. False: no IP. */
bool prefix_of_address(const struct sockaddr *address, struct prefix *ret);
