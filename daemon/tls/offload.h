#pragma once

/*
 * offload: hands the keys of a finished handshake to the kernel (kTLS), both
 * directions or none, and knows why it could not. It remembers for a while what
 * the kernel refused, so that one without kTLS is not asked for every
 * connection; a module loaded later is found within OFFLOAD_MEMORY_MS. One
 * struct offload per process; time is passed in.
 */

#include "tls/keys.h"
#include "tls/release.h"

/* What a listener or a route wants. */
enum offload_policy {
	OFFLOAD_POLICY_OFF,
	OFFLOAD_POLICY_PREFER,
	OFFLOAD_POLICY_REQUIRE, /* no kernel records, no session */
};

/* X(constant, name, what it means and what to do). */
#define OFFLOAD_REASON_TABLE(X)                                                \
	X(OFFLOAD_KERNEL, "kernel", "the kernel makes the records")            \
	X(OFFLOAD_UNTRIED, "untried", "not tried yet")                         \
	X(OFFLOAD_OFF, "off", "switched off for this listener or route")       \
	X(OFFLOAD_NO_ULP, "no-ulp",                                            \
	  "the kernel has no kTLS: modprobe tls, or a kernel with CONFIG_TLS") \
	X(OFFLOAD_NO_CIPHER, "no-cipher",                                      \
	  "the kernel has not this cipher: load its crypto module")            \
	X(OFFLOAD_VERSION, "version",                                          \
	  "the kernel knows no such TLS version or suite")                     \
	X(OFFLOAD_SHORT_RECORDS, "short-records",                              \
	  "the client asked for records shorter than the kernel makes")        \
	X(OFFLOAD_PENDING, "pending",                                          \
	  "a record is under way: tried again at its end")                     \
	X(OFFLOAD_REKEYED, "rekeyed",                                          \
	  "the keys were changed before the kernel had them")                  \
	X(OFFLOAD_ENDING, "ending", "the connection was ending already")       \
	X(OFFLOAD_KERNEL_OLD, "kernel-old",                                    \
	  "this kernel's kTLS has known bugs: upgrade it")                     \
	X(OFFLOAD_SELF_CHECK, "self-check",                                    \
	  "the kernel answered with other keys than it was given")             \
	X(OFFLOAD_ERROR, "error", "the kernel refused: see its errno")

#define OFFLOAD_CONSTANT(constant, name, help) constant,
enum offload_reason {
	OFFLOAD_REASON_TABLE(OFFLOAD_CONSTANT) OFFLOAD_REASONS_N
};
#undef OFFLOAD_CONSTANT

/* Short, for counters and logs: "no-ulp"; and one line for people. */
const char *offload_name(enum offload_reason reason);
const char *offload_help(enum offload_reason reason);

#define OFFLOAD_MEMORY_MS 30000

/* What this process knows of its kernel. */
struct offload {
	struct release kernel;
	bool any_kernel; /* known bugs do not matter */
	bool has_ulp;
	uint64_t ulp_look_ms; /* when to look again for what was not there */
	uint64_t cipher_look_ms[KEYS_CIPHERS];
	int error; /* negative errno of the last OFFLOAD_ERROR */
};

/* Asks which kernel runs; any_kernel: use it whatever its bugs. */
void offload_init(struct offload *o, bool any_kernel);

/* No known bug speaks against receiving by splice. */
bool offload_may_splice_in(const struct offload *o);

/* TLS 1.3 keys can be changed on a socket: since 6.14. */
bool offload_can_rekey(const struct offload *o);

/*
 * Whether the kernel has kTLS. Makes it load its module, which a process
 * without CAP_NET_ADMIN cannot: the supervisor asks before it forks.
 * OFFLOAD_KERNEL, OFFLOAD_NO_ULP or OFFLOAD_ERROR (no socket to ask with).
 */
enum offload_reason offload_probe(void);

/*
 * OFFLOAD_KERNEL when nothing that is known speaks against trying: with any
 * cipher, or with that one. Asks the kernel anew, on a socket of its own, when
 * it is time.
 */
enum offload_reason offload_expect_any(struct offload *o, uint64_t now_ms);
enum offload_reason offload_expect(struct offload *o, enum keys_cipher cipher,
				   uint64_t now_ms);

/* A direction's keys and the number of its next record. */
struct offload_direction {
	struct keys keys;
	uint64_t sequence;
};

struct offload_keys {
	bool tls13;
	struct offload_direction tx, rx;
};

enum offload_extent {
	OFFLOAD_WHOLE, /* installed and checked */
	OFFLOAD_NONE,  /* the socket is as it was */
	OFFLOAD_HALF,  /* some of it is installed: the connection is dead */
};

/*
 * Installs both directions on a connected TCP socket that nobody reads or
 * writes meanwhile, and reads them back. *ret_reason is OFFLOAD_KERNEL or why
 * not. What the kernel refused is remembered.
 */
enum offload_extent offload_install(struct offload *o, int fd,
				    const struct offload_keys *keys,
				    uint64_t now_ms,
				    enum offload_reason *ret_reason);

/*
 * A card that encrypts may then read a file's pages themselves, instead of a
 * copy, also when it sends them again; so what is sent from files must not
 * change meanwhile, and spooled mail never does. Where software encrypts it
 * changes nothing, and old kernels do without (Documentation/networking/
 * tls.rst, "TLS_TX_ZEROCOPY_RO").
 */
void offload_allow_zero_copy(int fd);

/*
 * Gives a socket new keys, counting from 0, after a KeyUpdate; TLS 1.3 only.
 * Negative errno: -EBUSY from a kernel that cannot (older than 6.14).
 */
int offload_rekey_tx(int fd, const struct keys *keys);
int offload_rekey_rx(int fd, const struct keys *keys);
