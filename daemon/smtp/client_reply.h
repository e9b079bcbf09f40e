#pragma once

/*
 * client_reply: a reply of a next hop (RFC 5321 4.2, RFC 2034), line by line,
 * as it is read by a client that trusts nobody. It bounds lines, lines per
 * reply and the text kept; what is kept holds printable ASCII only. It never
 * judges whether the reply fits the command: that is the client's business.
 */

#include "base/span.h"

#define CLIENT_REPLY_LINE_MAX  1024 /* twice what RFC 5321 4.5.3.1.5 allows */
#define CLIENT_REPLY_LINES_MAX 128
#define CLIENT_REPLY_TEXT_MAX  200

struct client_reply {
	uint16_t code; /* 200 to 599; 0: nothing read yet */
	uint8_t class; /* enhanced code; 0: the peer gave none */
	uint16_t subject;
	uint16_t detail;
	uint8_t lines_n;
	uint8_t text_len;
	char text[CLIENT_REPLY_TEXT_MAX]; /* lines joined by a space */
};

enum client_reply_result {
	CLIENT_REPLY_MORE,    /* no whole line there */
	CLIENT_REPLY_LINE,    /* one line taken, more lines belong to it */
	CLIENT_REPLY_END,     /* the last line taken */
	CLIENT_REPLY_BARE_LF, /* a line that does not end in CRLF */
	CLIENT_REPLY_LONG,    /* a line over CLIENT_REPLY_LINE_MAX */
	CLIENT_REPLY_ENDLESS, /* more lines than CLIENT_REPLY_LINES_MAX */
	CLIENT_REPLY_BAD,     /* no reply: no code, or the codes differ */
};

/* Empties r for the next reply. */
void client_reply_clear(struct client_reply *r);

/*
 * Takes one line off `in` (an unfinished one stays there) and adds it to r.
 * *ret_line is its text behind the code, borrowed from `in`, set with LINE and
 * END only. The outcome does not depend on how the bytes were cut into calls.
 */
enum client_reply_result client_reply_consume(struct client_reply *r,
					      struct span *in,
					      struct span *ret_line);

static inline struct span client_reply_text(const struct client_reply *r)
{
	return span_of((const uint8_t *)r->text, r->text_len);
}
