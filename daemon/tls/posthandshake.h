#pragma once

/*
 * posthandshake: the few handshake messages that may come after the handshake
 * (RFC 8446 4.6): tickets, which are passed over, and KeyUpdate. They come as a
 * stream of bytes in pieces of any size. Pure; it keeps a message's head at
 * most.
 */

#include "base/span.h"

struct posthandshake {
	bool server; /* this side is: nobody sends it tickets */
	bool tls13;  /* else no message may come at all */
	uint8_t head_n;
	uint8_t head[4];
	uint32_t body_left;
};

enum posthandshake_event {
	POSTHANDSHAKE_NOTHING, /* all bytes used */
	POSTHANDSHAKE_TICKET,
	POSTHANDSHAKE_KEY_UPDATE,
	POSTHANDSHAKE_KEY_UPDATE_REQUESTED, /* and the peer wants one, too */
	/* The peer broke the rules; nothing more may be given. */
	POSTHANDSHAKE_UNEXPECTED,
	POSTHANDSHAKE_MALFORMED,
	POSTHANDSHAKE_ILLEGAL,
};

/*
 * The next event in `in`, one record's payload or the rest of it, which it
 * advances. What follows a KeyUpdate has new keys and so must not be in the
 * same record (RFC 8446 5.1).
 */
enum posthandshake_event posthandshake_next(struct posthandshake *p,
					    struct span *in);
