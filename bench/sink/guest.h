#pragma once

/*
 * guest: one client of the sink, as a pump: SMTP or LMTP from greeting to QUIT.
 * It accepts whatever is well formed, unless its moods say otherwise: share of
 * refusals, delay, throttle, drops.
 *
 *   (HANDSHAKE ->) COMMANDS -> SHUTTING -> DEAD
 *   COMMANDS -> HANDSHAKE -> COMMANDS: STARTTLS
 *   COMMANDS -> BODY -> (DELAYED ->) COMMANDS; DATA's body, or a chunk
 */

#include "sink/host.h"
#include "sink/intake.h"
#include "smtp/line.h"

#define GUEST_LINE_MAX  4096
#define GUEST_IN_BYTES  32768
#define GUEST_SAY_BYTES 16384
#define GUEST_OUT_BYTES (2 * STREAM_RECORD_BYTES)
/* Room in `say` for any reply but LMTP's many: EHLO's is the longest. */
#define GUEST_REPLY_MAX 512

enum guest_state {
	GUEST_HANDSHAKE,
	GUEST_COMMANDS,
	GUEST_DATA,     /* a body that ends with a dot */
	GUEST_CHUNK,    /* octets that BDAT announced */
	GUEST_DELAYED,  /* the final reply waits for its time */
	GUEST_REPLYING, /* LMTP: a reply for each recipient */
	GUEST_SHUTTING,
	GUEST_DEAD,
};

struct guest {
	enum guest_state state;
	struct stream stream;
	struct line line;
	struct wheel_timer timer;
	enum sink_service service;
	bool encrypted;
	bool starting_tls; /* its 220 is on its way out */
	bool asked_auth;   /* the next line is AUTH's answer */
	bool has_mail;
	bool chunked; /* BDAT has begun this message */
	bool last_chunk;
	bool chunk_good; /* the chunk belongs to a message */
	bool said_quit;
	bool touched;
	struct guest *touched_next;
	uint32_t recipients_n;
	uint64_t recipients_sum;
	uint64_t chunk_left;
	uint32_t replies_left;
	uint16_t final_code;  /* of the message just ended */
	uint64_t heard_bytes; /* since `throttled_ms`, of the throttle */
	uint64_t throttled_ms;
	struct intake intake;

	uint8_t in_bytes[GUEST_IN_BYTES];
	uint8_t say_bytes[GUEST_SAY_BYTES];
	uint8_t out_bytes[GUEST_OUT_BYTES];
};

/* Takes an accepted socket. */
void guest_open(struct host *h, struct guest *g, int fd,
		enum sink_service service);
void guest_on_timeout(struct host *h, struct guest *g);
/* Advances as far as possible; may end and free the guest. */
void guest_pump(struct host *h, struct guest *g);
struct guest *guest_of_timer(struct wheel_timer *t);
