#pragma once

/*
 * probe: what the probes share. A TLS connection over loopback whose two ends
 * live in this process; the installation of an end's keys in the kernel, by
 * ourselves; and the printing of facts. Whatever a probe does not ask about
 * must succeed, or the probe says where it stopped and exits 1. Nothing here is
 * for production: no error handling, one connection after the other.
 */

#include <liburing.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct bpf_object;

#define RECORD_MAX 16384

#define MUST(condition) \
	((condition) ? (void)0 : probe_stop(__FILE__, __LINE__, #condition))

_Noreturn void probe_stop(const char *file, int line, const char *what);

/* Call first: line-buffers the output and sets a limit of 60 seconds. */
void probe_start(void);

/* Says that nothing can be asked here, and exits, when the kernel has no tls. */
void probe_need_tls(void);
_Noreturn void probe_skip(const char *reason);

/* Prints a fact: `name: value`. A name has no colon. */
__attribute__((format(printf, 2, 3))) void say(const char *name,
					       const char *format, ...);

/* A count, or the name of the error that a negative number stands for. */
void say_result(const char *name, long result);

/* The same as text, in static storage that the eighth call uses again. */
const char *result_text(long result);

/* What a call of the C library that returned `result` did: count or -errno. */
long errno_of(long result);

/* A listener on 127.0.0.1; port 0: any, and then the one it got. */
int tcp_listen(uint16_t *port, bool reuse_port);

/* A connection to 127.0.0.1: its descriptor; -errno; -ETIMEDOUT after a second. */
int tcp_connect(uint16_t port);

/* Moves this process into a network of its own that has lo and nothing else. */
void net_unshare(void);

/* Opens the BPF object `file` that lies beside the running program. */
struct bpf_object *bpf_open(const char *file);

/* Opens it and loads all of it. */
struct bpf_object *bpf_load(const char *file);

struct options {
	int version;        /* TLS1_2_VERSION or TLS1_3_VERSION (0) */
	const char *cipher; /* OpenSSL's name; NULL: AES-128-GCM */
	int tickets;        /* that the server sends */
	bool read_ahead;    /* of the server's SSL */
	bool openssl_ktls;  /* let OpenSSL offload by itself, at both ends */
	const char *early;  /* the client writes it right behind its Finished */
};

struct end {
	int fd;
	SSL *ssl;
	bool is_server;
	uint8_t secret[2][EVP_MAX_MD_SIZE]; /* traffic secrets: out, in */
	size_t secret_len;
	uint64_t records[2]; /* since Finished: written, read */
};

struct pair {
	struct end client, server;
};

/* What the kernel can take over: each version with each cipher. */
struct suite {
	const char *name;
	int version;
	const char *cipher;
};
#define SUITES_N 6
extern const struct suite SUITES[SUITES_N];

enum direction { OUT, IN };

/* Connects and shakes hands. Both sockets are blocking. */
void pair_open(struct pair *p, const struct options *o);
void pair_close(struct pair *p);

/* A pair whose server has given its keys to the kernel, both ways. */
void pair_open_installed(struct pair *p, const struct options *o);

/* The keys of one direction into the kernel: 0 or -errno. ULP included. */
int end_install(struct end *e, enum direction direction);

/* Replaces the secret by that which follows a KeyUpdate, number 0. */
void end_next_secret(struct end *e, enum direction direction);

/* Does the kernel hold the keys we gave it, with our record number? */
bool end_is_installed(const struct end *e, enum direction direction);

/* The end's OpenSSL writes or reads exactly `len` bytes. */
void end_write(struct end *e, const void *bytes, size_t len);
void end_read(struct end *e, void *bytes, size_t len);

/* The record that the end's OpenSSL would send, into `out` instead. */
size_t end_seal(struct end *e, const void *bytes, size_t len, uint8_t *out);

/* Sends a record of `type` through the kernel; count or -errno. */
long send_record(int fd, uint8_t type, const void *bytes, size_t len);

/* Receives with room for the record's type (0: none came); count or -errno. */
long recv_record(int fd, uint8_t *type, void *bytes, size_t len);

/* recv(2) without waiting; count or -errno. */
long recv_now(int fd, void *bytes, size_t len);

/* poll(2) for input for `ms`; its revents. */
int poll_in(int fd, int ms);

/*
 * Submits and waits for one completion; its result, its flags. -ETIME: none
 * within `ms`.
 */
int ring_wait(struct io_uring *ring, unsigned ms, unsigned *flags);
