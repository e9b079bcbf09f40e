/*
 * The header, offsets in bytes:
 *
 *	 0 magic        16 segment      48 id             64 body_len
 *	 8 version u16  24 offset       56 envelope_len   72 body_hash
 *	10 type u8      32 synced          u32            80 reserved, zero
 *	11 flags u8     40 arrival_s    60 dots_n u32     88 checksum of 0..87
 *	12 recipients_n u32
 *
 * F1  Checksums are seeded with the segment's id, and the header holds segment
 *     and offset: bytes of another place or segment are no frame here.
 * F2  The payload's checksum begins with the header's, so a header never goes
 *     with another's payload.
 * F3  Lengths are checked before anything is computed from them.
 */
#include "spool/frame.h"

#include "base/dots.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
	       "numbers go to disk as they lie in memory");

#define MAGIC     0x0a656369756c538bULL /* 8b "Sluice" \n */
#define END_MAGIC 0x0a0d646e65756c53ULL /* "Sluend" \r \n */

enum {
	AT_MAGIC = 0,
	AT_VERSION = 8,
	AT_TYPE = 10,
	AT_FLAGS = 11,
	AT_RECIPIENTS = 12,
	AT_SEGMENT = 16,
	AT_OFFSET = 24,
	AT_SYNCED = 32,
	AT_ARRIVAL = 40,
	AT_ID = 48,
	AT_ENVELOPE = 56,
	AT_DOTS = 60,
	AT_BODY_LEN = 64,
	AT_BODY_HASH = 72,
	AT_HASH = 88,
};

#define FLAG_DOTS_PARTIAL 1

static void put64(uint8_t *p, uint64_t value)
{
	memcpy(p, &value, sizeof(value));
}

static void put32(uint8_t *p, uint32_t value)
{
	memcpy(p, &value, sizeof(value));
}

static uint64_t get64(const uint8_t *p)
{
	uint64_t value;

	memcpy(&value, p, sizeof(value));
	return value;
}

static uint32_t get32(const uint8_t *p)
{
	uint32_t value;

	memcpy(&value, p, sizeof(value));
	return value;
}

static uint64_t header_hash(const uint8_t *header, uint64_t segment)
{
	return hash_of(span_of(header, AT_HASH), segment); /* F1 */
}

uint64_t frame_put_header(uint8_t out[static FRAME_HEADER_BYTES],
			  const struct frame *f)
{
	uint64_t hash;

	memset(out, 0, FRAME_HEADER_BYTES);
	put64(out + AT_MAGIC, MAGIC);
	out[AT_VERSION] = FRAME_VERSION;
	out[AT_TYPE] = (uint8_t)f->type;
	out[AT_FLAGS] = f->dots_partial ? FLAG_DOTS_PARTIAL : 0;
	put32(out + AT_RECIPIENTS, f->recipients_n);
	put64(out + AT_SEGMENT, f->segment);
	put64(out + AT_OFFSET, f->offset);
	put64(out + AT_SYNCED, f->synced);
	put64(out + AT_ARRIVAL, f->arrival_s);
	put64(out + AT_ID, f->id);
	put32(out + AT_ENVELOPE, f->envelope_len);
	put32(out + AT_DOTS, f->dots_n);
	put64(out + AT_BODY_LEN, f->body_len);
	put64(out + AT_BODY_HASH, f->body_hash);
	hash = header_hash(out, f->segment);
	put64(out + AT_HASH, hash);
	return hash;
}

/* F3 */
static bool lengths_are_sane(const struct frame *f)
{
	if (f->offset % FRAME_ALIGN || f->offset > FRAME_SEGMENT_MAX ||
	    f->synced > f->offset)
		return false;
	if (f->type == FRAME_BEGIN || f->type == FRAME_SEAL)
		return !f->envelope_len && !f->dots_n && !f->body_len;
	return f->envelope_len <= FRAME_ENVELOPE_MAX && f->dots_n <= DOTS_MAX &&
	       f->body_len <= FRAME_PAYLOAD_MAX;
}

bool frame_get_header(const uint8_t in[static FRAME_HEADER_BYTES],
		      uint64_t segment, uint64_t offset, struct frame *ret)
{
	struct frame f = {
		.type = (enum frame_type)in[AT_TYPE],
		.dots_partial = in[AT_FLAGS] & FLAG_DOTS_PARTIAL,
		.recipients_n = get32(in + AT_RECIPIENTS),
		.segment = get64(in + AT_SEGMENT),
		.offset = get64(in + AT_OFFSET),
		.synced = get64(in + AT_SYNCED),
		.arrival_s = get64(in + AT_ARRIVAL),
		.id = get64(in + AT_ID),
		.envelope_len = get32(in + AT_ENVELOPE),
		.dots_n = get32(in + AT_DOTS),
		.body_len = get64(in + AT_BODY_LEN),
		.body_hash = get64(in + AT_BODY_HASH),
	};

	if (get64(in + AT_MAGIC) != MAGIC || f.segment != segment ||
	    f.offset != offset ||
	    get64(in + AT_HASH) != header_hash(in, segment))
		return false;
	if (in[AT_VERSION] != FRAME_VERSION || in[AT_VERSION + 1] ||
	    f.type < FRAME_BEGIN || f.type > FRAME_SEAL ||
	    !lengths_are_sane(&f))
		return false;
	*ret = f;
	return true;
}

uint64_t frame_header_hash(const uint8_t in[static FRAME_HEADER_BYTES])
{
	return get64(in + AT_HASH);
}

void frame_begin_hash(struct hash *h, uint64_t segment, uint64_t hash)
{
	uint8_t bytes[8];

	put64(bytes, hash);
	hash_init(h, segment);                      /* F1 */
	hash_add(h, span_of(bytes, sizeof(bytes))); /* F2 */
}

void frame_put_trailer(uint8_t out[static FRAME_TRAILER_BYTES], uint64_t hash)
{
	put64(out, hash);
	put64(out + 8, END_MAGIC);
}

bool frame_trailer_matches(const uint8_t in[static FRAME_TRAILER_BYTES],
			   uint64_t hash)
{
	return get64(in) == hash && get64(in + 8) == END_MAGIC;
}
