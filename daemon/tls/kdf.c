#include "tls/kdf.h"

#include "tls/hkdf.h"

#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/provider.h>

/*
 * I1 What was copied or computed is wiped: a derivation when OpenSSL frees it,
 *    the rest before the call returns.
 * I2 What we do not know is refused, never guessed: then the handshake fails.
 */

#define NAME "sluice"

static OSSL_PROVIDER *loaded; /* for as long as the process lives */

struct bytes {
	bool given;
	uint8_t len;
	uint8_t p[HKDF_INPUT_MAX];
};

/* What OpenSSL calls a context of a KDF. */
struct derivation {
	enum hkdf_hash hash;
	int mode; /* EVP_KDF_HKDF_MODE_* */
	struct bytes key, salt, prefix, label, data;
};

static struct span span_of_bytes(const struct bytes *b)
{
	return span_of(b->p, b->len);
}

/* HKDF-Expand-Label(secret, label, context, to.len). */
static bool expand(const struct derivation *d, struct span secret,
		   struct span context, struct span_mut to)
{
	const struct hkdf_label label = {
		.prefix = span_of_bytes(&d->prefix),
		.label = span_of_bytes(&d->label),
		.context = context,
	};

	return hkdf_expand(d->hash, secret, &label, to);
}

/*
 * The next secret of the schedule: HKDF-Extract with the one before as salt,
 * first put through Derive-Secret(., "derived", ""). What is not given is
 * zeros, RFC 8446 7.1.
 */
static bool extract(const struct derivation *d, struct span_mut to)
{
	static const uint8_t zeros[HKDF_HASH_MAX];
	const size_t len = hkdf_hash_len(d->hash);
	uint8_t nothing[HKDF_HASH_MAX], salt[HKDF_HASH_MAX] = { 0 };
	uint8_t made[HKDF_HASH_MAX];
	bool ok = to.len == len;

	hkdf_hash_nothing(d->hash, nothing);
	if (ok && d->salt.given)
		ok = expand(d, span_of_bytes(&d->salt), span_of(nothing, len),
			    (struct span_mut){ salt, len });
	ok = ok && hkdf_extract(d->hash, span_of(salt, len),
				d->key.given ? span_of_bytes(&d->key) :
					       span_of(zeros, len),
				made);
	if (ok)
		memcpy(to.p, made, len);
	explicit_bzero(salt, sizeof(salt));
	explicit_bzero(made, sizeof(made));
	return ok;
}

static bool read_hash(const OSSL_PARAM *p, enum hkdf_hash *to)
{
	static const struct {
		const char *name;
		enum hkdf_hash hash;
	} names[] = {
		{ "SHA2-256", HKDF_SHA256 }, { "SHA256", HKDF_SHA256 },
		{ "SHA-256", HKDF_SHA256 },  { "SHA2-384", HKDF_SHA384 },
		{ "SHA384", HKDF_SHA384 },   { "SHA-384", HKDF_SHA384 },
	};
	const char *name;

	if (!OSSL_PARAM_get_utf8_string_ptr(p, &name))
		return false;
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (span_equal_nocase(span_str(names[i].name),
				      span_str(name))) {
			*to = names[i].hash;
			return true;
		}
	return false; /* I2 */
}

static bool read_bytes(const OSSL_PARAM *p, struct bytes *to)
{
	if (p->data_type != OSSL_PARAM_OCTET_STRING ||
	    p->data_size > sizeof(to->p))
		return false;
	to->given = true;
	to->len = (uint8_t)p->data_size;
	if (to->len)
		memcpy(to->p, p->data, to->len);
	return true;
}

static bool read_param(struct derivation *d, const OSSL_PARAM *p)
{
	const struct {
		const char *name;
		struct bytes *to;
	} names[] = {
		{ OSSL_KDF_PARAM_KEY, &d->key },
		{ OSSL_KDF_PARAM_SALT, &d->salt },
		{ OSSL_KDF_PARAM_PREFIX, &d->prefix },
		{ OSSL_KDF_PARAM_LABEL, &d->label },
		{ OSSL_KDF_PARAM_DATA, &d->data },
	};

	if (!strcmp(p->key, OSSL_KDF_PARAM_MODE))
		return OSSL_PARAM_get_int(p, &d->mode);
	if (!strcmp(p->key, OSSL_KDF_PARAM_DIGEST))
		return read_hash(p, &d->hash);
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (!strcmp(p->key, names[i].name))
			return read_bytes(p, names[i].to);
	return true; /* of no consequence to the result, as "properties" */
}

/* Towards OpenSSL */

static void *on_new(void *provider)
{
	struct derivation *d = OPENSSL_zalloc(sizeof(*d));

	(void)provider;
	if (d)
		d->mode = -1;
	return d;
}

static void on_free(void *derivation)
{
	OPENSSL_clear_free(derivation, sizeof(struct derivation)); /* I1 */
}

static int on_params(void *derivation, const OSSL_PARAM params[])
{
	for (const OSSL_PARAM *p = params; p && p->key; p++)
		if (!read_param(derivation, p))
			return 0;
	return 1;
}

static const OSSL_PARAM *on_settable(void *derivation, void *provider)
{
	static const OSSL_PARAM known[] = {
		OSSL_PARAM_int(OSSL_KDF_PARAM_MODE, NULL),
		OSSL_PARAM_utf8_string(OSSL_KDF_PARAM_DIGEST, NULL, 0),
		OSSL_PARAM_octet_string(OSSL_KDF_PARAM_KEY, NULL, 0),
		OSSL_PARAM_octet_string(OSSL_KDF_PARAM_SALT, NULL, 0),
		OSSL_PARAM_octet_string(OSSL_KDF_PARAM_PREFIX, NULL, 0),
		OSSL_PARAM_octet_string(OSSL_KDF_PARAM_LABEL, NULL, 0),
		OSSL_PARAM_octet_string(OSSL_KDF_PARAM_DATA, NULL, 0),
		OSSL_PARAM_END,
	};

	(void)derivation;
	(void)provider;
	return known;
}

static int on_derive(void *derivation, unsigned char *to, size_t len,
		     const OSSL_PARAM params[])
{
	struct derivation *d = derivation;

	if (!on_params(derivation, params) || d->hash == HKDF_NO_HASH)
		return 0;
	switch (d->mode) {
	case EVP_KDF_HKDF_MODE_EXTRACT_ONLY:
		return extract(d, (struct span_mut){ to, len });
	case EVP_KDF_HKDF_MODE_EXPAND_ONLY:
		return d->key.given && expand(d, span_of_bytes(&d->key),
					      span_of_bytes(&d->data),
					      (struct span_mut){ to, len });
	default: return 0;
	}
}

static const OSSL_ALGORITHM *on_query(void *provider, int operation,
				      int *may_not_cache)
{
	static const OSSL_DISPATCH functions[] = {
		{ OSSL_FUNC_KDF_NEWCTX, (void (*)(void))on_new },
		{ OSSL_FUNC_KDF_FREECTX, (void (*)(void))on_free },
		{ OSSL_FUNC_KDF_DERIVE, (void (*)(void))on_derive },
		{ OSSL_FUNC_KDF_SET_CTX_PARAMS, (void (*)(void))on_params },
		{ OSSL_FUNC_KDF_SETTABLE_CTX_PARAMS,
		  (void (*)(void))on_settable },
		{ 0, NULL },
	};
	static const OSSL_ALGORITHM kdfs[] = {
		{ OSSL_KDF_NAME_TLS1_3_KDF, "provider=" NAME, functions,
		  "TLS 1.3 key schedule" },
		{ NULL, NULL, NULL, NULL },
	};

	(void)provider;
	*may_not_cache = 0;
	return operation == OSSL_OP_KDF ? kdfs : NULL;
}

static int on_init(const OSSL_CORE_HANDLE *core, const OSSL_DISPATCH *from_core,
		   const OSSL_DISPATCH **ret, void **ret_provider)
{
	static const OSSL_DISPATCH functions[] = {
		{ OSSL_FUNC_PROVIDER_QUERY_OPERATION,
		  (void (*)(void))on_query },
		{ 0, NULL },
	};

	(void)core;
	(void)from_core;
	*ret = functions;
	*ret_provider = NULL; /* there is nothing to know of it */
	return 1;
}

void kdf_setup(void)
{
	if (!loaded && OSSL_PROVIDER_add_builtin(NULL, NAME, on_init))
		loaded = OSSL_PROVIDER_try_load(NULL, NAME, 1);
	ERR_clear_error();
}
