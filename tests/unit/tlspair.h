#pragma once

/*
 * tlspair: a client and a server of daemon/tls that talk through memory, in
 * pieces of any size. For tests.
 */

#include "tls/record.h"

#define TLSPAIR_QUEUE (128 * 1024)

struct tlspair_end {
	struct handshake handshake;
	struct record record;
	enum handshake_result result; /* of the last handshake_step */
	struct buf in;                /* came from the other end, unread */
	uint8_t in_storage[TLSPAIR_QUEUE];
};

struct tlspair {
	struct tlspair_end client, server;
	size_t piece; /* most bytes given to one step */
	size_t room;  /* most bytes a step may write */
};

/* Begins both sides; pieces and room are unlimited. */
void tlspair_open(struct tlspair *p, const struct creds *server,
		  const struct creds *client, const char *name);
void tlspair_close(struct tlspair *p);

/* Steps both sides until both are done (true) or one failed (false). */
bool tlspair_shake(struct tlspair *p);

/* Hands both finished handshakes to the record layers. */
void tlspair_take(struct tlspair *p);

/* Opens, shakes hands, takes over; MUST succeed. */
void tlspair_connect(struct tlspair *p, const struct creds *server,
		     const struct creds *client, const char *name);

/* Seals `bytes` at one end into the queue of the other; MUST fit. */
void tlspair_send(struct tlspair_end *from, struct tlspair_end *to,
		  struct span bytes);

/*
 * Opens what is queued at `to`, in pieces; answers go into the queue of `from`.
 * Plain bytes are appended to `plain`.
 */
enum record_result tlspair_receive(struct tlspair *p, struct tlspair_end *to,
				   struct buf *plain);
