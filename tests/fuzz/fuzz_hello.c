/*
 * fuzz_hello: what a client offers. Property: the answers are those of a
 * reference that goes through the bytes in its own way, and a list that does
 * not fill its extension offers nothing.
 */

#include "base/must.h"
#include "tls/hello.h"

#include <stdlib.h>

static bool fuzz_has(const uint8_t *p, size_t n, uint8_t high, uint8_t low)
{
	return n >= 2 && ((p[0] == high && p[1] == low) ||
			  fuzz_has(p + 2, n - 2, high, low));
}

static bool fuzz_gcm12(const uint8_t *p, size_t n)
{
	return (fuzz_has(p, n, 0xc0, 0x2b) || fuzz_has(p, n, 0xc0, 0x2c)) &&
	       (fuzz_has(p, n, 0xc0, 0x2f) || fuzz_has(p, n, 0xc0, 0x30));
}

static bool fuzz_tls12(const uint8_t *p, size_t n)
{
	return n && p[0] + (size_t)1 == n && fuzz_has(p + 1, n - 1, 3, 3);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* Of exactly that size: a byte too far is an error of its own. */
	uint8_t *copy = malloc(size);

	MUST(copy || !size);
	if (size)
		memcpy(copy, data, size);
	MUST(hello_lists_gcm12(span_of(copy, size)) == fuzz_gcm12(data, size));
	MUST(hello_lists_tls12(span_of(copy, size)) == fuzz_tls12(data, size));
	free(copy);
	return 0;
}
