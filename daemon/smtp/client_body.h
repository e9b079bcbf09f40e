#pragma once

/*
 * client_body: how a stored body goes over the wire. After BDAT it goes as it
 * is, counted; after DATA a dot is added to each line that begins with one and
 * the end is marked (RFC 5321 4.5.2). It names ranges of the stored body and
 * literals to send between them, and copies nothing, so the same plan serves
 * a sender that copies and one that uses sendfile. The dots index saves looking
 * at the bytes; where the index is partial, it looks.
 */

#include "base/dots.h"
#include "base/span.h"

enum client_framing { CLIENT_COUNTED, CLIENT_DOTTED };

struct client_body {
	enum client_framing framing;
	const struct dots *dots; /* the caller's; NULL: look at the bytes */
	uint64_t bytes;          /* of the stored body */
	uint64_t at;             /* stored bytes sent */
	uint32_t dot;            /* first of dots->at not behind us */
	bool dot_sent;           /* for the line that begins here */
	bool literal_offered;    /* by the last client_body_next */
	uint8_t tail[2];         /* last two bytes sent, 0: not seen */
	struct span end;         /* rest of the end mark; set at the end */
	bool ended;
};

/* What to send next: a literal, or, when it is empty, bytes as stored. */
struct client_piece {
	struct span literal;
	uint64_t stored; /* count of stored bytes, from client_body_at on */
};

/* `dots` must live as long as the body is sent; NULL or partial: none. */
void client_body_init(struct client_body *b, enum client_framing framing,
		      uint64_t bytes, const struct dots *dots);

/*
 * The next piece. `block` shows stored bytes from client_body_at() on; a piece
 * of stored bytes never goes beyond it. Both parts of the piece are empty when
 * more of the body must be shown, or when all was sent. The dots of an index
 * and the end mark come without a block.
 */
struct client_piece client_body_next(struct client_body *b, struct span block);

/*
 * Count of stored bytes, from client_body_at() on, that may go as they are
 * without being shown; 0: show them, or ask for the next piece.
 */
uint64_t client_body_unseen(const struct client_body *b);

/* These bytes of the last piece, from its start, were sent. */
void client_body_sent(struct client_body *b, struct span sent);

/* So many of those that client_body_unseen named were sent. */
void client_body_sent_unseen(struct client_body *b, uint64_t n);

/* Offset in the stored body up to which it was sent. */
static inline uint64_t client_body_at(const struct client_body *b)
{
	return b->at;
}

/* True when body and end mark were sent. */
bool client_body_done(const struct client_body *b);
