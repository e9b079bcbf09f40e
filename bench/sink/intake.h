#pragma once

/*
 * intake: a message as it comes in, for a sink that keeps nothing of it: finds
 * the end of DATA (CRLF.CRLF and nothing else), takes stuffed dots away, counts,
 * and hashes what an account wants hashed. Pure: no I/O, no allocation. Results
 * do not depend on how the bytes were cut into calls.
 */

#include "kit/account.h"
#include "spool/hash.h"

#define INTAKE_LINE_MAX 64 /* room for the field that names a message */

enum intake_at {
	INTAKE_AT_LINE, /* behind CRLF, or at the very start */
	INTAKE_AT_TEXT,
	INTAKE_AT_CR,
	INTAKE_AT_DOT,    /* CRLF. */
	INTAKE_AT_DOT_CR, /* CRLF.CR */
};

struct intake {
	enum intake_at at;
	bool hashes;
	bool in_header;
	bool known; /* the message has our field: `id` */
	uint8_t line_n;
	uint8_t line[INTAKE_LINE_MAX]; /* of the header, so far */
	uint64_t bytes;                /* of the message */
	uint64_t hashed;               /* of these, in `hash` */
	struct account_id id;
	struct hash hash;
};

void intake_begin(struct intake *i, bool hashes);

/* Takes stuffed bytes off *in. True: the message has ended. */
bool intake_stuffed(struct intake *i, struct span *in);

/* Takes counted bytes: all of s belongs to the message. */
void intake_counted(struct intake *i, struct span s);
