#pragma once

/*
 * creds: what a side of TLS needs before a connection exists: certificates
 * chosen by name and key type, the session ticket keys, versions and ciphers.
 * Made by the supervisor (which alone may read keys), inherited by fork, never
 * changed afterwards: a reload makes new ones and old sessions keep theirs.
 * OpenSSL stays behind this folder's doors.
 */

#include "base/span.h"
#include "tls/ticket.h"

struct creds;
struct ssl_ctx_st;

/* Tickets are good for this long, or until their key has been rotated out. */
#define CREDS_TICKET_SECONDS 7200

/* PEM texts, read by the caller; the key is wiped by its owner. */
struct creds_certificate {
	const char *name;  /* for messages */
	struct span chain; /* leaf first */
	struct span key;
};

/*
 * What cards take today is TLS 1.2 with AES-GCM. A server that prefers it
 * gives it to every client that offers it, and TLS 1.3 to the others; a client
 * cannot know before, and offers no TLS 1.3. Required: there is nothing else.
 */
enum creds_device {
	CREDS_DEVICE_OFF,
	CREDS_DEVICE_PREFER,
	CREDS_DEVICE_REQUIRE,
};

struct creds_server_options {
	bool tls12;       /* TLS 1.2 allowed beside 1.3 */
	bool resumption;  /* tickets accepted and sent */
	uint32_t tickets; /* sent after a full TLS 1.3 handshake */
	struct ticket_keys *ticket_keys; /* shared memory; NULL: no tickets */
	enum creds_device device;        /* needs tls12 */
};

enum creds_version { CREDS_ANY_VERSION, CREDS_TLS12, CREDS_TLS13 };

struct creds_client_options {
	bool verify;                /* chain and name */
	const char *ca_file;        /* PEM; NULL: the system's store */
	enum creds_version version; /* spoken alone */
	const char *cipher;         /* spoken alone, as OpenSSL calls it */
	uint32_t sessions_n; /* remembered, to be resumed; 0: none. Then one
				thread alone may use the credentials. */
	enum creds_device device;
};

/* One line that names the mistake and the cure; filled on failure. */
struct creds_error {
	char text[256];
};

/*
 * Certificates for the names in their subjectAltName; the first one is the
 * default. An ECDSA and an RSA certificate for one name serve together, by what
 * the client can. -EINVAL with `error` filled: no certificate, key does not
 * match, not PEM, wrong order, weak key; -ENOMEM. Success empties `error`, but
 * for a warning: a certificate that has expired or is not valid yet.
 */
int creds_open_server(const struct creds_certificate *certificates, size_t n,
		      const struct creds_server_options *options,
		      struct creds **ret, struct creds_error *error);

/*
 * Trust anchors are read at once, so that a process without a file system can
 * verify. -EINVAL with `error` filled when there are none, or no such cipher;
 * -ENOMEM.
 */
int creds_open_client(const struct creds_client_options *options,
		      struct creds **ret, struct creds_error *error);

/*
 * Every handshake begun with it must have ended; sessions that came of them
 * live on. NULL is harmless.
 */
void creds_close(struct creds *c);

/* For this folder: what handshakes begin with. */
struct ssl_ctx_st *creds_context(const struct creds *c);
/* NULL: nothing is remembered. */
struct resumption *creds_resumption(const struct creds *c);
