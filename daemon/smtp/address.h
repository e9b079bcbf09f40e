#pragma once

/*
 * address: mail addresses as MAIL and RCPT carry them (RFC 5321 4.1.2 and
 * 4.1.3, RFC 6531 3.3): dot-strings, quoted local parts, domains of A-labels
 * and U-labels, address literals. It judges syntax and lengths, lends spans
 * into the line it was given and never looks anything up: U-labels are checked
 * to be well-formed UTF-8, not against the tables of IDNA.
 */

#include "base/span.h"

#define ADDRESS_LOCAL_MAX  64  /* RFC 5321 4.5.3.1.1 */
#define ADDRESS_DOMAIN_MAX 255 /* 4.5.3.1.2; the path is shorter */
#define ADDRESS_PATH_MAX   256 /* with the two brackets, 4.5.3.1.3 */

struct address {
	struct span mailbox; /* without <> and source route; empty: "<>" */
	struct span local;   /* as written, quotes included */
	struct span domain;  /* empty for <> and <postmaster> */
	bool non_ascii;      /* allowed with SMTPUTF8 only */
};

/*
 * Takes a path with its brackets off the front of *in: `<>`, `<a@b>` or
 * `<@hop,@hop:a@b>`, whose source route is dropped (RFC 5321 appendix C).
 * False, and both untouched, when there is none.
 */
bool address_take_path(struct span *in, struct address *ret);

/* True when s is one mailbox, local@domain, and nothing else. */
bool address_parse(struct span s, struct address *ret);

/* The mailbox every server takes without a domain (RFC 5321 4.5.1). */
bool address_is_postmaster(const struct address *a);

/*
 * Length of the well-formed UTF-8 character (RFC 3629) of two to four octets
 * at the front of s; 0 when there is none.
 */
size_t address_utf8(struct span s);
