/*
 * A segment made of whole, broken and strange pieces, as the input says, is
 * scanned twice, with buffers of different sizes and reads of different
 * lengths: both tell the same, in order, without gaps, and come to an end. A
 * message that is told is one that was written there.
 *
 * Input: one byte says how to read, then pieces: a kind and two lengths. The
 * kind RAW takes the rest as bytes of the file.
 */
#include "base/must.h"
#include "spool/scan.h"

#define FILE_MAX  24576
#define TOLD_MAX  4096
#define STEPS_MAX 200000
#define SEGMENT   0x1122334455667788

enum piece { MESSAGE, BODY_FILE, GARBAGE, FLIP, CUT, SEAL, RAW, PIECES };

struct told {
	enum scan_found found;
	uint64_t from, to;
};

struct file {
	size_t len;
	size_t written_n;
	uint64_t written[FILE_MAX / FRAME_HEADER_BYTES + 1];
	uint8_t bytes[FILE_MAX];
};

static void put_frame(struct file *f, struct frame frame, uint8_t fill)
{
	uint8_t *p = f->bytes + f->len;
	struct hash hash;
	size_t payload;

	frame.segment = SEGMENT;
	frame.offset = f->len;
	if (frame.synced > f->len)
		frame.synced = f->len;
	if (f->len % FRAME_ALIGN || frame_end(&frame) > sizeof(f->bytes))
		return;
	payload = frame_trailer_at(&frame) - frame_envelope_at(&frame);
	memset(p + FRAME_HEADER_BYTES, fill, payload);
	frame_begin_hash(&hash, SEGMENT, frame_put_header(p, &frame));
	hash_add(&hash, span_of(p + FRAME_HEADER_BYTES, payload));
	frame_put_trailer(p + FRAME_HEADER_BYTES + payload, hash_value(&hash));
	f->written[f->written_n++] = f->len;
	f->len = frame_end(&frame);
}

static void put_piece(struct file *f, const uint8_t in[static 3])
{
	struct frame frame = {
		.type = FRAME_MESSAGE,
		.envelope_len = in[1],
		.dots_n = in[2] % 3,
		.body_len = (uint64_t)in[2] * 7,
		.synced = in[1] & 1 ? f->len : 0,
	};
	size_t at = (size_t)(in[1] << 8 | in[2]);

	switch ((enum piece)(in[0] % PIECES)) {
	case MESSAGE: put_frame(f, frame, in[2]); return;
	case BODY_FILE:
		frame.type = FRAME_FILE;
		put_frame(f, frame, in[2]);
		return;
	case SEAL:
		frame = (struct frame){ .type = FRAME_SEAL };
		put_frame(f, frame, 0);
		return;
	case GARBAGE:
		for (size_t n = 0; n < in[1] && f->len < FILE_MAX; n++)
			f->bytes[f->len++] = (uint8_t)(in[2] + n);
		return;
	case FLIP:
		if (f->len)
			f->bytes[at % f->len] ^= 0x40;
		return;
	case CUT: f->len -= at % (f->len + 1); return;
	case RAW:
	case PIECES: return;
	}
}

static void make_file(struct file *f, struct span in)
{
	f->len = f->written_n = 0;
	put_frame(f, (struct frame){ .type = FRAME_BEGIN }, 0);
	for (; in.len >= 3; in = span_tail(in, 3)) {
		if (in.p[0] % PIECES == RAW)
			break;
		if (f->written_n < FILE_MAX / FRAME_HEADER_BYTES)
			put_piece(f, in.p);
	}
	for (; in.len && f->len < FILE_MAX; in = span_tail(in, 1))
		f->bytes[f->len++] = in.p[0];
}

static bool was_written(const struct file *f, uint64_t at)
{
	for (size_t n = 0; n < f->written_n; n++)
		if (f->written[n] == at)
			return true;
	return false;
}

static void read_file(const struct file *f, struct scan *s, size_t most)
{
	struct io io;
	size_t len;

	scan_next(s, &io);
	MUST(io.kind == IO_READ && io.iov_n == 1 && io.iov->iov_len);
	len = io.offset < f->len ? f->len - io.offset : 0;
	if (len > io.iov->iov_len)
		len = io.iov->iov_len;
	if (len > most)
		len = most;
	if (len)
		memcpy(io.iov->iov_base, f->bytes + io.offset, len);
	scan_done(s, (int64_t)len);
}

/* Tells all; the limit is raised in `limits` steps, then to the end. */
static size_t scan_file(const struct file *f, struct scan *s, size_t most,
			unsigned limits, struct told *told)
{
	uint64_t step = f->len / (limits + 1) & ~(uint64_t)(FRAME_ALIGN - 1);
	struct frame frame = { 0 };
	size_t n = 0;

	for (unsigned steps = 0; n < TOLD_MAX; steps++) {
		uint64_t before = scan_offset(s);
		enum scan_found found = scan_step(s, &frame);

		MUST(steps < STEPS_MAX && found != SCAN_FAILED);
		if (found == SCAN_WANTS_READ) {
			read_file(f, s, most);
			continue;
		}
		told[n++] =
			(struct told){ found, frame.offset, scan_offset(s) };
		if (found == SCAN_SEALED || found == SCAN_END)
			break;
		if (found == SCAN_MESSAGE)
			MUST(was_written(f, frame.offset) &&
			     frame_end(&frame) == scan_offset(s));
		else if (found == SCAN_BAD)
			MUST(frame.offset >= before &&
			     scan_offset(s) > frame.offset);
		else
			scan_set_limit(s, limits && step ?
						  step * limits-- + s->limit :
						  SCAN_TO_END);
	}
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t small[SCAN_BUFFER_MIN], large[65536];
	static struct told a[TOLD_MAX], b[TOLD_MAX];
	static struct file file;
	struct scan first, second;
	unsigned limits;
	size_t n;

	if (!size)
		return 0;
	limits = data[0] % 4;
	make_file(&file, span_of(data + 1, size - 1));
	scan_init(&first, 3, SEGMENT,
		  (struct span_mut){ large, sizeof(large) });
	scan_init(&second, 3, SEGMENT,
		  (struct span_mut){ small, sizeof(small) });
	n = scan_file(&file, &first, sizeof(large), limits, a);
	MUST(n == scan_file(&file, &second, 1 + data[0] / 4, limits, b));
	for (size_t k = 0; k < n; k++)
		MUST(a[k].found == b[k].found && a[k].from == b[k].from &&
		     a[k].to == b[k].to);
	MUST(scan_corrupt(&first) == scan_corrupt(&second));
	return 0;
}
