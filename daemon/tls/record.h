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
#include "tls/offload.h"
#include "tls/posthandshake.h"
#include "tls/record_control.h"

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
	RECORD_LAST,   /* nothing more may be received: answer, then close */
	RECORD_LOST,   /* the socket failed, below the records */
};

enum record_offload {
	RECORD_OFFLOAD_DONE,   /* the kernel makes the records */
	RECORD_OFFLOAD_LATER,  /* go on, ask again when all is quiet */
	RECORD_OFFLOAD_NEVER,  /* this process goes on making them */
	RECORD_OFFLOAD_UNMET,  /* the same, but it is required: say so, end */
	RECORD_OFFLOAD_FAILED, /* it broke half-way: the connection is dead */
};

/* What a control record that is to be sent stands for. */
enum record_due { RECORD_DUE_NONE, RECORD_DUE_KEY_UPDATE, RECORD_DUE_ALERT };

/* State of RECORD_KERNEL; see record_kernel.c. */
struct record_kernel {
	int fd; /* borrowed */
	enum keys_cipher cipher;
	bool wants_control; /* a control record is next */
	bool closed;        /* the peer's close_notify came */
	bool shut;          /* our last alert is due or sent */
	bool last;          /* new keys, and the kernel cannot follow */
	enum record_due due, flying;
	uint8_t alert[2];
	struct posthandshake messages;
};

struct record {
	enum record_backend backend;
	enum offload_reason offload;
	bool failed;
	uint16_t control_n;      /* records without data so far */
	struct ssl_st *ssl;      /* of RECORD_USER */
	struct secrets *secrets; /* while they may be needed */
	struct record_kernel kernel;
};

/* Bytes pass unchanged: before STARTTLS, and for peers in clear. */
void record_init_clear(struct record *r);

/* Who makes the records, for logs: "clear", "userspace" or "kernel". */
const char *record_name(const struct record *r);

/* Takes over what a finished handshake built; `h` is empty afterwards. */
void record_take(struct record *r, struct handshake *h);

/*
 * Hands the records to the kernel, if it can be. To be called after record_take
 * while the socket is quiet: no receive or send in flight, `out` sent, all
 * that was received opened. `fd` stays the caller's and must live as long as
 * `r`. The outcome is final, but for LATER; record_offload_reason tells more.
 */
enum record_offload record_offload(struct record *r, int fd, struct offload *o,
				   enum offload_policy policy, uint64_t now_ms);

/*
 * The same before the socket is quiet, as far as it can be told: NEVER and
 * UNMET, which are final; LATER: nothing speaks against it so far.
 */
enum record_offload record_offload_foresee(struct record *r, struct offload *o,
					   enum offload_policy policy,
					   uint64_t now_ms);

/* Why the records are made where they are; OFFLOAD_UNTRIED at first. */
enum offload_reason record_offload_reason(const struct record *r);

/*
 * Moves bytes from the wire, `in`, to `plain` until one of them is used up. An
 * incomplete record is kept inside. May append to `out`: an answer the protocol
 * wants, such as to KeyUpdate, or the alert that goes with RECORD_FAILED; stops
 * when `out` has less room than RECORD_ANSWER_MAX. CLOSED and FAILED stay.
 */
enum record_result record_open(struct record *r, struct span *in,
			       struct buf *plain, struct buf *out);

/*
 * The front of `wire`, what arrived, that is clear as it lies there: the caller
 * may use it in place of opening it. Not while opened bytes are left unused:
 * they come before.
 */
struct span record_clear(const struct record *r, struct span wire);

/*
 * True when what is read from the socket, by whoever has it, is clear data of
 * the connection, in records of the kernel: splice may stand for a receive and
 * record_open. Not while a control record is next; a receive tells of that.
 */
bool record_passes_input(const struct record *r);

/*
 * Bytes that must still come over the wire when `plain_len` more clear bytes
 * are to be opened than were: never more than will come, rarely much less.
 */
uint64_t record_wire_min(const struct record *r, uint64_t plain_len);

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
 * True when bytes written to the socket by whoever has it become data of the
 * connection by themselves, in clear or in the kernel's records: sendfile may
 * stand for record_seal and a send. Not while a control record is due.
 */
bool record_passes_bytes(const struct record *r);

/*
 * Appends close_notify, where there is one and room for it
 * (record_sealed_max(r, 2)), or makes it due as a control record. Ends sealing;
 * opening goes on.
 */
void record_shutdown(struct record *r, struct buf *out);

/*
 * Control records of a kernel backend; with the others nothing of it ever
 * happens, and the caller need not know which it has.
 *
 * Receiving. A receive that failed with negative errno `error` is told first:
 * OK, try again, or FAILED (the first time that records are wrong) or LOST,
 * nothing more can be sent or received. While record_wants_control, the next
 * receive is a recvmsg into a prepared record_control; its result `n` >= 0, be
 * it 0, goes to record_open_control. That answers OK, CLOSED, FAILED (send what
 * record_take_control has), LAST or LOST.
 */
enum record_result record_receive_failed(struct record *r, int error);
bool record_wants_control(const struct record *r);
enum record_result record_open_control(struct record *r,
				       struct record_control *c, size_t n);

/*
 * Sending. record_control_due: a control record is to be sent when `out` is all
 * sent and nothing flies; record_take_control prepares it in `c`, and is false
 * when none is due. After it was sent, and before anything else is,
 * record_control_sent; FAILED: the connection is dead.
 */
bool record_control_due(const struct record *r);
bool record_take_control(struct record *r, struct record_control *c);
enum record_result record_control_sent(struct record *r);

/* Frees and wipes; the record is RECORD_CLEAR afterwards. */
void record_fini(struct record *r);
