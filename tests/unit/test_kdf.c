#include "tls/kdf.h"

#include "base/span.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <openssl/provider.h>
#include <openssl/rand.h>

/* OpenSSL's own function is what ours is compared with. */
#define THEIRS "provider=default"

struct question {
	int mode;
	const char *digest;
	const uint8_t *key, *salt, *data; /* NULL: not given */
	const char *label;
	size_t hash_n;
};

static uint8_t key[48], salt[48], data[48];

static char *mutable(const char *text)
{
	return (char *)(uintptr_t)text;
}

static OSSL_PARAM octets(const char *name, const uint8_t *p, size_t n)
{
	return OSSL_PARAM_construct_octet_string(name, (void *)(uintptr_t)p, n);
}

/* The status of EVP_KDF_derive; what came of it in `to`. */
static int answer(const char *properties, const struct question *q,
		  struct span_mut to)
{
	EVP_KDF *kdf =
		EVP_KDF_fetch(NULL, OSSL_KDF_NAME_TLS1_3_KDF, properties);
	EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(kdf);
	OSSL_PARAM params[8], *p = params;
	int mode = q->mode, status;

	*p++ = OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode);
	*p++ = OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST,
						mutable(q->digest), 0);
	if (q->key)
		*p++ = octets(OSSL_KDF_PARAM_KEY, q->key, q->hash_n);
	if (q->salt)
		*p++ = octets(OSSL_KDF_PARAM_SALT, q->salt, q->hash_n);
	*p++ = octets(OSSL_KDF_PARAM_PREFIX, (const uint8_t *)"tls13 ", 6);
	*p++ = octets(OSSL_KDF_PARAM_LABEL, (const uint8_t *)q->label,
		      strlen(q->label));
	if (q->data)
		*p++ = octets(OSSL_KDF_PARAM_DATA, q->data, q->hash_n);
	*p = OSSL_PARAM_construct_end();
	memset(to.p, 0, to.len);
	status = EVP_KDF_derive(ctx, to.p, to.len, params);
	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(kdf);
	return status;
}

static void agree(const struct question *q, size_t n)
{
	uint8_t ours[300], theirs[300];

	assert_int_equal(answer(THEIRS, q, (struct span_mut){ theirs, n }), 1);
	assert_int_equal(answer(KDF_PREFERRED, q, (struct span_mut){ ours, n }),
			 1);
	assert_memory_equal(ours, theirs, n);
}

static const struct question sha256 = { .digest = "SHA256", .hash_n = 32 };
static const struct question sha384 = { .digest = "SHA2-384", .hash_n = 48 };

static void is_the_one_that_is_used(void **state)
{
	EVP_KDF *kdf =
		EVP_KDF_fetch(NULL, OSSL_KDF_NAME_TLS1_3_KDF, KDF_PREFERRED);

	assert_string_equal(OSSL_PROVIDER_get0_name(EVP_KDF_get0_provider(kdf)),
			    "sluice");
	EVP_KDF_free(kdf);
	/* Everything else stays OpenSSL's. */
	kdf = EVP_KDF_fetch(NULL, "HKDF", KDF_PREFERRED);
	assert_string_equal(OSSL_PROVIDER_get0_name(EVP_KDF_get0_provider(kdf)),
			    "default");
	EVP_KDF_free(kdf);
	assert_null(EVP_KDF_fetch(NULL, OSSL_KDF_NAME_TLS1_3_KDF,
				  KDF_PREFERRED ",fips=yes"));
}

static void expands_like_openssl(void **state)
{
	const char *const labels[] = { "key",          "iv",         "finished",
				       "c hs traffic", "exp master", "" };

	for (int i = 0; i < 200; i++) {
		struct question q = i % 2 ? sha256 : sha384;

		RAND_bytes(key, sizeof(key));
		RAND_bytes(data, sizeof(data));
		q.mode = EVP_KDF_HKDF_MODE_EXPAND_ONLY;
		q.key = key;
		q.data = i % 3 ? data : NULL;
		q.label = labels[i % 6];
		agree(&q, 1 + (size_t)i);
	}
}

static void extracts_like_openssl(void **state)
{
	for (int i = 0; i < 40; i++) {
		struct question q = i % 2 ? sha256 : sha384;

		RAND_bytes(key, sizeof(key));
		RAND_bytes(salt, sizeof(salt));
		q.mode = EVP_KDF_HKDF_MODE_EXTRACT_ONLY;
		q.key = i & 2 ? key : NULL;
		q.salt = i & 4 ? salt : NULL;
		q.label = "derived";
		agree(&q, q.hash_n);
	}
}

static void refuses_what_it_does_not_know(void **state)
{
	struct question q = sha256;
	char label[200] = { 0 };
	uint8_t to[64];
	const struct span_mut whole = { to, 32 };

	q.mode = EVP_KDF_HKDF_MODE_EXPAND_ONLY;
	q.label = "key";
	assert_int_equal(answer(KDF_PREFERRED, &q, whole), 0); /* no key */
	q.key = key;
	assert_int_equal(answer(KDF_PREFERRED, &q, whole), 1);
	q.digest = "SHA3-256";
	assert_int_equal(answer(KDF_PREFERRED, &q, whole), 0);
	q.digest = "SHA256";
	q.mode = EVP_KDF_HKDF_MODE_EXTRACT_AND_EXPAND;
	assert_int_equal(answer(KDF_PREFERRED, &q, whole), 0);
	q.mode = EVP_KDF_HKDF_MODE_EXTRACT_ONLY;
	assert_int_equal(answer(KDF_PREFERRED, &q,
				(struct span_mut){ to, sizeof(to) }),
			 0);
	q.mode = EVP_KDF_HKDF_MODE_EXPAND_ONLY;
	memset(label, 'x', sizeof(label) - 1);
	q.label = label;
	assert_int_equal(answer(KDF_PREFERRED, &q, whole), 0);
}

static int setup(void **state)
{
	kdf_setup();
	kdf_setup(); /* once more does nothing */
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(is_the_one_that_is_used),
		cmocka_unit_test(expands_like_openssl),
		cmocka_unit_test(extracts_like_openssl),
		cmocka_unit_test(refuses_what_it_does_not_know),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
