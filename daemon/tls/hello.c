#include "tls/hello.h"

/* https://www.iana.org/assignments/tls-parameters */
enum {
	ECDHE_ECDSA_AES_128_GCM = 0xc02b,
	ECDHE_ECDSA_AES_256_GCM = 0xc02c,
	ECDHE_RSA_AES_128_GCM = 0xc02f,
	ECDHE_RSA_AES_256_GCM = 0xc030,
	TLS12 = 0x0303,
};

static bool lists(struct span numbers, uint16_t wanted)
{
	for (size_t i = 0; i + 1 < numbers.len; i += 2)
		if ((numbers.p[i] << 8 | numbers.p[i + 1]) == wanted)
			return true;
	return false;
}

bool hello_lists_tls12(struct span supported_versions)
{
	/* RFC 8446 4.2.1: the length in a byte, then the versions. */
	if (!supported_versions.len ||
	    supported_versions.p[0] != supported_versions.len - 1)
		return false;
	return lists(span_tail(supported_versions, 1), TLS12);
}

bool hello_lists_gcm12(struct span suites)
{
	bool ecdsa = lists(suites, ECDHE_ECDSA_AES_128_GCM) ||
		     lists(suites, ECDHE_ECDSA_AES_256_GCM);
	bool rsa = lists(suites, ECDHE_RSA_AES_128_GCM) ||
		   lists(suites, ECDHE_RSA_AES_256_GCM);

	return ecdsa && rsa;
}
