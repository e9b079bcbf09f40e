#include "probe.h"

#include <arpa/inet.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/tls.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#ifndef TCP_ULP
#define TCP_ULP 31
#endif
#define KERNEL_ERESTARTSYS 512 /* never meant for userspace */

/* ---- facts --------------------------------------------------------------- */

void probe_stop(const char *file, int line, const char *what)
{
	printf("stopped: %s:%d: %s (%s)\n", file, line, what, strerror(errno));
	exit(1);
}

void probe_start(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGPIPE, SIG_IGN);
	alarm(60);
}

void probe_skip(const char *reason)
{
	printf("skip: %s\n", reason);
	exit(0);
}

void say(const char *name, const char *format, ...)
{
	va_list ap;

	printf("%s: ", name);
	va_start(ap, format);
	vprintf(format, ap);
	va_end(ap);
	putchar('\n');
}

const char *result_text(long result)
{
	static char texts[8][32];
	static unsigned next;
	char *text = texts[next++ % 8];
	const char *name = result < 0 ? strerrorname_np((int)-result) : NULL;

	if (name)
		snprintf(text, sizeof(texts[0]), "-%s", name);
	else if (result == -KERNEL_ERESTARTSYS)
		snprintf(text, sizeof(texts[0]), "-512");
	else
		snprintf(text, sizeof(texts[0]), "%ld", result);
	return text;
}

void say_result(const char *name, long result)
{
	say(name, "%s", result_text(result));
}

long errno_of(long result)
{
	return result < 0 ? -errno : result;
}

const struct suite SUITES[SUITES_N] = {
	{ "tls1.2 aes128", TLS1_2_VERSION, "ECDHE-ECDSA-AES128-GCM-SHA256" },
	{ "tls1.2 aes256", TLS1_2_VERSION, "ECDHE-ECDSA-AES256-GCM-SHA384" },
	{ "tls1.2 chacha", TLS1_2_VERSION, "ECDHE-ECDSA-CHACHA20-POLY1305" },
	{ "tls1.3 aes128", TLS1_3_VERSION, "TLS_AES_128_GCM_SHA256" },
	{ "tls1.3 aes256", TLS1_3_VERSION, "TLS_AES_256_GCM_SHA384" },
	{ "tls1.3 chacha", TLS1_3_VERSION, "TLS_CHACHA20_POLY1305_SHA256" },
};

/* ---- the connection ------------------------------------------------------ */

int tcp_listen(uint16_t *port, bool reuse_port)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
	struct sockaddr_in at = {
		.sin_family = AF_INET,
		.sin_port = htons(*port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t len = sizeof(at);

	if (reuse_port)
		MUST(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on,
				sizeof(on)) == 0);
	MUST(bind(fd, (struct sockaddr *)&at, len) == 0);
	MUST(listen(fd, 64) == 0);
	MUST(getsockname(fd, (struct sockaddr *)&at, &len) == 0);
	*port = ntohs(at.sin_port);
	return fd;
}

int tcp_connect(uint16_t port)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct timeval limit = { .tv_sec = 1 };
	struct sockaddr_in to = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int error;

	MUST(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) ==
	     0);
	do { /* what an earlier ring has to finish may interrupt it */
		if (connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0 ||
		    errno == EISCONN)
			return fd;
	} while (errno == EINTR);
	error = errno == EINPROGRESS ? ETIMEDOUT : errno;
	close(fd);
	return -error;
}

static void tcp_pair(int *client, int *server)
{
	uint16_t port = 0;
	int listener = tcp_listen(&port, false), on = 1;

	*client = tcp_connect(port);
	do /* as in tcp_connect */
		*server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	while (*server < 0 && errno == EINTR);
	MUST(*client >= 0 && *server >= 0);
	MUST(setsockopt(*client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) ==
	     0);
	MUST(setsockopt(*server, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) ==
	     0);
	close(listener);
}

void net_unshare(void)
{
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd;

	if (unshare(CLONE_NEWNET) < 0)
		probe_skip("no permission to make a network namespace");
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	MUST(ioctl(fd, SIOCSIFFLAGS, &lo) == 0);
	close(fd);
}

struct bpf_object *bpf_open(const char *file)
{
	char path[PATH_MAX];
	struct bpf_object *object;
	ssize_t len = readlink("/proc/self/exe", path, sizeof(path) - 1);

	MUST(len > 0);
	path[len] = '\0';
	snprintf(strrchr(path, '/') + 1, 64, "%s", file);
	object = bpf_object__open_file(path, NULL);
	MUST(object);
	return object;
}

struct bpf_object *bpf_load(const char *file)
{
	struct bpf_object *object = bpf_open(file);

	MUST(bpf_object__load(object) == 0);
	return object;
}

void probe_need_tls(void)
{
	int client, server, result;

	tcp_pair(&client, &server);
	result = setsockopt(server, IPPROTO_TCP, TCP_ULP, "tls", 4);
	if (result < 0 && errno == ENOENT)
		probe_skip("this kernel has no tls");
	MUST(result == 0);
	close(client);
	close(server);
}

static uint8_t nibble(char digit)
{
	return (uint8_t)(digit <= '9' ? digit - '0' : digit - 'a' + 10);
}

/* The key log is how OpenSSL 3.0 hands out traffic secrets. */
static void on_keylog(const SSL *ssl, const char *line)
{
	struct end *e = SSL_get_app_data(ssl);
	const char *hex = strrchr(line, ' ');
	bool by_server = strncmp(line, "SERVER", 6) == 0;
	uint8_t *secret = e->secret[by_server == e->is_server ? OUT : IN];

	if (!strstr(line, "_TRAFFIC_SECRET_0 ") || !hex)
		return;
	e->secret_len = strlen(++hex) / 2;
	MUST(e->secret_len <= sizeof(e->secret[0]));
	for (size_t i = 0; i < e->secret_len; i++)
		secret[i] = (uint8_t)(nibble(hex[2 * i]) << 4 |
				      nibble(hex[2 * i + 1]));
}

/* The header of the record that holds Finished is shown before it. */
static void on_message(int out, int version, int type, const void *bytes,
		       size_t len, SSL *ssl, void *end)
{
	struct end *e = end;
	enum direction direction = out ? OUT : IN;

	(void)version;
	(void)ssl;
	if (type == SSL3_RT_HEADER)
		e->records[direction]++;
	if (type == SSL3_RT_HANDSHAKE && len &&
	    *(const uint8_t *)bytes == SSL3_MT_FINISHED)
		e->records[direction] = 0;
}

static void use_certificate(SSL_CTX *ctx)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *x = X509_new();

	MUST(key && x);
	X509_set_version(x, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
	X509_gmtime_adj(X509_getm_notBefore(x), -3600);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
				   (const uint8_t *)"localhost", -1, -1, 0);
	X509_set_issuer_name(x, X509_get_subject_name(x));
	X509_set_pubkey(x, key);
	MUST(X509_sign(x, key, EVP_sha256()));
	MUST(SSL_CTX_use_certificate(ctx, x) == 1);
	MUST(SSL_CTX_use_PrivateKey(ctx, key) == 1);
	X509_free(x);
	EVP_PKEY_free(key);
}

static SSL_CTX *make_context(const struct options *o, bool is_server)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_method());
	int version = o->version ? o->version : TLS1_3_VERSION;
	const char *cipher = o->cipher;

	MUST(ctx);
	SSL_CTX_set_min_proto_version(ctx, version);
	SSL_CTX_set_max_proto_version(ctx, version);
	if (version == TLS1_3_VERSION)
		MUST(SSL_CTX_set_ciphersuites(
			ctx, cipher ? cipher : "TLS_AES_128_GCM_SHA256"));
	else
		MUST(SSL_CTX_set_cipher_list(
			ctx,
			cipher ? cipher : "ECDHE-ECDSA-AES128-GCM-SHA256"));
	SSL_CTX_set_keylog_callback(ctx, on_keylog);
	SSL_CTX_set_num_tickets(ctx, (size_t)o->tickets);
	if (!o->tickets)
		SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
	if (o->openssl_ktls)
		SSL_CTX_set_options(ctx, SSL_OP_ENABLE_KTLS);
	SSL_CTX_set_read_ahead(ctx, is_server && o->read_ahead);
	if (is_server)
		use_certificate(ctx);
	return ctx;
}

static void end_open(struct end *e, const struct options *o, bool is_server)
{
	SSL_CTX *ctx = make_context(o, is_server);

	e->is_server = is_server;
	e->ssl = SSL_new(ctx);
	SSL_CTX_free(ctx);
	MUST(e->ssl && SSL_set_fd(e->ssl, e->fd) == 1);
	SSL_set_app_data(e->ssl, e);
	SSL_set_msg_callback(e->ssl, on_message);
	SSL_set_msg_callback_arg(e->ssl, e);
	SSL_set_mode(e->ssl, SSL_MODE_ENABLE_PARTIAL_WRITE);
	if (is_server)
		SSL_set_accept_state(e->ssl);
	else
		SSL_set_connect_state(e->ssl);
}

static void set_blocking(int fd, bool blocking)
{
	int flags = fcntl(fd, F_GETFL);

	MUST(fcntl(fd, F_SETFL,
		   blocking ? flags & ~O_NONBLOCK : flags | O_NONBLOCK) == 0);
}

void pair_open(struct pair *p, const struct options *o)
{
	bool client_done = false, server_done = false;

	*p = (struct pair){ 0 };
	tcp_pair(&p->client.fd, &p->server.fd);
	end_open(&p->client, o, false);
	end_open(&p->server, o, true);
	set_blocking(p->client.fd, false);
	set_blocking(p->server.fd, false);
	while (!client_done || !server_done) {
		if (!client_done && SSL_do_handshake(p->client.ssl) == 1) {
			client_done = true;
			if (o->early)
				end_write(&p->client, o->early,
					  strlen(o->early));
		}
		if (!server_done && SSL_do_handshake(p->server.ssl) == 1)
			server_done = true;
	}
	set_blocking(p->client.fd, true);
	set_blocking(p->server.fd, true);
}

void pair_open_installed(struct pair *p, const struct options *o)
{
	pair_open(p, o);
	MUST(end_install(&p->server, OUT) == 0);
	MUST(end_install(&p->server, IN) == 0);
}

static void end_close(struct end *e)
{
	SSL_set_quiet_shutdown(e->ssl, 1);
	SSL_free(e->ssl);
	close(e->fd);
}

void pair_close(struct pair *p)
{
	end_close(&p->client);
	end_close(&p->server);
}

/* ---- keys ---------------------------------------------------------------- */

struct keys {
	uint8_t key[32], iv[12];
	size_t key_len, iv_len; /* iv: 4 bytes of salt in TLS 1.2 with GCM */
	uint64_t number;        /* of the next record */
};

/* The kernel's struct for any cipher. */
union crypto {
	struct tls_crypto_info info;
	struct tls12_crypto_info_aes_gcm_128 aes128;
	struct tls12_crypto_info_aes_gcm_256 aes256;
	struct tls12_crypto_info_chacha20_poly1305 chacha;
};

static void derive(const char *kdf_name, OSSL_PARAM *params, uint8_t *out,
		   size_t len)
{
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, kdf_name, NULL);
	EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(kdf);

	MUST(ctx && EVP_KDF_derive(ctx, out, len, params) == 1);
	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(kdf);
}

static char *digest_of(const SSL *ssl)
{
	const SSL_CIPHER *cipher = SSL_get_current_cipher(ssl);

	return (char *)(uintptr_t)EVP_MD_get0_name(
		SSL_CIPHER_get_handshake_digest(cipher));
}

/* RFC 8446, 7.1: HKDF-Expand-Label without context. */
static void expand_label(const struct end *e, enum direction direction,
			 const char *label, uint8_t *out, size_t len)
{
	uint8_t info[64] = { (uint8_t)(len >> 8), (uint8_t)len };
	int mode = EVP_KDF_HKDF_MODE_EXPAND_ONLY;
	int n = snprintf((char *)info + 3, sizeof(info) - 4, "tls13 %s", label);
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_int("mode", &mode),
		OSSL_PARAM_construct_utf8_string("digest", digest_of(e->ssl),
						 0),
		OSSL_PARAM_construct_octet_string(
			"key", (void *)(uintptr_t)e->secret[direction],
			e->secret_len),
		OSSL_PARAM_construct_octet_string("info", info, (size_t)n + 4),
		OSSL_PARAM_construct_end(),
	};

	info[2] = (uint8_t)n;
	derive("HKDF", params, out, len);
}

void end_next_secret(struct end *e, enum direction direction)
{
	uint8_t next[EVP_MAX_MD_SIZE];

	expand_label(e, direction, "traffic upd", next, e->secret_len);
	memcpy(e->secret[direction], next, e->secret_len);
	e->records[direction] = 0;
}

/* RFC 5246, 6.3: the block holds both keys, then both IVs, client's first. */
static void key_block(const struct end *e, enum direction direction,
		      struct keys *k)
{
	uint8_t master[48], seed[13 + 64] = "key expansion", block[128];
	size_t mine = (direction == OUT) == e->is_server ? 1 : 0;
	size_t len = SSL_SESSION_get_master_key(SSL_get_session(e->ssl), master,
						sizeof(master));
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string("digest", digest_of(e->ssl),
						 0),
		OSSL_PARAM_construct_octet_string("secret", master, len),
		OSSL_PARAM_construct_octet_string("seed", seed, sizeof(seed)),
		OSSL_PARAM_construct_end(),
	};

	SSL_get_server_random(e->ssl, seed + 13, 32);
	SSL_get_client_random(e->ssl, seed + 13 + 32, 32);
	derive("TLS1-PRF", params, block, 2 * (k->key_len + k->iv_len));
	memcpy(k->key, block + mine * k->key_len, k->key_len);
	memcpy(k->iv, block + 2 * k->key_len + mine * k->iv_len, k->iv_len);
}

static void put_number(uint8_t *out, uint64_t number)
{
	for (int i = 7; i >= 0; i--, number >>= 8)
		out[i] = (uint8_t)number;
}

static socklen_t fill(union crypto *c, const struct keys *k, uint16_t version,
		      int cipher)
{
	bool tls12 = version == TLS_1_2_VERSION;
	uint8_t number[8];

	*c = (union crypto){ .info = { .version = version } };
	put_number(number, k->number);
	switch (cipher) {
	case NID_aes_128_gcm:
		c->info.cipher_type = TLS_CIPHER_AES_GCM_128;
		memcpy(c->aes128.key, k->key, k->key_len);
		memcpy(c->aes128.salt, k->iv, 4);
		memcpy(c->aes128.iv, tls12 ? number : k->iv + 4, 8);
		memcpy(c->aes128.rec_seq, number, 8);
		return sizeof(c->aes128);
	case NID_aes_256_gcm:
		c->info.cipher_type = TLS_CIPHER_AES_GCM_256;
		memcpy(c->aes256.key, k->key, k->key_len);
		memcpy(c->aes256.salt, k->iv, 4);
		memcpy(c->aes256.iv, tls12 ? number : k->iv + 4, 8);
		memcpy(c->aes256.rec_seq, number, 8);
		return sizeof(c->aes256);
	default:
		c->info.cipher_type = TLS_CIPHER_CHACHA20_POLY1305;
		memcpy(c->chacha.key, k->key, k->key_len);
		memcpy(c->chacha.iv, k->iv, 12);
		memcpy(c->chacha.rec_seq, number, 8);
		return sizeof(c->chacha);
	}
}

static socklen_t crypto_of(const struct end *e, enum direction direction,
			   union crypto *c)
{
	int cipher = SSL_CIPHER_get_cipher_nid(SSL_get_current_cipher(e->ssl));
	bool tls12 = SSL_version(e->ssl) == TLS1_2_VERSION;
	struct keys k = {
		.key_len = cipher == NID_aes_128_gcm ? 16 : 32,
		.iv_len = tls12 && cipher != NID_chacha20_poly1305 ? 4 : 12,
		.number = e->records[direction],
	};

	if (tls12) { /* Finished was record 0 */
		k.number++;
		key_block(e, direction, &k);
		return fill(c, &k, TLS_1_2_VERSION, cipher);
	}
	expand_label(e, direction, "key", k.key, k.key_len);
	expand_label(e, direction, "iv", k.iv, k.iv_len);
	return fill(c, &k, TLS_1_3_VERSION, cipher);
}

int end_install(struct end *e, enum direction direction)
{
	union crypto c;
	socklen_t len = crypto_of(e, direction, &c);

	if (setsockopt(e->fd, IPPROTO_TCP, TCP_ULP, "tls", 4) < 0 &&
	    errno != EEXIST)
		return -errno;
	return (int)errno_of(setsockopt(
		e->fd, SOL_TLS, direction == OUT ? TLS_TX : TLS_RX, &c, len));
}

bool end_is_installed(const struct end *e, enum direction direction)
{
	union crypto ours, theirs;
	socklen_t len = crypto_of(e, direction, &ours);

	memset(&theirs, 0, sizeof(theirs));
	return getsockopt(e->fd, SOL_TLS, direction == OUT ? TLS_TX : TLS_RX,
			  &theirs, &len) == 0 &&
	       memcmp(&ours, &theirs, len) == 0;
}

/* ---- bytes --------------------------------------------------------------- */

void end_write(struct end *e, const void *bytes, size_t len)
{
	const uint8_t *p = bytes;

	while (len) {
		int n = SSL_write(e->ssl, p, (int)len);

		MUST(n > 0);
		p += n;
		len -= (size_t)n;
	}
}

void end_read(struct end *e, void *bytes, size_t len)
{
	uint8_t *p = bytes;

	while (len) {
		int n = SSL_read(e->ssl, p, (int)len);

		MUST(n > 0);
		p += n;
		len -= (size_t)n;
	}
}

size_t end_seal(struct end *e, const void *bytes, size_t len, uint8_t *out)
{
	BIO *memory = BIO_new(BIO_s_mem());
	char *sealed;
	long n;

	SSL_set0_wbio(e->ssl, memory);
	end_write(e, bytes, len);
	n = BIO_get_mem_data(memory, &sealed);
	memcpy(out, sealed, (size_t)n);
	SSL_set0_wbio(e->ssl, BIO_new_socket(e->fd, BIO_NOCLOSE));
	return (size_t)n;
}

long send_record(int fd, uint8_t type, const void *bytes, size_t len)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(1)];
	} control = { 0 };
	struct iovec iov = { (void *)(uintptr_t)bytes, len };
	struct msghdr m = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_TLS;
	c->cmsg_type = TLS_SET_RECORD_TYPE;
	c->cmsg_len = CMSG_LEN(1);
	*CMSG_DATA(c) = type;
	return errno_of(sendmsg(fd, &m, 0));
}

long recv_record(int fd, uint8_t *type, void *bytes, size_t len)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(1)];
	} control = { 0 };
	struct iovec iov = { bytes, len };
	struct msghdr m = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	long n = errno_of(recvmsg(fd, &m, 0));
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	*type = 0;
	if (n >= 0 && c && c->cmsg_level == SOL_TLS &&
	    c->cmsg_type == TLS_GET_RECORD_TYPE)
		*type = *CMSG_DATA(c);
	return n;
}

long recv_now(int fd, void *bytes, size_t len)
{
	return errno_of(recv(fd, bytes, len, MSG_DONTWAIT));
}

int poll_in(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	MUST(poll(&p, 1, ms) >= 0);
	return p.revents;
}

int ring_wait(struct io_uring *ring, unsigned ms, unsigned *flags)
{
	struct __kernel_timespec t = {
		.tv_sec = ms / 1000,
		.tv_nsec = (long long)(ms % 1000) * 1000000,
	};
	struct io_uring_cqe *cqe;
	int result;

	MUST(io_uring_submit(ring) >= 0);
	result = io_uring_wait_cqe_timeout(ring, &cqe, &t);
	if (result < 0)
		return result;
	result = cqe->res;
	if (flags)
		*flags = cqe->flags;
	io_uring_cqe_seen(ring, cqe);
	return result;
}
