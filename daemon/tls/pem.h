#pragma once

/*
 * pem: the objects of a PEM text, one by one (RFC 7468), each with its label,
 * so that whoever named the wrong file can be told what it holds.
 */

#include <openssl/bio.h>
#include <stdbool.h>

/* One "-----BEGIN label-----" to "-----END label-----". */
struct pem {
	char *label;
	char *header; /* RFC 1421 fields of old, encrypted keys */
	unsigned char *der;
	long len;
};

enum pem_result { PEM_OBJECT, PEM_END, PEM_DAMAGED };

/* The next object of the text; pem_free it. */
enum pem_result pem_next(BIO *text, struct pem *ret);
/* The next private key; objects before it are stepped over. */
enum pem_result pem_next_key(BIO *text, struct pem *ret);
/* Frees and wipes. */
void pem_free(struct pem *p);

bool pem_holds_certificate(const struct pem *p);
bool pem_holds_key(const struct pem *p);
/* Of a key: does it need a passphrase? */
bool pem_encrypted(const struct pem *p);
