#pragma once

/*
 * body: reads a message as DATA or BDAT carry it and appends its octets, as
 * they came, to a buffer. It finds the end of DATA (CRLF.CRLF and nothing
 * else, RFC 5321 4.1.1.4), takes stuffed dots away, watches the header section
 * and the limits, and notes the lines that begin with a dot. What breaks a
 * rule is a finding: a reply of the table. The first one wins, nothing is
 * stored after it, and the rest of the message is read and dropped. Results do
 * not depend on how the bytes were cut into calls.
 */

#include "base/buf.h"
#include "base/dots.h"
#include "smtp/reply.h"

/* A field name up to this long is told from a line of text. */
#define BODY_HOLD_MAX 64
/* Room that BODY_HEADER_END leaves in the buffer for missing fields. */
#define BODY_ROOM_MIN 520

/* In octets, line ends included but for text_line_max. */
struct body_limits {
	uint64_t message_max;
	uint32_t header_max;
	uint32_t text_line_max;
	uint32_t hops_max; /* Received fields */
	bool normalise_bare_lf;
};

enum body_framing { BODY_STUFFED, BODY_COUNTED };

enum body_result {
	BODY_MORE,       /* all of `in` was used */
	BODY_FULL,       /* store and empty `out`, then call again */
	BODY_HEADER_END, /* append missing fields to `out`, call again; once
			    per message without finding */
	BODY_END,        /* the message has ended; see body_finding */
};

/* Where in a line the scan stands; see body.c. */
enum body_at {
	BODY_AT_LINE,
	BODY_AT_TEXT,
	BODY_AT_CR,
	BODY_AT_DOT,
	BODY_AT_DOT_CR,
	BODY_AT_END
};

/* Where in the header section; see body.c. */
enum body_head {
	BODY_HEAD_LINE,
	BODY_HEAD_NAME,
	BODY_HEAD_GAP,
	BODY_HEAD_FIELD,
	BODY_HEAD_ENDING,
	BODY_HEAD_OVER
};

struct body {
	struct body_limits limits;
	uint64_t size;    /* octets of the message, ours not counted */
	uint64_t flushed; /* octets that left `out` by BODY_FULL */
	uint64_t line_len;
	uint32_t header_len;
	uint32_t hops;
	enum body_at at : 8;
	enum body_head head : 8;
	enum reply finding : 8; /* REPLY_OK: none */
	bool stuffed : 1;
	bool has_date : 1;
	bool has_message_id : 1;
	uint8_t hold_n;
	uint8_t hold[BODY_HOLD_MAX]; /* a line that may be a field, so far */
};

void body_begin(struct body *b, enum body_framing framing,
		const struct body_limits *limits);

/*
 * Consumes from *in, appends to `out`, adds to `dots` the offsets of stored
 * lines that begin with a dot; offset 0 is the first octet that was ever put
 * into `out`, by whomever. After a finding neither is touched, and both may be
 * NULL. For counted framing `in` never reaches past the chunk.
 */
enum body_result body_scan(struct body *b, struct span *in, struct buf *out,
			   struct dots *dots);

/* Counted framing: the last chunk is used up. Call until BODY_END. */
enum body_result body_finish(struct body *b, struct buf *out,
			     struct dots *dots);

/* A failure of the world joins the findings, unless there is one already. */
void body_fail(struct body *b, enum reply reply);

/* REPLY_OK while the message is good. */
enum reply body_finding(const struct body *b);

/*
 * Behind the header section and without a finding, in counted framing: what
 * comes is stored as it came, or the message is refused.
 */
bool body_is_plain(const struct body *b);

/* `out`, n octets of it, was emptied though it was not full. */
void body_taken(struct body *b, size_t n);

/* At BODY_HEADER_END: the header's last line has no end, a CRLF is needed. */
bool body_mid_line(const struct body *b);

/* Octets at the front of s that are none of CR, LF and NUL. */
size_t body_plain_run(struct span s);
