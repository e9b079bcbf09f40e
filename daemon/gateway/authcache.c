#include "gateway/authcache.h"

#include "base/secret.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <sys/random.h>

int authcache_init(struct authcache *c, uint32_t entries, uint64_t lifetime_ms)
{
	*c = (struct authcache){ .n = entries, .lifetime_ms = lifetime_ms };
	if (!entries)
		return 0;
	if (getrandom(c->key, sizeof(c->key), 0) != sizeof(c->key))
		return -EIO;
	c->entries = calloc(entries, sizeof(*c->entries));
	return c->entries ? 0 : -ENOMEM;
}

void authcache_fini(struct authcache *c)
{
	free(c->entries);
	explicit_bzero(c, sizeof(*c));
}

/*
 * HMAC over a length-prefixed user and the password, so that no two pairs give
 * the same input.
 */
static bool digest(const struct authcache *c, struct span user,
		   struct span password, uint8_t ret[AUTHCACHE_DIGEST])
{
	uint8_t text[2 + 1024];
	size_t len = 2 + user.len + password.len;
	size_t ret_len = 0;
	bool made;

	if (len > sizeof(text))
		return false;
	text[0] = (uint8_t)(user.len >> 8);
	text[1] = (uint8_t)user.len;
	if (user.len)
		memcpy(text + 2, user.p, user.len);
	if (password.len)
		memcpy(text + 2 + user.len, password.p, password.len);
	made = EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, c->key,
			 sizeof(c->key), text, len, ret, AUTHCACHE_DIGEST,
			 &ret_len);
	explicit_bzero(text, sizeof(text));
	return made && ret_len == AUTHCACHE_DIGEST;
}

static struct authcache_entry *slot_of(const struct authcache *c,
				       const uint8_t digest[AUTHCACHE_DIGEST])
{
	uint32_t hash;

	memcpy(&hash, digest, sizeof(hash));
	return &c->entries[hash % c->n];
}

bool authcache_knows(const struct authcache *c, struct span user,
		     struct span password, uint64_t now_ms)
{
	uint8_t wanted[AUTHCACHE_DIGEST];
	const struct authcache_entry *e;

	if (!c->n || !digest(c, user, password, wanted))
		return false;
	e = slot_of(c, wanted);
	return e->expires_ms > now_ms &&
	       secret_equal(span_of(e->digest, sizeof(e->digest)),
			    span_of(wanted, sizeof(wanted)));
}

void authcache_remember(struct authcache *c, struct span user,
			struct span password, uint64_t now_ms)
{
	uint8_t fresh[AUTHCACHE_DIGEST];
	struct authcache_entry *e;

	if (!c->n || !digest(c, user, password, fresh))
		return;
	e = slot_of(c, fresh);
	memcpy(e->digest, fresh, sizeof(fresh));
	e->expires_ms = now_ms + c->lifetime_ms;
}
