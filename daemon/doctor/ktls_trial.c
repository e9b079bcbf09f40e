#include "doctor/ktls_trial.h"

#include "base/must.h"

#include <errno.h>
#include <linux/tls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#ifndef SOL_TLS
#define SOL_TLS 282
#endif
#ifndef TCP_ULP
#define TCP_ULP 31
#endif

#define PATIENCE_S 2

union keys {
	struct tls_crypto_info info;
	struct tls12_crypto_info_aes_gcm_128 aes_128;
	struct tls12_crypto_info_aes_gcm_256 aes_256;
	struct tls12_crypto_info_chacha20_poly1305 chacha;
};

struct cipher {
	uint16_t type;
	socklen_t size;
};

#define SIZE_OF(member) sizeof(((union keys *)NULL)->member)

static const struct cipher ciphers[KTLS_CIPHERS] = {
	[KTLS_AES_128_GCM] = { TLS_CIPHER_AES_GCM_128, SIZE_OF(aes_128) },
	[KTLS_AES_256_GCM] = { TLS_CIPHER_AES_GCM_256, SIZE_OF(aes_256) },
	[KTLS_CHACHA20_POLY1305] = { TLS_CIPHER_CHACHA20_POLY1305,
				     SIZE_OF(chacha) },
};

/* The two ends of one connection. */
struct pair {
	int sender;
	int receiver;
};

static int open_listener(struct sockaddr_in *ret_address)
{
	socklen_t len = sizeof(*ret_address);
	struct sockaddr *address = (struct sockaddr *)ret_address;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int error;

	if (fd < 0)
		return -errno;
	*ret_address = (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	if (!bind(fd, address, len) && !listen(fd, 1) &&
	    !getsockname(fd, address, &len))
		return fd;
	error = -errno;
	(void)close(fd);
	return error;
}

/* A reset instead of a farewell: no TIME_WAIT stays behind. */
static void close_end(int fd)
{
	const struct linger reset = { .l_onoff = 1 };

	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	(void)close(fd);
}

static void pair_close(struct pair *p)
{
	close_end(p->sender);
	close_end(p->receiver);
}

static int connect_pair(int listener, const struct sockaddr_in *address,
			struct pair *ret)
{
	static const struct timeval patience = { .tv_sec = PATIENCE_S };
	int error;

	ret->sender = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (ret->sender < 0)
		return -errno;
	if (!connect(ret->sender, (const struct sockaddr *)address,
		     sizeof(*address))) {
		/* cppcheck-suppress nullPointer ; who it is is known */
		ret->receiver = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		if (ret->receiver >= 0) {
			(void)setsockopt(ret->receiver, SOL_SOCKET, SO_RCVTIMEO,
					 &patience, sizeof(patience));
			return 0;
		}
	}
	error = -errno;
	(void)close(ret->sender);
	return error;
}

static int pair_open(struct pair *ret)
{
	struct sockaddr_in address;
	int listener = open_listener(&address);
	int result;

	*ret = (struct pair){ -1, -1 };
	if (listener < 0)
		return listener;
	result = connect_pair(listener, &address, ret);
	(void)close(listener);
	return result;
}

static int set_ulp(int fd)
{
	return setsockopt(fd, IPPROTO_TCP, TCP_ULP, "tls", 4) ? -errno : 0;
}

/* With `generation` the keys differ; all but that is zero. */
static int set_keys(int fd, int direction, enum ktls_version version,
		    enum ktls_cipher cipher, uint8_t generation)
{
	union keys keys = { 0 };

	MUST(cipher < KTLS_CIPHERS);
	keys.info.version = version == KTLS_TLS12 ? TLS_1_2_VERSION :
						    TLS_1_3_VERSION;
	keys.info.cipher_type = ciphers[cipher].type;
	switch (cipher) {
	case KTLS_AES_128_GCM: keys.aes_128.key[0] = generation; break;
	case KTLS_AES_256_GCM: keys.aes_256.key[0] = generation; break;
	case KTLS_CHACHA20_POLY1305: keys.chacha.key[0] = generation; break;
	case KTLS_CIPHERS: break;
	}
	return setsockopt(fd, SOL_TLS, direction, &keys, ciphers[cipher].size) ?
		       -errno :
		       0;
}

static int pass_record(const struct pair *p)
{
	static const char sent[] = "a record";
	char got[sizeof(sent)] = "";
	ssize_t n = send(p->sender, sent, sizeof(sent), MSG_NOSIGNAL);

	if (n >= 0)
		n = recv(p->receiver, got, sizeof(got), MSG_WAITALL);
	if (n < 0)
		return -errno;
	return (size_t)n == sizeof(sent) && !memcmp(sent, got, sizeof(sent)) ?
		       0 :
		       -EBADMSG;
}

int ktls_try_ulp(void)
{
	struct pair p;
	int result = pair_open(&p);

	if (result)
		return result;
	result = set_ulp(p.sender);
	pair_close(&p);
	return result;
}

/* Both ends ready for keys. */
static int open_with_ulp(struct pair *ret)
{
	int result = pair_open(ret);

	if (result)
		return result;
	result = set_ulp(ret->sender);
	if (!result)
		result = set_ulp(ret->receiver);
	if (result)
		pair_close(ret);
	return result;
}

static struct ktls_trial try_on(const struct pair *p, enum ktls_version version,
				enum ktls_cipher cipher)
{
	struct ktls_trial trial = {
		.tx = set_keys(p->sender, TLS_TX, version, cipher, 0),
		.rx = set_keys(p->receiver, TLS_RX, version, cipher, 0),
		.pass = KTLS_UNTRIED,
	};

	if (!trial.tx && !trial.rx)
		trial.pass = pass_record(p);
	return trial;
}

struct ktls_trial ktls_try_cipher(enum ktls_version version,
				  enum ktls_cipher cipher)
{
	struct pair p;
	int result = open_with_ulp(&p);
	struct ktls_trial trial = { result, result, KTLS_UNTRIED };

	if (result)
		return trial;
	trial = try_on(&p, version, cipher);
	pair_close(&p);
	return trial;
}

struct ktls_extras ktls_try_extras(void)
{
	struct ktls_extras extras = { KTLS_UNTRIED, KTLS_UNTRIED,
				      KTLS_UNTRIED };
	const unsigned int on = 1;
	struct pair p;

	if (open_with_ulp(&p))
		return extras;
	if (!try_on(&p, KTLS_TLS13, KTLS_AES_128_GCM).pass) {
		extras.zerocopy = setsockopt(p.sender, SOL_TLS,
					     TLS_TX_ZEROCOPY_RO, &on,
					     sizeof(on)) ?
					  -errno :
					  0;
		extras.rekey_tx = set_keys(p.sender, TLS_TX, KTLS_TLS13,
					   KTLS_AES_128_GCM, 1);
		extras.rekey_rx = set_keys(p.receiver, TLS_RX, KTLS_TLS13,
					   KTLS_AES_128_GCM, 1);
	}
	pair_close(&p);
	return extras;
}
