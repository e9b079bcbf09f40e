#include "base/secret.h"

#include <string.h>

bool secret_set(struct secret *secret, struct span s)
{
	secret_wipe(secret);
	if (s.len > sizeof(secret->bytes))
		return false;
	if (s.len)
		memcpy(secret->bytes, s.p, s.len);
	secret->len = (uint16_t)s.len;
	return true;
}

void secret_wipe(struct secret *secret)
{
	explicit_bzero(secret, sizeof(*secret));
}

bool secret_equal(struct span a, struct span b)
{
	volatile uint8_t difference = (uint8_t)(a.len != b.len);

	for (size_t i = 0; i < a.len && i < b.len; i++)
		difference = (uint8_t)(difference | (a.p[i] ^ b.p[i]));
	return !difference;
}
