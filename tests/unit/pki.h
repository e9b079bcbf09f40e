#pragma once

/*
 * pki: certificates for tests, made on the spot: any names, keys, dates and
 * issuers, as PEM texts. Nothing of it is fit for use outside tests.
 */

#include "base/span.h"

#include <openssl/x509.h>

struct pki_wish {
	const char *subject;      /* common name */
	const char *names;        /* "DNS:a.example,DNS:*.b.example", or NULL */
	const char *key;          /* "P-256", "P-521", "RSA-2048", "ED25519" */
	const struct pki *issuer; /* NULL: signs itself */
	bool ca;
	long from_s, until_s; /* from now; 0, 0: an hour ago until tomorrow */
};

struct pki {
	X509 *certificate;
	EVP_PKEY *key;
	const struct pki *issuer;
};

void pki_make(struct pki *p, const struct pki_wish *wish);
void pki_free(struct pki *p);

struct pki_text {
	char p[12000];
};

static inline struct span pki_span(const struct pki_text *t)
{
	return span_str(t->p);
}

/* The certificate and its issuers, but for the root. */
struct pki_text pki_chain(const struct pki *p);
/* One certificate. */
struct pki_text pki_certificate(const struct pki *p);
/* The private key, PKCS #8, encrypted where there is a passphrase. */
struct pki_text pki_key(const struct pki *p, const char *passphrase);
/* Writes one certificate to a new file below /tmp; the path goes to `path`. */
void pki_write(const struct pki *p, char path[static 64]);
