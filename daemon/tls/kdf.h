#pragma once

/*
 * kdf: the key schedule of TLS 1.3 (RFC 8446 7.1) for OpenSSL: a provider in
 * this process that has the one function TLS13-KDF and nothing else. OpenSSL's
 * own does the same through five layers, each of which looks up algorithms and
 * allocates; a handshake derives some twenty keys, and an eighth of its time
 * was that. It keeps no secret beyond a derivation and knows no connection.
 */

/*
 * What to look algorithms up with: ours where we have it, else OpenSSL's. Where
 * the system demands properties that ours has not (fips=yes), it is OpenSSL's.
 */
#define KDF_PREFERRED "?provider=sluice"

/*
 * Makes it known to OpenSSL in this process; by one thread, before anything is
 * looked up with KDF_PREFERRED. Should it fail, OpenSSL uses its own.
 */
void kdf_setup(void);
