#pragma once

/*
 * ktls_trial: what the kernel's TLS does when it is really asked: keys that
 * protect nothing are installed on connections of the loopback interface that
 * are reset at once. A trial can make the kernel load modules (tls, with
 * CAP_NET_ADMIN; ciphers, for anybody), and it counts in /proc/net/tls_stat;
 * nothing else is left behind.
 */

#include <stdint.h>

/* What a result is before anybody tried; else 0 or a negative errno. */
#define KTLS_UNTRIED 1

enum ktls_cipher {
	KTLS_AES_128_GCM,
	KTLS_AES_256_GCM,
	KTLS_CHACHA20_POLY1305,
	KTLS_CIPHERS
};

enum ktls_version { KTLS_TLS12, KTLS_TLS13, KTLS_VERSIONS };

struct ktls_trial {
	int tx;   /* installing the keys to send with */
	int rx;   /* to receive with */
	int pass; /* a record went from one to the other */
};

struct ktls_extras {
	int rekey_tx; /* new keys for a direction that has some */
	int rekey_rx;
	int zerocopy; /* TLS_TX_ZEROCOPY_RO */
};

/* TCP_ULP "tls" on a connection. */
int ktls_try_ulp(void);

struct ktls_trial ktls_try_cipher(enum ktls_version version,
				  enum ktls_cipher cipher);

/* With TLS 1.3 and AES-128-GCM, the pair that every kernel with TLS has. */
struct ktls_extras ktls_try_extras(void);
