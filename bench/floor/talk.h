/*
 * The least of SMTP that a client sends mail with: answers every command well,
 * finds the end of DATA and of BDAT, hands the body on as it came. It refuses
 * nothing, checks nothing, unstuffs nothing, traces nothing.
 *
 * Replies and body go to the caller's buffers; the caller empties them between
 * two steps.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define TALK_LINE         4096
#define TALK_REPLIES      16384
#define TALK_REPLIES_MUCH (TALK_REPLIES / 2) /* so much must be sent first */

enum talk_state {
	TALK_COMMAND,
	TALK_DATA,
	TALK_BDAT,
	TALK_OVER,
};

struct talk {
	enum talk_state state;
	size_t matched; /* of CRLF.CRLF, in DATA */
	size_t left;    /* octets of the chunk, in BDAT */
	bool last;      /* the chunk is the message's last */
	size_t line_len;
	char line[TALK_LINE];
};

/* What a step gave. The body is borrowed from the input. */
struct talk_output {
	char replies[TALK_REPLIES];
	size_t replies_len;
	const char *body;
	size_t body_len;
	bool message_ended; /* its 250 is the last of the replies */
};

void talk_init(struct talk *talk);

/* Writes the greeting. */
void talk_greet(struct talk_output *output);

/*
 * Consumes input until a piece of a body, the end of a message, many replies
 * or the end of the input, and returns how much that was. A line that is too
 * long ends it: TALK_OVER.
 */
size_t talk_step(struct talk *talk, const char *in, size_t len,
		 struct talk_output *output);
