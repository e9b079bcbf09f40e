#pragma once

/*
 * sni: which of our names a client asked for (RFC 6066 3). A table of names and
 * patterns, each with the number of what serves it; filled once, then sorted
 * and only read.
 */

#include "tls/certificate.h"

#include <stddef.h>
#include <stdint.h>

struct sni_name {
	char text[CERTIFICATE_NAME_MAX + 1]; /* lower case; "*.example.org" */
	uint32_t value;
};

struct sni {
	struct sni_name *names;
	size_t n, cap;
};

/* An empty table with room for `cap` names. -ENOMEM. */
int sni_init(struct sni *s, size_t cap);
void sni_fini(struct sni *s);

/* Is the text, in lower case, in the table that is being filled? */
bool sni_has(const struct sni *s, const char *text);
/* Adds a name that the table has not; there must be room. */
void sni_add(struct sni *s, const char *text, uint32_t value);
/* Ends the filling. */
void sni_sort(struct sni *s);

/*
 * The value for the name a client sent, as it came (any case, perhaps with a
 * dot at its end): an exact name first, then the pattern for its leftmost
 * label. False when we have no such name.
 */
bool sni_find(const struct sni *s, const char *asked, uint32_t *ret_value);
