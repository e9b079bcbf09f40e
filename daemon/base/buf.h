#pragma once

/*
 * buf: a byte queue over storage of fixed size that its owner took from a slab
 * or declared itself. Bytes are appended at the end and consumed at the front.
 * It never grows and never allocates. Appending is sticky: what does not fit
 * sets `overflowed` and appends nothing more, so a producer may check once, at
 * its end.
 */

#include "base/span.h"

struct buf {
	uint8_t *p;
	uint32_t start; /* first unread byte */
	uint32_t end;   /* one past the last byte */
	uint32_t cap;
	bool overflowed;
};

/* Gives b its storage; b is empty afterwards. */
static inline void buf_init(struct buf *b, uint8_t *storage, size_t cap)
{
	*b = (struct buf){ .p = storage, .cap = (uint32_t)cap };
}

static inline size_t buf_len(const struct buf *b)
{
	return b->end - b->start;
}

/* Bytes that can be appended, once the front is compacted. */
static inline size_t buf_room(const struct buf *b)
{
	return b->cap - buf_len(b);
}

/* The unread bytes; valid until b changes. */
static inline struct span buf_span(const struct buf *b)
{
	return span_tail(span_of(b->p, b->end), b->start);
}

/* Empties b and clears `overflowed`; the storage stays. */
static inline void buf_clear(struct buf *b)
{
	b->start = b->end = 0;
	b->overflowed = false;
}

/* Drops the first n unread bytes; n must not exceed buf_len. */
void buf_consume(struct buf *b, size_t n);

/* Moves the unread bytes to the start of the storage. */
void buf_compact(struct buf *b);

/*
 * Free bytes behind the last one, after compacting; *ret_room is their number.
 * Write there, then call buf_produced with what was written.
 */
uint8_t *buf_reserve(struct buf *b, size_t *ret_room);
void buf_produced(struct buf *b, size_t n);

/*
 * Append; sticky overflow as said above. One buf_printf appends at most 1023
 * bytes; a longer text is an overflow too.
 */
void buf_put(struct buf *b, struct span s);
void buf_put_byte(struct buf *b, uint8_t c);
void buf_put_str(struct buf *b, const char *s);
void buf_put_u64(struct buf *b, uint64_t value);
/* With leading zeros: the last `digits` (up to 20) of a decimal number; all 16
 * of a hexadecimal one. */
void buf_put_decimal(struct buf *b, uint64_t value, unsigned int digits);
void buf_put_hex(struct buf *b, uint64_t value);
__attribute__((format(printf, 2, 3))) void buf_printf(struct buf *b,
						      const char *format, ...);
