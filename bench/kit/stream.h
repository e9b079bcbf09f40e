#pragma once

/*
 * stream: a TCP connection as clear bytes, for the programs of the bench kit:
 * what was heard stands in `in`, what is to be said goes into `say`; sockets,
 * records and the ring are its own. Records are made in userspace, or there are
 * none. Its owner harvests, reads, seals and arms in its pump, and frees it when
 * nothing flies.
 */

#include "ring/loan.h"
#include "ring/op.h"
#include "ring/ring.h"
#include "tls/handshake.h"
#include "tls/record.h"

#define STREAM_ANSWER_BYTES 512 /* the record layer's own words */
/* Room in `out` that makes sealing worth while: one full record. */
#define STREAM_RECORD_BYTES 16640

/* Tags of the ring; an owner's own begin behind. */
enum stream_op {
	STREAM_OP_NONE,
	STREAM_OP_CONNECT,
	STREAM_OP_RECV,
	STREAM_OP_SEND,
	STREAM_OP_OTHERS,
};

/* What the streams of one thread share. */
struct stream_loop {
	struct ring ring;
	struct bufring bufring;
};

enum stream_tls { STREAM_TLS_GOING, STREAM_TLS_DONE, STREAM_TLS_FAILED };

struct stream {
	int fd;
	uint32_t slot;
	struct op connect;
	struct op recv;
	struct op send;
	struct handshake handshake;
	struct record record;
	bool handshaking;
	struct loan loan;  /* received and not used */
	bool peer_closed;  /* nothing more will be heard */
	bool broken;       /* nothing more can be said */
	bool shut;         /* our close_notify was sealed */
	bool deaf;         /* for now nothing is received */
	bool cancelled;    /* what flew when it died */
	struct buf in;     /* heard, in clear */
	struct buf say;    /* to be said, in clear */
	struct buf answer; /* the record layer's, sealed */
	struct buf out;    /* as sent; the kernel's while `send` flies */
	uint8_t answer_bytes[STREAM_ANSWER_BYTES];
};

/* Negative errno. */
int stream_loop_init(struct stream_loop *l, uint32_t connections,
		     uint32_t recv_bytes);
void stream_loop_fini(struct stream_loop *l);

/* A stream without socket; the buffers in, say and out are the owner's. */
void stream_init(struct stream *s, uint32_t slot);

/*
 * Begins to connect; `source` NULL: from any address. `to` must live until
 * s->connect is done. Negative errno.
 */
int stream_connect(struct stream_loop *l, struct stream *s,
		   const struct sockaddr_storage *to,
		   const struct sockaddr_storage *source);

/* Takes an accepted socket. */
void stream_accepted(struct stream *s, int fd);

/* Begins TLS; `name` as of handshake_open. Negative errno. */
int stream_begin_tls(struct stream *s, const struct creds *creds,
		     const char *name);
/* Advances the handshake; *ret_facts is set with DONE. */
enum stream_tls stream_step_tls(struct stream *s,
				struct handshake_facts *ret_facts);

/* Records a completion tagged with its slot. */
void stream_on_cqe(struct stream *s, const struct ring_completion *c);
/* Folds completions into buffers. */
void stream_harvest(struct stream_loop *l, struct stream *s);
/* Decrypts what came, as `in` has room. True: there are new clear bytes. */
bool stream_read(struct stream *s);
/* True when the peer is gone and nothing it said is left. */
bool stream_ended(const struct stream *s);

/* Moves `say` into `out`, sealed, as room and the kernel allow. */
void stream_seal(struct stream *s);
/* True when more may be said: `say` went out, and `out` takes a record. */
bool stream_takes_more(const struct stream *s);
bool stream_all_sent(const struct stream *s);
/* Seals what is left to say and close_notify. True: all was sent. */
bool stream_shut(struct stream *s);

/* Starts what is wanted and idle. */
void stream_arm(struct stream_loop *l, struct stream *s);
/* Once: cancels what flies. True: nothing does any more. */
bool stream_cancel(struct stream_loop *l, struct stream *s);
/* Frees all; nothing may fly. */
void stream_fini(struct stream_loop *l, struct stream *s);
