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

/* PEM texts, read by the caller; the key is wiped by its owner. */
struct creds_certificate {
	const char *name;   /* for messages */
	struct span chain;  /* leaf first */
	struct span key;
};

struct creds_server_options {
	bool tls12;	    /* TLS 1.2 allowed beside 1.3 */
	bool resumption;    /* tickets accepted and sent */
	uint32_t tickets;   /* sent after a full TLS 1.3 handshake */
	struct ticket_keys *ticket_keys; /* shared memory; NULL: no tickets */
};

struct creds_client_options {
	bool verify;	     /* chain and name */
	const char *ca_file; /* NULL: the system's store */
};

/* One line that names the mistake and the cure; filled on failure. */
struct creds_error {
	char text[256];
};

/*
 * Certificates for the names in their subjectAltName; the first one is the
 * default. An ECDSA and an RSA certificate for one name serve together, by what
 * the client can. -EINVAL with `error` filled: no certificate, key does not
 * match, not PEM, expired is only a warning left in error->text with 0.
 */
int creds_open_server(const struct creds_certificate *certificates, size_t n,
		      const struct creds_server_options *options,
		      struct creds **ret, struct creds_error *error);
int creds_open_client(const struct creds_client_options *options,
		      struct creds **ret, struct creds_error *error);
void creds_close(struct creds *c);
