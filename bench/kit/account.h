#pragma once

/*
 * account: the books that sender and sink keep of numbered messages, to be
 * compared: a text file, a line per message. A message is known by the field
 * X-Sluice-Load; what is hashed begins with that field and ends with the
 * message, so trace fields above it change nothing. Recipients add up, so that a
 * message that was split among transactions still matches.
 */

#include "base/span.h"

#include <stdio.h>

#define ACCOUNT_FIELD  "X-Sluice-Load: "
#define ACCOUNT_ID_LEN 21 /* RRRRRRRR-NNNNNNNNNNNN */

enum account_fate {
	ACCOUNT_ACCEPTED, /* acknowledged: must arrive, once */
	ACCOUNT_REFUSED,  /* must not arrive */
	ACCOUNT_UNKNOWN,  /* the connection broke before the reply */
	ACCOUNT_GOT,      /* the sink's word */
	ACCOUNT_FATES
};

struct account_id {
	uint32_t run; /* random, of one run of the generator */
	uint64_t number;
};

struct account_line {
	struct account_id id;
	uint64_t hash;
	uint64_t bytes; /* hashed */
	uint32_t recipients;
	uint64_t recipients_sum; /* of account_recipient() */
	enum account_fate fate;
};

/* Writes the id without NUL; reads it back: false, it is none. */
void account_put_id(char out[ACCOUNT_ID_LEN], struct account_id id);
bool account_read_id(struct span s, struct account_id *ret);

/* A recipient's part of recipients_sum. */
uint64_t account_recipient(struct span address);

/* One line, in one call, so that threads may share the file. */
bool account_put(FILE *file, const struct account_line *line);
/* False: not a line of an account. The line end may be there. */
bool account_read(struct span text, struct account_line *ret);
