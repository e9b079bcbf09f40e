#include "tls/pem.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>

enum pem_result pem_next(BIO *text, struct pem *ret)
{
	unsigned long error;

	ERR_clear_error();
	if (PEM_read_bio(text, &ret->label, &ret->header, &ret->der, &ret->len))
		return PEM_OBJECT;
	error = ERR_peek_last_error();
	ERR_clear_error();
	if (ERR_GET_LIB(error) == ERR_LIB_PEM &&
	    ERR_GET_REASON(error) == PEM_R_NO_START_LINE)
		return PEM_END;
	return PEM_DAMAGED;
}

enum pem_result pem_next_key(BIO *text, struct pem *ret)
{
	enum pem_result result;

	while ((result = pem_next(text, ret)) == PEM_OBJECT) {
		if (pem_holds_key(ret))
			break;
		pem_free(ret);
	}
	return result;
}

void pem_free(struct pem *p)
{
	OPENSSL_free(p->label);
	OPENSSL_free(p->header);
	OPENSSL_clear_free(p->der, (size_t)p->len);
	*p = (struct pem){ 0 };
}

bool pem_holds_certificate(const struct pem *p)
{
	return !strcmp(p->label, PEM_STRING_X509) ||
	       !strcmp(p->label, PEM_STRING_X509_OLD);
}

/* "PRIVATE KEY", "RSA PRIVATE KEY", "ENCRYPTED PRIVATE KEY" ... */
bool pem_holds_key(const struct pem *p)
{
	const size_t len = strlen(p->label), suffix = strlen("PRIVATE KEY");

	return len >= suffix && !strcmp(p->label + len - suffix, "PRIVATE KEY");
}

bool pem_encrypted(const struct pem *p)
{
	return !strcmp(p->label, PEM_STRING_PKCS8) ||
	       strstr(p->header, "ENCRYPTED");
}
