#pragma once

/*
 * record: the one door to the record layer. Above it nobody knows whether
 * records are made in clear, by OpenSSL in this process or by the kernel. What
 * arrives on the socket goes in by record_open and comes out as plain bytes;
 * what is to be sent goes through record_seal. Embedded in a session; an idle
 * record holds no buffer.
 */

#include "base/buf.h"
#include "tls/handshake.h"

/*
 * Records of a session that carry no data: KeyUpdate, warnings, renegotiation.
 * Each may cost us new keys or an answer, so a peer has only so many.
 */
#define RECORD_CONTROL_MAX 128

/* Room in `out` without which record_open does not look at its input. */
#define RECORD_ANSWER_MAX 64

enum record_backend { RECORD_CLEAR, RECORD_USER, RECORD_KERNEL };

enum record_result {
	RECORD_OK,     /* all of `in` used, or no more room */
	RECORD_CLOSED, /* the peer's close_notify; what follows is dropped */
	RECORD_FAILED, /* bad record or alert: the connection is dead */
};

struct record {
	enum record_backend backend;
	bool failed;
	uint16_t control_n; /* records without data so far */
	struct ssl_st *ssl; /* of RECORD_USER */
};

/* Bytes pass unchanged: before STARTTLS, and for peers in clear. */
void record_init_clear(struct record *r);

/* Who makes the records, for logs: "clear", "userspace" or "kernel". */
const char *record_name(const struct record *r);

/* Takes over what a finished handshake built; `h` is empty afterwards. */
void record_take(struct record *r, struct handshake *h);

/*
 * Moves bytes from the wire, `in`, to `plain` until one of them is used up. An
 * incomplete record is kept inside. May append to `out`: an answer the protocol
 * wants, such as to KeyUpdate, or the alert that goes with RECORD_FAILED; stops
 * when `out` has less room than RECORD_ANSWER_MAX. CLOSED and FAILED stay.
 */
enum record_result record_open(struct record *r, struct span *in,
			       struct buf *plain, struct buf *out);

/* True when decrypted bytes wait inside although all of `in` was used. */
bool record_pending(const struct record *r);

/*
 * Wraps as much of `plain` as `out` has room for and advances it. Each call
 * makes as few records as it can. RECORD_CLOSED, and nothing taken, after
 * record_shutdown.
 */
enum record_result record_seal(struct record *r, struct span *plain,
			       struct buf *out);

/*
 * Room in `out` with which sealing `plain_len` bytes takes them all: never less
 * than what it takes, and rarely more by a few bytes.
 */
size_t record_sealed_max(const struct record *r, size_t plain_len);

/*
 * Appends close_notify, where there is one and room for it
 * (record_sealed_max(r, 2)). Ends sealing; opening goes on.
 */
void record_shutdown(struct record *r, struct buf *out);

/* Frees and wipes; the record is RECORD_CLEAR afterwards. */
void record_fini(struct record *r);
