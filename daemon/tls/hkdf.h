#pragma once

/*
 * hkdf: the two functions of TLS 1.3's key schedule (RFC 8446 7.1, RFC 5869)
 * with the hashes of its cipher suites. Pure; it wipes what it computed on the
 * way. Spans given and results never overlap.
 */

#include "base/span.h"

enum hkdf_hash { HKDF_NO_HASH, HKDF_SHA256, HKDF_SHA384 };

#define HKDF_HASH_MAX  48  /* octets of a hash */
#define HKDF_INPUT_MAX 128 /* of a secret, label or context: a block's most */

struct hkdf_label {
	struct span prefix; /* "tls13 " */
	struct span label;
	struct span context;
};

size_t hkdf_hash_len(enum hkdf_hash hash);

/*
 * HKDF-Expand-Label(secret, label, context, to.len). False, and nothing
 * written: an input or the result is longer than may be.
 */
bool hkdf_expand(enum hkdf_hash hash, struct span secret,
		 const struct hkdf_label *label, struct span_mut to);

/* HKDF-Extract(salt, input), hkdf_hash_len octets. False as above. */
bool hkdf_extract(enum hkdf_hash hash, struct span salt, struct span input,
		  uint8_t to[HKDF_HASH_MAX]);

/* The hash of nothing. */
void hkdf_hash_nothing(enum hkdf_hash hash, uint8_t to[HKDF_HASH_MAX]);
