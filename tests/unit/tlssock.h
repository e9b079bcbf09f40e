#pragma once

/*
 * tlssock: one side of a TLS connection over a real socket, with daemon/tls and
 * without a ring: the least that a pump must do so that records may go to the
 * kernel. For tests.
 */

#include "tls/record.h"

#define TLSSOCK_BYTES 65536

struct tlssock {
	int fd;
	struct offload *offload;
	enum offload_policy policy;
	size_t recv_max;            /* most bytes taken by one receive */
	uint32_t ask_after_n;       /* receives until offload is asked for */
	struct handshake handshake; /* until it is done */
	struct record record;
	bool open; /* the handshake is done */
	bool asked;
	enum record_offload answer; /* of record_offload, once asked */
	uint32_t receives_n;        /* with bytes, since the handshake */
	uint32_t laters_n;          /* how often it was LATER */
	uint32_t controls_n;        /* control records received */
	bool eof;
	enum record_result ended;    /* RECORD_OK: goes on */
	struct buf wire, out, plain; /* plain: for the test to take */
	struct record_control heard, said;
	uint8_t storage[3][TLSSOCK_BYTES];
};

/* Begins on a connected socket, which it closes at the end. */
void tlssock_open(struct tlssock *s, int fd, const struct creds *creds,
		  const char *name);
void tlssock_close(struct tlssock *s);

/* Does what can be done now; true: there was something. */
bool tlssock_step(struct tlssock *s);

/* Both ends of a TCP connection over 127.0.0.1, not blocking. */
void tlssock_pair(int fd[2]);
