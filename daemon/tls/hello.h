#pragma once

/*
 * hello: what a client offers, read from the parts of its first message (RFC
 * 8446 4.1.2) before OpenSSL chooses. Pure; what is malformed offers nothing,
 * and is refused by OpenSSL soon after.
 */

#include "base/span.h"

/* Whether a supported_versions extension lists TLS 1.2. */
bool hello_lists_tls12(struct span supported_versions);

/*
 * Whether the cipher suites hold one of TLS 1.2 with AES-GCM and ECDHE for each
 * type of certificate: such a client can be given it, whatever ours is.
 */
bool hello_lists_gcm12(struct span cipher_suites);
