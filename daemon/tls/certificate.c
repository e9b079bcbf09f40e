#include "tls/certificate.h"

#include "tls/pem.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stdio.h>

/*
 * Operators meet these texts when they have changed a certificate and mail
 * stands still: each one says which file, what is wrong, and what to do.
 */

#define SECURITY_BITS_MIN 112 /* RSA of 2048 bits (NIST SP 800-57) */

int certificate_refuse(struct creds_error *error, const char *name,
		       const char *format, ...)
{
	va_list args;
	int n = snprintf(error->text, sizeof(error->text),
			 "certificate \"%s\": ", name);

	va_start(args, format);
	if (n >= 0 && (size_t)n < sizeof(error->text))
		(void)vsnprintf(error->text + n,
				sizeof(error->text) - (size_t)n, format, args);
	va_end(args);
	return -EINVAL;
}

static int add_to_chain(struct certificate *c, const struct pem *p)
{
	const unsigned char *der = p->der;
	X509 *made = d2i_X509(NULL, &der, p->len);

	if (!made)
		return -EINVAL;
	if (!c->leaf)
		c->leaf = made;
	else if (!sk_X509_push(c->above, made)) {
		X509_free(made);
		return -ENOMEM;
	}
	return 0;
}

/* Reads all certificates of the chain file and leaves other objects alone. */
static int read_chain(struct certificate *c, BIO *text,
		      const struct creds_certificate *pem,
		      struct creds_error *error)
{
	enum pem_result result;
	struct pem object;
	bool any = false, key = false;
	int status = 0;

	while (!status && (result = pem_next(text, &object)) == PEM_OBJECT) {
		any = true;
		key = key || pem_holds_key(&object);
		if (pem_holds_certificate(&object))
			status = add_to_chain(c, &object);
		pem_free(&object);
	}
	if (status == -EINVAL || (!status && result == PEM_DAMAGED))
		return certificate_refuse(error, pem->name,
					  "certificate %d of the chain is "
					  "damaged: copy the file anew",
					  sk_X509_num(c->above) + !!c->leaf +
						  1);
	if (status < 0 || c->leaf)
		return status;
	if (!any)
		return certificate_refuse(
			error, pem->name,
			"the chain is not PEM: convert it with `openssl x509 "
			"-inform DER` and name that file");
	return certificate_refuse(error, pem->name,
				  "no certificate in the chain file%s",
				  key ? ": it holds a key; are `chain` and "
					"`key` swapped?" :
					": name the file that the certificate "
					"authority calls full chain");
}

static int read_key(struct certificate *c, BIO *text,
		    const struct creds_certificate *pem,
		    struct creds_error *error)
{
	const unsigned char *der;
	bool encrypted;
	struct pem object;

	switch (pem_next_key(text, &object)) {
	case PEM_OBJECT: break;
	case PEM_END:
		return certificate_refuse(error, pem->name,
					  "no private key in the key file: it "
					  "must be PEM, BEGIN PRIVATE KEY");
	case PEM_DAMAGED:
		return certificate_refuse(error, pem->name,
					  "the key is damaged: copy the file "
					  "anew");
	}
	encrypted = pem_encrypted(&object);
	der = object.der;
	if (!encrypted)
		c->key = d2i_AutoPrivateKey(NULL, &der, object.len);
	pem_free(&object);
	if (encrypted)
		return certificate_refuse(
			error, pem->name,
			"the key is encrypted: store it "
			"without passphrase (`openssl pkey`), "
			"readable by root only");
	if (!c->key)
		return certificate_refuse(error, pem->name,
					  "the key cannot be read: it is "
					  "damaged or of an unknown type");
	return 0;
}

/* The curves are those that context.c offers for the key exchange. */
static bool is_offered_curve(EVP_PKEY *key)
{
	char group[32];

	return EVP_PKEY_get_group_name(key, group, sizeof(group), NULL) &&
	       (!strcmp(group, SN_X9_62_prime256v1) ||
		!strcmp(group, SN_secp384r1));
}

static int check_type(struct certificate *c,
		      const struct creds_certificate *pem,
		      struct creds_error *error)
{
	int type = EVP_PKEY_get_base_id(c->key);

	if (type == EVP_PKEY_RSA) {
		c->type = CERTIFICATE_RSA;
	} else if (type == EVP_PKEY_EC && is_offered_curve(c->key)) {
		c->type = CERTIFICATE_ECDSA;
	} else {
		return certificate_refuse(error, pem->name,
					  "unsupported key type: use ECDSA on "
					  "P-256 or P-384, or RSA");
	}
	if (EVP_PKEY_get_security_bits(c->key) < SECURITY_BITS_MIN)
		return certificate_refuse(error, pem->name,
					  "the key has only %d bits: make one "
					  "of at least 2048",
					  EVP_PKEY_get_bits(c->key));
	return 0;
}

/* Where in the chain the key's certificate stands, from 1; 0: nowhere. */
static int position_of_key(const struct certificate *c)
{
	if (X509_check_private_key(c->leaf, c->key))
		return 1;
	for (int i = 0; i < sk_X509_num(c->above); i++)
		if (X509_check_private_key(sk_X509_value(c->above, i), c->key))
			return i + 2;
	return 0;
}

static int check_order(const struct certificate *c,
		       const struct creds_certificate *pem,
		       struct creds_error *error)
{
	int position = position_of_key(c);
	X509 *below = c->leaf;

	if (!position)
		return certificate_refuse(error, pem->name,
					  "the key does not match the "
					  "certificate: name the key it was "
					  "requested with");
	if (position > 1)
		return certificate_refuse(error, pem->name,
					  "wrong chain order: the server's "
					  "certificate is number %d; put it "
					  "first, its issuer next",
					  position);
	for (int i = 0; i < sk_X509_num(c->above); i++) {
		X509 *issuer = sk_X509_value(c->above, i);

		if (X509_check_issued(issuer, below) != X509_V_OK)
			return certificate_refuse(
				error, pem->name,
				"wrong chain order: certificate %d did not "
				"issue certificate %d; each must be followed "
				"by its issuer",
				i + 2, i + 1);
		below = issuer;
	}
	return 0;
}

static void warn_of_dates(const struct certificate *c, const char *name,
			  struct creds_error *error)
{
	if (X509_cmp_current_time(X509_get0_notAfter(c->leaf)) < 0)
		(void)certificate_refuse(error, name,
					 "it has expired: clients will refuse "
					 "it; renew it");
	else if (X509_cmp_current_time(X509_get0_notBefore(c->leaf)) > 0)
		(void)certificate_refuse(error, name,
					 "it is not valid yet: clients will "
					 "refuse it; check the clock");
}

static int read_parts(struct certificate *c,
		      const struct creds_certificate *pem,
		      struct creds_error *error)
{
	BIO *chain = BIO_new_mem_buf(pem->chain.p, (int)pem->chain.len);
	BIO *key = BIO_new_mem_buf(pem->key.p, (int)pem->key.len);
	int status = -ENOMEM;

	c->above = sk_X509_new_null();
	if (chain && key && c->above)
		status = read_chain(c, chain, pem, error);
	if (!status)
		status = read_key(c, key, pem, error);
	BIO_free(chain);
	BIO_free(key);
	return status;
}

int certificate_read(struct certificate *c, const struct creds_certificate *pem,
		     struct creds_error *error)
{
	int status;

	*c = (struct certificate){ 0 };
	status = read_parts(c, pem, error);
	if (!status)
		status = check_type(c, pem, error);
	if (!status)
		status = check_order(c, pem, error);
	ERR_clear_error();
	if (status < 0) {
		certificate_fini(c);
		return status;
	}
	c->names = X509_get_ext_d2i(c->leaf, NID_subject_alt_name, NULL, NULL);
	warn_of_dates(c, pem->name, error);
	return 0;
}

void certificate_fini(struct certificate *c)
{
	X509_free(c->leaf);
	sk_X509_pop_free(c->above, X509_free);
	EVP_PKEY_free(c->key);
	GENERAL_NAMES_free(c->names);
	*c = (struct certificate){ 0 };
}

int certificate_names_n(const struct certificate *c)
{
	return c->names ? sk_GENERAL_NAME_num(c->names) : 0;
}

bool certificate_name(const struct certificate *c, int i,
		      char ret[static CERTIFICATE_NAME_MAX + 1])
{
	const GENERAL_NAME *name = sk_GENERAL_NAME_value(c->names, i);
	const unsigned char *text;
	int len;

	if (name->type != GEN_DNS)
		return false;
	text = ASN1_STRING_get0_data(name->d.dNSName);
	len = ASN1_STRING_length(name->d.dNSName);
	if (len < 1 || len > CERTIFICATE_NAME_MAX)
		return false;
	for (int at = 0; at < len; at++) {
		/* A NUL inside would make the name end early for us alone. */
		if (text[at] <= ' ' || text[at] >= 0x7f)
			return false;
		ret[at] = (char)ascii_lower(text[at]);
	}
	ret[len] = '\0';
	return true;
}

static bool pattern_covers(const char *pattern, const char *name)
{
	const char *dot = strchr(name, '.');

	if (!strcmp(pattern, name))
		return true;
	return pattern[0] == '*' && pattern[1] == '.' && dot && dot > name &&
	       !strcmp(pattern + 1, dot);
}

bool certificate_covers(const struct certificate *c, const char *name)
{
	char own[CERTIFICATE_NAME_MAX + 1];

	for (int i = 0; i < certificate_names_n(c); i++)
		if (certificate_name(c, i, own) && pattern_covers(own, name))
			return true;
	return false;
}
