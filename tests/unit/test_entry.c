/* Loading one message, on a file that does not give it all at once. */
#include "spool/entry.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define SEGMENT 0x77

struct stored {
	struct frame frame;
	uint8_t bytes[16384];
};

static void store(struct stored *s, enum frame_type type)
{
	static const uint64_t dots[] = { 0, 40 };

	*s = (struct stored){ .frame = { .type = type,
					 .segment = SEGMENT,
					 .offset = 112,
					 .envelope_len = 5,
					 .dots_n = 2,
					 .body_len = 100 } };
	(void)frame_put_header(s->bytes, &s->frame);
	memcpy(s->bytes + FRAME_HEADER_BYTES, "abcde", 5);
	memcpy(s->bytes + FRAME_HEADER_BYTES + 8, dots, sizeof(dots));
}

/* Gives at most `most` bytes a read. */
static void load(struct entry *e, const struct stored *s, size_t most)
{
	struct io io;

	while (entry_next(e, &io)) {
		size_t at = io.offset - s->frame.offset;
		size_t n = io.iov->iov_len < most ? io.iov->iov_len : most;

		assert_int_equal(io.kind, IO_READ);
		assert_true(n && at + n <= sizeof(s->bytes));
		memcpy(io.iov->iov_base, s->bytes + at, n);
		entry_done(e, (int64_t)n);
	}
}

static void comes_in_any_pieces(void **state)
{
	uint8_t storage[120];
	struct stored s;
	struct dots dots;
	struct entry e;

	store(&s, FRAME_MESSAGE);
	for (size_t most = 1; most <= sizeof(storage); most++) {
		entry_open(&e, 3, SEGMENT, 112,
			   (struct span_mut){ storage, sizeof(storage) });
		load(&e, &s, most);
		assert_int_equal(entry_state(&e), ENTRY_READY);
		assert_true(span_equal(entry_envelope(&e), SPAN("abcde")));
		entry_dots(&e, &dots);
		assert_int_equal(dots.n, 2);
		assert_int_equal(dots.at[1], 40);
	}
}

static void assert_body(uint64_t body_len, enum frame_type type, bool whole)
{
	static uint8_t storage[16384];
	static struct stored s;
	struct entry e;
	struct io io;

	store(&s, type);
	s.frame.body_len = body_len;
	(void)frame_put_header(s.bytes, &s.frame);
	memset(s.bytes + 120, 'b', body_len);
	entry_open(&e, 3, SEGMENT, 112,
		   (struct span_mut){ storage, sizeof(storage) });
	assert_true(entry_next(&e, &io));
	assert_int_equal(io.iov->iov_len, ENTRY_FIRST_BYTES);
	load(&e, &s, sizeof(s.bytes));
	assert_int_equal(entry_state(&e), ENTRY_READY);
	assert_int_equal(entry_body(&e).len, whole ? body_len : 0);
	for (size_t i = 0; i < entry_body(&e).len; i++)
		assert_int_equal(entry_body(&e).p[i], 'b');
}

static void short_bodies_come_along(void **state)
{
	assert_body(100, FRAME_MESSAGE, true);
	assert_body(ENTRY_FIRST_BYTES - 120, FRAME_MESSAGE, true);
	assert_body(ENTRY_FIRST_BYTES - 119, FRAME_MESSAGE, false);
	assert_body(100, FRAME_FILE, false);
	assert_body(0, FRAME_MESSAGE, false);
}

/* What is behind a long envelope is not read with it. */
static void the_second_read_is_what_is_missing(void **state)
{
	static uint8_t storage[16384];
	static struct stored s;
	struct entry e;
	struct io io;

	store(&s, FRAME_MESSAGE);
	s.frame.envelope_len = ENTRY_FIRST_BYTES;
	(void)frame_put_header(s.bytes, &s.frame);
	entry_open(&e, 3, SEGMENT, 112,
		   (struct span_mut){ storage, sizeof(storage) });
	assert_true(entry_next(&e, &io));
	memcpy(io.iov->iov_base, s.bytes, io.iov->iov_len);
	entry_done(&e, (int64_t)io.iov->iov_len);
	assert_true(entry_next(&e, &io));
	assert_int_equal(io.offset, 112 + ENTRY_FIRST_BYTES);
	assert_int_equal(io.iov->iov_len, FRAME_HEADER_BYTES + 16);
	entry_done(&e, (int64_t)io.iov->iov_len);
	assert_int_equal(entry_state(&e), ENTRY_READY);
}

static void small_storage_says_so(void **state)
{
	uint8_t storage[119];
	struct stored s;
	struct entry e;

	store(&s, FRAME_MESSAGE);
	entry_open(&e, 3, SEGMENT, 112,
		   (struct span_mut){ storage, sizeof(storage) });
	load(&e, &s, 200);
	assert_int_equal(entry_state(&e), ENTRY_FAILED);
	assert_int_equal(entry_error(&e), -ENOBUFS);
}

static void other_frames_are_no_message(void **state)
{
	uint8_t storage[200];
	struct stored s;
	struct entry e;

	store(&s, FRAME_MESSAGE);
	s.bytes[70] ^= 1;
	entry_open(&e, 3, SEGMENT, 112,
		   (struct span_mut){ storage, sizeof(storage) });
	load(&e, &s, 200);
	assert_int_equal(entry_error(&e), -EBADMSG);
	entry_open(&e, 3, SEGMENT, 112,
		   (struct span_mut){ storage, sizeof(storage) });
	entry_done(&e, 0);
	assert_int_equal(entry_error(&e), -EBADMSG);
	entry_open(&e, 3, SEGMENT, 112,
		   (struct span_mut){ storage, sizeof(storage) });
	entry_done(&e, -EIO);
	assert_int_equal(entry_error(&e), -EIO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(comes_in_any_pieces),
		cmocka_unit_test(short_bodies_come_along),
		cmocka_unit_test(the_second_read_is_what_is_missing),
		cmocka_unit_test(small_storage_says_so),
		cmocka_unit_test(other_frames_are_no_message),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
