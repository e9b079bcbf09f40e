/*
 * Changes as the input says, some damaged, replayed in reads of two lengths:
 * both give the same index, nothing is counted twice, and a snapshot of it,
 * replayed, gives it again. Scanning what the index knows then ends with no
 * message known but not found.
 *
 * Input: one byte for the length of reads, then changes of 4 bytes: kind and
 * damage, segment and message, two bytes of value.
 */
#include "base/must.h"
#include "spool/replay.h"

#define SEGMENTS    4
#define MESSAGES    32 /* of a segment */
#define CHANGES_MAX 512
#define SEQUENCE    9
#define TOLD_MAX    (SEGMENTS * (MESSAGES + 1) * 70)

static const struct index_options options = {
	.messages_max = SEGMENTS * MESSAGES,
	.changes_max = 8,
	.segments_max = SEGMENTS + 1,
	.wide_max = 16,
};

static struct index *make_index(uint8_t *memory, size_t len)
{
	struct index *i;
	uint16_t slot;

	MUST(index_size(&options) <= len);
	memset(memory, 0, len);
	i = index_init(memory, &options);
	for (uint64_t id = 1; id <= SEGMENTS; id++)
		MUST(!index_add_segment(i, id * 977, &slot));
	return i;
}

static size_t write_changes(uint8_t *file, struct span in)
{
	size_t at = 0;

	for (; in.len >= 4 && at < CHANGES_MAX * CHANGE_BYTES;
	     in = span_tail(in, 4), at += CHANGE_BYTES) {
		struct change c = {
			.kind = CHANGE_CUT + in.p[0] % (CHANGE_KINDS - 2),
			.segment = (1 + in.p[1] % (SEGMENTS + 1)) * 977ULL,
			.offset = in.p[1] / 8 * 64ULL,
			.bits = 1ULL << in.p[2] % 64,
			.due_s = in.p[2] * 100U,
			.attempts = in.p[3],
			.code = in.p[3],
			.word = in.p[3] % 70,
		};

		change_put(file + at, &c, SEQUENCE, at);
		if (in.p[0] > 240)
			file[at + in.p[3] % CHANGE_BYTES] ^= in.p[2];
	}
	for (; in.len && in.len < 4; in = span_tail(in, 1))
		file[at++] = in.p[0]; /* a torn end */
	return at;
}

static void replay_all(struct index *i, const uint8_t *file, size_t len,
		       size_t most)
{
	uint8_t buffer[REPLAY_BUFFER_MIN];
	struct replay r;
	struct io io;

	replay_init(&r, 3, SEQUENCE,
		    (struct span_mut){ buffer, sizeof(buffer) }, i);
	while (replay_next(&r, &io)) {
		size_t n = len - io.offset;

		MUST(io.offset <= len && io.iov->iov_len);
		n = n < io.iov->iov_len ? n : io.iov->iov_len;
		n = n < most ? n : most;
		if (n)
			memcpy(io.iov->iov_base, file + io.offset, n);
		replay_done(&r, (int64_t)n);
	}
	MUST(!replay_error(&r));
	MUST(r.applied + r.bad + r.bad_run == len / CHANGE_BYTES);
}

static size_t snapshot(const struct index *i, struct change *told)
{
	struct index_cursor cursor = { 0 };
	size_t n = 0, step;

	while ((step = index_snapshot(i, &cursor, &told[n]))) {
		n += step;
		MUST(n <= TOLD_MAX - INDEX_STEP_MAX);
	}
	return n;
}

/* Takes what scanning would find; all that was known is then found or gone. */
static void scan_all(struct index *i)
{
	struct index_counts counts;
	struct index_ref ref;
	uint16_t slot;

	for (uint64_t id = 977; id <= SEGMENTS * 977; id += 977) {
		MUST(index_find_segment(i, id, &slot));
		for (uint64_t n = 0; n < MESSAGES; n++) {
			struct frame f = { .type = FRAME_MESSAGE,
					   .segment = id,
					   .offset = n * 64 };

			(void)index_add(i, slot, &f, 5, &ref);
		}
		index_finish_segment(i, slot, false);
		MUST(!index_segment(i, slot)->known_n);
	}
	counts = index_counts(i);
	MUST(counts.waiting + counts.held <= options.messages_max);
	while (index_walk(i, 0, &ref)) {
		struct change done = index_change(i, ref, CHANGE_DONE);

		MUST(!index_apply(i, &done));
	}
	for (slot = 0; slot < SEGMENTS; slot++)
		MUST(index_reclaimable(i, slot));
}

static bool same(const struct change *a, const struct change *b)
{
	return a->kind == b->kind && a->segment == b->segment &&
	       a->offset == b->offset && a->bits == b->bits &&
	       a->due_s == b->due_s && a->attempts == b->attempts &&
	       a->code == b->code && a->word == b->word;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static _Alignas(64) uint8_t memory[2][1 << 16];
	static uint8_t file[(CHANGES_MAX + 1) * CHANGE_BYTES];
	static struct change a[TOLD_MAX], b[TOLD_MAX];
	struct index *first, *second;
	size_t len, n;

	if (!size)
		return 0;
	len = write_changes(file, span_of(data + 1, size - 1));
	first = make_index(memory[0], sizeof(memory[0]));
	replay_all(first, file, len, sizeof(file));
	n = snapshot(first, a);
	second = make_index(memory[1], sizeof(memory[1]));
	replay_all(second, file, len, 1 + data[0]);
	MUST(n == snapshot(second, b));
	for (size_t k = 0; k < n; k++)
		MUST(same(&a[k], &b[k]));

	second = make_index(memory[1], sizeof(memory[1]));
	for (size_t k = 0; k < n; k++)
		MUST(!index_apply(second, &a[k]));
	MUST(n == snapshot(second, b));
	scan_all(first);
	return 0;
}
