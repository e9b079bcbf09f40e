#pragma once

/*
 * certificate: one certificate of ours, read from PEM texts: the leaf, the
 * intermediates sent with it, its private key and the names it is for. It
 * promises that the parts belong together, and that whoever wrote them gets
 * told in one line what is wrong and how to put it right.
 */

#include "tls/creds.h"

struct x509_st;
struct stack_st_X509;
struct evp_pkey_st;
struct stack_st_GENERAL_NAME;

#define CERTIFICATE_NAME_MAX 253 /* RFC 1035 2.3.4, without the last dot */

enum certificate_type { CERTIFICATE_ECDSA, CERTIFICATE_RSA, CERTIFICATE_TYPES };

struct certificate {
	enum certificate_type type;
	struct x509_st *leaf;
	struct stack_st_X509 *above; /* the issuers, nearest first */
	struct evp_pkey_st *key;
	struct stack_st_GENERAL_NAME *names; /* NULL: none */
};

/*
 * -EINVAL with `error` filled, or -ENOMEM; then there is nothing to free. An
 * expired certificate is read too and leaves a warning in `error`.
 */
int certificate_read(struct certificate *c, const struct creds_certificate *pem,
		     struct creds_error *error);
void certificate_fini(struct certificate *c);

/*
 * Names of any kind, and the i-th of them in lower case; false where it is no
 * host's name.
 */
int certificate_names_n(const struct certificate *c);
bool certificate_name(const struct certificate *c, int i,
		      char ret[static CERTIFICATE_NAME_MAX + 1]);

/*
 * May it serve `name`, a host name or a pattern ("*.example.org") in lower
 * case? A pattern of the certificate stands for one label, the leftmost
 * (RFC 6125 6.4.3).
 */
bool certificate_covers(const struct certificate *c, const char *name);

/* Fills `error` with one line about this certificate; returns -EINVAL. */
__attribute__((format(printf, 3, 4))) int
certificate_refuse(struct creds_error *error, const char *name,
		   const char *format, ...);
