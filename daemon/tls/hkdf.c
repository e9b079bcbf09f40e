/* The hashes themselves: through OpenSSL's EVP they take twice as long. */
#define OPENSSL_SUPPRESS_DEPRECATED

#include "tls/hkdf.h"

#include "base/must.h"

#include <openssl/sha.h>

#define BLOCK_MAX  SHA512_CBLOCK
#define BLOCKS_MAX 255 /* RFC 5869 2.3 */
#define INFO_MAX   (2 + 1 + 2 * HKDF_INPUT_MAX + 1 + HKDF_INPUT_MAX + 1)

struct hashing {
	enum hkdf_hash hash;
	SHA256_CTX sha256;
	SHA512_CTX sha384;
};

size_t hkdf_hash_len(enum hkdf_hash hash)
{
	return hash == HKDF_SHA256 ? SHA256_DIGEST_LENGTH :
				     SHA384_DIGEST_LENGTH;
}

static size_t block_len(enum hkdf_hash hash)
{
	return hash == HKDF_SHA256 ? SHA256_CBLOCK : SHA512_CBLOCK;
}

static void hash_init(struct hashing *h, enum hkdf_hash hash)
{
	MUST(hash != HKDF_NO_HASH);
	h->hash = hash;
	if (hash == HKDF_SHA256)
		SHA256_Init(&h->sha256);
	else
		SHA384_Init(&h->sha384);
}

static void hash_put(struct hashing *h, struct span bytes)
{
	if (!bytes.len)
		return;
	if (h->hash == HKDF_SHA256)
		SHA256_Update(&h->sha256, bytes.p, bytes.len);
	else
		SHA384_Update(&h->sha384, bytes.p, bytes.len);
}

static void hash_fini(struct hashing *h, uint8_t to[HKDF_HASH_MAX])
{
	if (h->hash == HKDF_SHA256)
		SHA256_Final(to, &h->sha256);
	else
		SHA384_Final(to, &h->sha384);
	explicit_bzero(h, sizeof(*h));
}

void hkdf_hash_nothing(enum hkdf_hash hash, uint8_t to[HKDF_HASH_MAX])
{
	struct hashing h;

	hash_init(&h, hash);
	hash_fini(&h, to);
}

/* RFC 2104, of `first` and `second` together; `first` may lie in `to`. */
static void hmac(enum hkdf_hash hash, struct span key, struct span first,
		 struct span second, uint8_t to[HKDF_HASH_MAX])
{
	const size_t block = block_len(hash);
	uint8_t pad[BLOCK_MAX] = { 0 };
	struct hashing h;

	if (key.len)
		memcpy(pad, key.p, key.len);
	for (size_t i = 0; i < block; i++)
		pad[i] ^= 0x36;
	hash_init(&h, hash);
	hash_put(&h, span_of(pad, block));
	hash_put(&h, first);
	hash_put(&h, second);
	hash_fini(&h, to);
	for (size_t i = 0; i < block; i++)
		pad[i] ^= 0x36 ^ 0x5c;
	hash_init(&h, hash);
	hash_put(&h, span_of(pad, block));
	hash_put(&h, span_of(to, hkdf_hash_len(hash)));
	hash_fini(&h, to);
	explicit_bzero(pad, sizeof(pad));
}

static size_t put(uint8_t *to, struct span bytes)
{
	if (bytes.len)
		memcpy(to, bytes.p, bytes.len);
	return bytes.len;
}

/* struct HkdfLabel, RFC 8446 7.1, and room for the number of the block. */
static size_t put_info(uint8_t info[INFO_MAX], const struct hkdf_label *label,
		       size_t len)
{
	size_t n = 0;

	info[n++] = (uint8_t)(len >> 8);
	info[n++] = (uint8_t)len;
	info[n++] = (uint8_t)(label->prefix.len + label->label.len);
	n += put(info + n, label->prefix);
	n += put(info + n, label->label);
	info[n++] = (uint8_t)label->context.len;
	n += put(info + n, label->context);
	info[n++] = 0;
	return n;
}

bool hkdf_expand(enum hkdf_hash hash, struct span secret,
		 const struct hkdf_label *label, struct span_mut to)
{
	uint8_t info[INFO_MAX], block[HKDF_HASH_MAX];
	const size_t len = hkdf_hash_len(hash);
	size_t done = 0, info_n;

	if (secret.len > block_len(hash) || to.len > BLOCKS_MAX * len ||
	    label->prefix.len + label->label.len > UINT8_MAX ||
	    label->prefix.len > HKDF_INPUT_MAX ||
	    label->label.len > HKDF_INPUT_MAX ||
	    label->context.len > HKDF_INPUT_MAX)
		return false;
	info_n = put_info(info, label, to.len);
	while (done < to.len) {
		size_t n = to.len - done < len ? to.len - done : len;

		info[info_n - 1]++;
		hmac(hash, secret, span_of(block, done ? len : 0),
		     span_of(info, info_n), block);
		memcpy(to.p + done, block, n);
		done += n;
	}
	explicit_bzero(block, sizeof(block));
	return true;
}

bool hkdf_extract(enum hkdf_hash hash, struct span salt, struct span input,
		  uint8_t to[HKDF_HASH_MAX])
{
	if (salt.len > block_len(hash))
		return false;
	hmac(hash, salt, input, span_of(NULL, 0), to);
	return true;
}
