#pragma once

/*
 * context: how OpenSSL is set up for either side: versions, suites, groups,
 * memory, session tickets, trust anchors. It decides what TLS we speak; which
 * certificate is spoken for is decided in creds.c. Each function has its own
 * SSL_CTX; the caller frees it.
 */

#include "tls/creds.h"

/* A server's, still without certificate; NULL: out of memory. */
struct ssl_ctx_st *
context_new_server(const struct creds_server_options *options);

/* A client's, that trusts anybody; NULL: out of memory. */
struct ssl_ctx_st *
context_new_client(const struct creds_client_options *options);

/*
 * Makes a client verify its peers with the anchors of `file` (PEM; NULL: those
 * of the system), read at once. False when none could be read.
 */
bool context_trust(struct ssl_ctx_st *ctx, const char *file);

/*
 * Leaves one version and one cipher suite (NULL: all), of those that are
 * allowed anyway. False when that leaves none.
 */
bool context_limit(struct ssl_ctx_st *ctx, enum creds_version version,
		   const char *cipher);
