#include "pki.h"

#include "base/must.h"

#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static EVP_PKEY *make_key(const char *type)
{
	if (!strncmp(type, "RSA-", 4))
		return EVP_RSA_gen((unsigned int)strtoul(type + 4, NULL, 10));
	if (!strncmp(type, "P-", 2))
		return EVP_EC_gen(type);
	return EVP_PKEY_Q_keygen(NULL, NULL, type);
}

static void add_extension(X509 *x, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509_EXTENSION *extension;

	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, x, x, NULL, NULL, 0);
	extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	MUST(extension && X509_add_ext(x, extension, -1));
	X509_EXTENSION_free(extension);
}

static void set_subject(X509 *x, const char *subject)
{
	X509_NAME *name = X509_get_subject_name(x);

	MUST(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
					(const unsigned char *)subject, -1, -1,
					0));
}

void pki_make(struct pki *p, const struct pki_wish *wish)
{
	static long serial;
	const struct pki *issuer = wish->issuer ? wish->issuer : p;
	bool dated = wish->from_s || wish->until_s;
	X509 *x = X509_new();

	*p = (struct pki){ .certificate = x, .key = make_key(wish->key) };
	MUST(x && p->key);
	p->issuer = wish->issuer;
	X509_set_version(x, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(x), ++serial);
	X509_gmtime_adj(X509_getm_notBefore(x), dated ? wish->from_s : -3600);
	X509_gmtime_adj(X509_getm_notAfter(x), dated ? wish->until_s : 86400);
	set_subject(x, wish->subject);
	X509_set_issuer_name(x, X509_get_subject_name(issuer->certificate));
	X509_set_pubkey(x, p->key);
	if (wish->ca)
		add_extension(x, NID_basic_constraints, "critical,CA:TRUE");
	if (wish->names)
		add_extension(x, NID_subject_alt_name, wish->names);
	MUST(X509_sign(x, issuer->key,
		       EVP_PKEY_get_base_id(issuer->key) == EVP_PKEY_ED25519 ?
			       NULL :
			       EVP_sha256()));
}

void pki_free(struct pki *p)
{
	X509_free(p->certificate);
	EVP_PKEY_free(p->key);
	*p = (struct pki){ 0 };
}

/* Takes the text out of a memory BIO and frees it. */
static struct pki_text text_of(BIO *bio)
{
	struct pki_text text = { 0 };
	int n = BIO_read(bio, text.p, sizeof(text.p) - 1);

	MUST(n > 0 && (size_t)n < sizeof(text.p) - 1);
	BIO_free(bio);
	return text;
}

struct pki_text pki_chain(const struct pki *p)
{
	BIO *bio = BIO_new(BIO_s_mem());

	do {
		MUST(PEM_write_bio_X509(bio, p->certificate));
		p = p->issuer;
	} while (p && p->issuer);
	return text_of(bio);
}

struct pki_text pki_certificate(const struct pki *p)
{
	BIO *bio = BIO_new(BIO_s_mem());

	MUST(PEM_write_bio_X509(bio, p->certificate));
	return text_of(bio);
}

struct pki_text pki_key(const struct pki *p, const char *passphrase)
{
	BIO *bio = BIO_new(BIO_s_mem());

	MUST(PEM_write_bio_PKCS8PrivateKey(
		bio, p->key, passphrase ? EVP_aes_128_cbc() : NULL, passphrase,
		passphrase ? (int)strlen(passphrase) : 0, NULL, NULL));
	return text_of(bio);
}

void pki_write(const struct pki *p, char path[static 64])
{
	struct pki_text text = pki_certificate(p);
	int fd;

	snprintf(path, 64, "/tmp/sluice-test-ca-XXXXXX");
	fd = mkstemp(path);
	MUST(fd >= 0);
	MUST(write(fd, text.p, strlen(text.p)) == (ssize_t)strlen(text.p));
	close(fd);
}
