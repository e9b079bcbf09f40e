#pragma once

/*
 * link: one connection of the load, from connect to close, as a pump: harvest
 * what completed, step the SMTP client, arm what is wanted and idle. It times
 * itself and tells its driver how messages ended.
 *
 *   CONNECTING -> (HANDSHAKE ->) OPEN -> SHUTTING -> DEAD
 *                OPEN -> HANDSHAKE -> OPEN: STARTTLS
 */

#include "load/driver.h"

#define LINK_IN_BYTES  (4 * CLIENT_REPLY_LINE_MAX)
#define LINK_SAY_BYTES 16384
#define LINK_OUT_BYTES (4 * STREAM_RECORD_BYTES)

enum link_state {
	LINK_CONNECTING,
	LINK_HANDSHAKE,
	LINK_OPEN,
	LINK_SHUTTING, /* the last bytes are on their way out */
	LINK_DEAD,     /* freed when nothing is in flight */
};

struct link {
	enum link_state state;
	struct stream stream;
	struct client client;
	struct wheel_timer timer;

	bool has_job;   /* a message or handshake is to be done, or under way */
	bool job_begun; /* the client has it */
	bool heard;     /* the first clear byte */
	bool ready;     /* was once */
	bool is_idle;   /* in the driver's list */
	bool touched;
	const char *detail; /* of a failure, or NULL; a static string */
	struct link *touched_next;
	struct link *idle_next;
	struct link *idle_prev;

	uint64_t opened_ns;
	uint64_t handshake_ns;
	uint64_t due_ns; /* 0: not before it begins */
	uint64_t begun_ns;
	uint32_t given_n;    /* recipients told to the client */
	uint32_t accepted_n; /* recipients not refused */
	uint64_t accepted_sum;
	uint64_t messages_n; /* on this connection */
	struct client_message message;
	struct mail mail;

	uint8_t in_bytes[LINK_IN_BYTES];
	uint8_t say_bytes[LINK_SAY_BYTES];
	uint8_t out_bytes[LINK_OUT_BYTES];
};

/* Begins a connection in a slot of the driver's slab. */
void link_open(struct driver *d, struct link *l);
/* Gives it a message or handshake to do, of that number, due then; an idle one
 * is to be pumped afterwards. */
void link_take_job(struct driver *d, struct link *l, uint64_t number,
		   uint64_t due_ns);
/* An idle one says QUIT. */
void link_quit(struct driver *d, struct link *l);
void link_on_timeout(struct driver *d, struct link *l);
/* Advances as far as possible; may end and free the link. */
void link_pump(struct driver *d, struct link *l);
struct link *link_of_timer(struct wheel_timer *t);
