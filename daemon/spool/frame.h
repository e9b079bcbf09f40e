#pragma once

/*
 * frame: the form of everything in a segment. A frame is typed, versioned,
 * length-prefixed, checksummed and self-terminating, so that a whole one can be
 * told from a torn, stale or rotten one, and it says its own place, so that
 * bytes that lay elsewhere before never pass for it. It encodes and decodes
 * memory and never does I/O. All numbers are little-endian; frames begin at
 * multiples of FRAME_ALIGN.
 *
 *   header    96 bytes, ends with its own checksum
 *   envelope  envelope_len bytes, then zeros up to a multiple of 8
 *   dots      dots_n offsets of 8 bytes
 *   body      body_len bytes (MESSAGE), as they came, ready for sendfile
 *   zeros     up to a multiple of 8
 *   trailer   checksum of header and payload, end mark: 16 bytes
 */

#include "base/span.h"
#include "spool/hash.h"

#define FRAME_ALIGN         8
#define FRAME_HEADER_BYTES  96
#define FRAME_TRAILER_BYTES 16
#define FRAME_VERSION       1
#define FRAME_PAYLOAD_MAX   ((uint64_t)1 << 40) /* sanity of lengths */
#define FRAME_ENVELOPE_MAX  ((uint32_t)1 << 24)
#define FRAME_SEGMENT_MAX   ((uint64_t)1 << 34) /* longest segment */

enum frame_type {
	FRAME_BEGIN = 1,   /* first frame of a segment; id: the writer's */
	FRAME_MESSAGE = 2, /* a message with its body */
	FRAME_FILE = 3,    /* a message with its body in files/<id>.msg */
	FRAME_SEAL = 4,    /* last frame: the segment is complete */
};

struct frame {
	enum frame_type type;
	bool dots_partial;     /* the list of dots is incomplete */
	uint32_t recipients_n; /* forward-paths in the envelope */
	uint64_t segment;
	uint64_t offset;    /* where the frame begins in the segment */
	uint64_t synced;    /* length of the segment known durable before it */
	uint64_t id;        /* of the message */
	uint64_t arrival_s; /* Unix time */
	uint32_t envelope_len;
	uint32_t dots_n;
	uint64_t body_len;
	uint64_t body_hash; /* FILE: checksum of the body, seeded with id */
};

static inline uint64_t frame_round_up(uint64_t n)
{
	return (n + FRAME_ALIGN - 1) & ~(uint64_t)(FRAME_ALIGN - 1);
}

/* Offsets in the segment. */
static inline uint64_t frame_envelope_at(const struct frame *f)
{
	return f->offset + FRAME_HEADER_BYTES;
}

static inline uint64_t frame_dots_at(const struct frame *f)
{
	return frame_envelope_at(f) + frame_round_up(f->envelope_len);
}

static inline uint64_t frame_body_at(const struct frame *f)
{
	return frame_dots_at(f) + sizeof(uint64_t) * f->dots_n;
}

/* Where the trailer begins, and where the frame ends. */
static inline uint64_t frame_trailer_at(const struct frame *f)
{
	uint64_t inline_len = f->type == FRAME_MESSAGE ? f->body_len : 0;

	return frame_round_up(frame_body_at(f) + inline_len);
}

static inline uint64_t frame_end(const struct frame *f)
{
	return frame_trailer_at(f) + FRAME_TRAILER_BYTES;
}

/* Encodes the header; returns its checksum, with which the payload's begins. */
uint64_t frame_put_header(uint8_t out[static FRAME_HEADER_BYTES],
			  const struct frame *f);

/*
 * Decodes the header of a frame that lies at `offset` of `segment`. False when
 * the bytes are no such thing, whatever they are.
 */
bool frame_get_header(const uint8_t in[static FRAME_HEADER_BYTES],
		      uint64_t segment, uint64_t offset, struct frame *ret);

/* The checksum that a valid header carries. */
uint64_t frame_header_hash(const uint8_t in[static FRAME_HEADER_BYTES]);

/*
 * Begins the trailer's checksum; add all bytes between header and trailer.
 */
void frame_begin_hash(struct hash *h, uint64_t segment, uint64_t header_hash);
void frame_put_trailer(uint8_t out[static FRAME_TRAILER_BYTES], uint64_t hash);
bool frame_trailer_matches(const uint8_t in[static FRAME_TRAILER_BYTES],
			   uint64_t hash);
