#include "tls/offload.h"

#include "base/must.h"
#include "tls/flaws.h"

#include <errno.h>
#include <linux/tls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/crypto.h>
#include <sys/socket.h>
#include <unistd.h>

/*
 * I1 The first key is the only step whose refusal leaves the socket usable: the
 *    ULP alone changes nothing. After it both directions are installed, or the
 *    connection is dead: half of it in the kernel is a state nobody tests.
 * I2 A copy of a key does not outlive the call that made it.
 */

#ifndef SOL_TLS
#define SOL_TLS 282 /* since 4.13 */
#endif

static const char *const names[] = {
#define OFFLOAD_NAME(constant, name, help) [constant] = (name),
	OFFLOAD_REASON_TABLE(OFFLOAD_NAME)
#undef OFFLOAD_NAME
};

static const char *const helps[] = {
#define OFFLOAD_HELP(constant, name, help) [constant] = (help),
	OFFLOAD_REASON_TABLE(OFFLOAD_HELP)
#undef OFFLOAD_HELP
};

const char *offload_name(enum offload_reason reason)
{
	MUST((unsigned int)reason < OFFLOAD_REASONS_N);
	return names[reason];
}

const char *offload_help(enum offload_reason reason)
{
	MUST((unsigned int)reason < OFFLOAD_REASONS_N);
	return helps[reason];
}

void offload_init(struct offload *o, bool any_kernel)
{
	*o = (struct offload){ .kernel = release_running(),
			       .any_kernel = any_kernel };
}

bool offload_may_splice_in(const struct offload *o)
{
	return o->any_kernel || flaws_allow_splice_in(&o->kernel);
}

bool offload_can_rekey(const struct offload *o)
{
	return release_reaches(&o->kernel, 6, 14, 0);
}

static int attach(int fd)
{
	static const char ulp[] = "tls";

	if (!setsockopt(fd, IPPROTO_TCP, TCP_ULP, ulp, sizeof(ulp) - 1) ||
	    errno == EEXIST)
		return 0;
	return -errno;
}

enum offload_reason offload_probe(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int status;

	if (fd < 0)
		return OFFLOAD_ERROR;
	/* The kernel finds the module before it finds fault with the socket,
	 * which is not connected. */
	status = attach(fd);
	(void)close(fd);
	return status && status != -ENOTCONN ? OFFLOAD_NO_ULP : OFFLOAD_KERNEL;
}

static enum offload_reason look(struct offload *o, uint64_t now_ms)
{
	enum offload_reason found = offload_probe();

	o->has_ulp = found == OFFLOAD_KERNEL;
	if (found == OFFLOAD_NO_ULP)
		o->ulp_look_ms = now_ms + OFFLOAD_MEMORY_MS;
	return found;
}

enum offload_reason offload_expect_any(struct offload *o, uint64_t now_ms)
{
	enum offload_reason found = OFFLOAD_KERNEL;

	if (!o->has_ulp)
		found = now_ms < o->ulp_look_ms ? OFFLOAD_NO_ULP :
						  look(o, now_ms);
	if (found != OFFLOAD_KERNEL)
		return found;
	if (!o->any_kernel && !flaws_allow_records(&o->kernel))
		return OFFLOAD_KERNEL_OLD;
	return OFFLOAD_KERNEL;
}

enum offload_reason offload_expect(struct offload *o, enum keys_cipher cipher,
				   uint64_t now_ms)
{
	enum offload_reason found = offload_expect_any(o, now_ms);

	if (found == OFFLOAD_KERNEL && now_ms < o->cipher_look_ms[cipher])
		return OFFLOAD_NO_CIPHER;
	return found;
}

/* What the kernel is given of one direction. */
struct crypto {
	socklen_t len;
	union {
		struct tls_crypto_info info;
		struct tls12_crypto_info_aes_gcm_128 gcm128;
		struct tls12_crypto_info_aes_gcm_256 gcm256;
		struct tls12_crypto_info_chacha20_poly1305 chacha;
	};
};

static void crypto_wipe(struct crypto *c)
{
	explicit_bzero(c, sizeof(*c));
}

static void put_sequence(unsigned char to[8], uint64_t sequence)
{
	for (int i = 0; i < 8; i++)
		to[i] = (unsigned char)(sequence >> (56 - 8 * i));
}

/*
 * The nonce of AES-GCM is a salt of 4 bytes and 8 more: in TLS 1.3 the rest of
 * the IV, in TLS 1.2 what each record carries, for which the number is as good
 * as any and never repeats (RFC 5288 3).
 */
static void put_nonce(unsigned char salt[4], unsigned char iv[8], bool tls13,
		      const struct offload_direction *d)
{
	memcpy(salt, d->keys.iv, 4);
	if (tls13)
		memcpy(iv, d->keys.iv + 4, 8);
	else
		put_sequence(iv, d->sequence);
}

static void crypto_fill(struct crypto *c, bool tls13,
			const struct offload_direction *d)
{
	const uint8_t *key = d->keys.key;

	*c = (struct crypto){ 0 };
	switch (d->keys.cipher) {
	case KEYS_AES_128_GCM:
		c->len = sizeof(c->gcm128);
		c->info.cipher_type = TLS_CIPHER_AES_GCM_128;
		memcpy(c->gcm128.key, key, sizeof(c->gcm128.key));
		put_nonce(c->gcm128.salt, c->gcm128.iv, tls13, d);
		put_sequence(c->gcm128.rec_seq, d->sequence);
		break;
	case KEYS_AES_256_GCM:
		c->len = sizeof(c->gcm256);
		c->info.cipher_type = TLS_CIPHER_AES_GCM_256;
		memcpy(c->gcm256.key, key, sizeof(c->gcm256.key));
		put_nonce(c->gcm256.salt, c->gcm256.iv, tls13, d);
		put_sequence(c->gcm256.rec_seq, d->sequence);
		break;
	case KEYS_CHACHA20_POLY1305:
		c->len = sizeof(c->chacha);
		c->info.cipher_type = TLS_CIPHER_CHACHA20_POLY1305;
		memcpy(c->chacha.key, key, sizeof(c->chacha.key));
		memcpy(c->chacha.iv, d->keys.iv, sizeof(c->chacha.iv));
		put_sequence(c->chacha.rec_seq, d->sequence);
		break;
	case KEYS_CIPHERS: MUST_NOT_REACH("their number is no cipher");
	}
	c->info.version = tls13 ? TLS_1_3_VERSION : TLS_1_2_VERSION;
}

static int install(int fd, int direction, bool tls13,
		   const struct offload_direction *d)
{
	struct crypto c;
	int status = 0;

	crypto_fill(&c, tls13, d);
	if (setsockopt(fd, SOL_TLS, direction, &c.info, c.len))
		status = -errno;
	crypto_wipe(&c); /* I2 */
	return status;
}

/* Whether the kernel says that it has what it was given. */
static bool installed(int fd, int direction, bool tls13,
		      const struct offload_direction *d)
{
	struct crypto given, found = { 0 };
	socklen_t len;
	bool same;

	crypto_fill(&given, tls13, d);
	len = given.len;
	same = !getsockopt(fd, SOL_TLS, direction, &found.info, &len) &&
	       len == given.len &&
	       !CRYPTO_memcmp(&found.info, &given.info, given.len);
	crypto_wipe(&given); /* I2 */
	crypto_wipe(&found);
	return same;
}

static enum offload_reason reason_of(struct offload *o, int error)
{
	o->error = error;
	return OFFLOAD_ERROR;
}

static enum offload_reason no_ulp(struct offload *o, int error, uint64_t now_ms)
{
	switch (-error) {
	case ENOTCONN: return OFFLOAD_ENDING; /* not, or no more, ESTABLISHED */
	case ENOENT:
	case ENOPROTOOPT:
		o->has_ulp = false;
		o->ulp_look_ms = now_ms + OFFLOAD_MEMORY_MS;
		return OFFLOAD_NO_ULP;
	default: return reason_of(o, error);
	}
}

static enum offload_reason no_key(struct offload *o, int error,
				  enum keys_cipher cipher, uint64_t now_ms)
{
	switch (-error) {
	case ENOENT: /* no module */
	case EINVAL: /* older than the cipher */
		o->cipher_look_ms[cipher] = now_ms + OFFLOAD_MEMORY_MS;
		return OFFLOAD_NO_CIPHER;
	default: return reason_of(o, error);
	}
}

enum offload_extent offload_install(struct offload *o, int fd,
				    const struct offload_keys *keys,
				    uint64_t now_ms,
				    enum offload_reason *ret_reason)
{
	const bool tls13 = keys->tls13;
	int error = attach(fd);

	if (error) {
		*ret_reason = no_ulp(o, error, now_ms);
		return OFFLOAD_NONE;
	}
	error = install(fd, TLS_TX, tls13, &keys->tx);
	if (error) {
		*ret_reason = no_key(o, error, keys->tx.keys.cipher, now_ms);
		return OFFLOAD_NONE;
	}
	error = install(fd, TLS_RX, tls13, &keys->rx); /* I1: from here on */
	if (error) {
		*ret_reason = reason_of(o, error);
		return OFFLOAD_HALF;
	}
	if (!installed(fd, TLS_TX, tls13, &keys->tx) ||
	    !installed(fd, TLS_RX, tls13, &keys->rx)) {
		*ret_reason = OFFLOAD_SELF_CHECK;
		return OFFLOAD_HALF;
	}
	*ret_reason = OFFLOAD_KERNEL;
	return OFFLOAD_WHOLE;
}

static int rekey(int fd, int direction, const struct keys *keys)
{
	struct offload_direction d = { .keys = *keys };
	int status = install(fd, direction, true, &d);

	keys_wipe(&d.keys);
	return status;
}

int offload_rekey_tx(int fd, const struct keys *keys)
{
	return rekey(fd, TLS_TX, keys);
}

int offload_rekey_rx(int fd, const struct keys *keys)
{
	return rekey(fd, TLS_RX, keys);
}

void offload_allow_zero_copy(int fd)
{
	const unsigned int on = 1;

	(void)setsockopt(fd, SOL_TLS, TLS_TX_ZEROCOPY_RO, &on, sizeof(on));
}
