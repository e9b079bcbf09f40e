/* The scanner: ends, dots, findings, limits, at every cut. */
#include "smtp/body.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define DATE "Date: d\r\n"
#define ID   "Message-ID: i\r\n"
#define HEAD DATE ID "\r\n"
#define CAP  (BODY_ROOM_MIN + 64)

struct scan {
	struct body body;
	struct body_limits limits;
	enum body_framing framing;
	struct dots dots;
	struct buf stored;
	size_t used;
	bool ended;
	uint8_t bytes[8192];
};

static void scan_init(struct scan *s, enum body_framing framing)
{
	*s = (struct scan){
		.framing = framing,
		.limits = {
			.message_max = 100000,
			.header_max = 100000,
			.text_line_max = 998,
			.hops_max = 10,
		},
	};
}

/* Empties `out` and adds missing fields, as the server does. */
static void scan_serve(struct scan *s, enum body_result r, struct buf *out)
{
	if (r == BODY_FULL || r == BODY_END) {
		buf_put(&s->stored, buf_span(out));
		buf_clear(out);
	}
	assert_true(r != BODY_HEADER_END || buf_room(out) >= BODY_ROOM_MIN);
	if (r == BODY_HEADER_END && !s->body.has_date) {
		if (body_mid_line(&s->body))
			buf_put_str(out, "\r\n");
		buf_put_str(out, DATE);
	}
	s->ended = r == BODY_END;
}

/* Gives `in` in steps; true when the message has ended. */
static bool scan_run(struct scan *s, struct span in, size_t step, size_t cap)
{
	uint8_t storage[CAP];
	enum body_result r;
	struct buf out;

	s->used = 0;
	s->ended = false;
	dots_clear(&s->dots);
	buf_init(&s->stored, s->bytes, sizeof(s->bytes));
	buf_init(&out, storage, cap);
	body_begin(&s->body, s->framing, &s->limits);
	while (!s->ended && s->used < in.len) {
		size_t left = in.len - s->used;
		struct span piece =
			span_of(in.p + s->used, step < left ? step : left);

		do {
			size_t before = piece.len;

			r = body_scan(&s->body, &piece, &out, &s->dots);
			s->used += before - piece.len;
			scan_serve(s, r, &out);
		} while (r != BODY_MORE && r != BODY_END);
	}
	while (!s->ended && s->framing == BODY_COUNTED)
		scan_serve(s, body_finish(&s->body, &out, &s->dots), &out);
	return s->ended;
}

/* At every step: this finding, and when it is REPLY_OK this stored body. */
static void expect(struct scan *s, struct span in, enum reply finding,
		   struct span stored)
{
	for (size_t step = 1; step <= in.len; step++) {
		assert_true(scan_run(s, in, step, CAP));
		assert_int_equal(s->used, in.len);
		assert_int_equal(body_finding(&s->body), finding);
		if (finding == REPLY_OK)
			assert_true(span_equal(buf_span(&s->stored), stored));
	}
}

static void data(const char *in, enum reply finding, const char *stored)
{
	struct scan s;

	scan_init(&s, BODY_STUFFED);
	expect(&s, span_str(in), finding, span_str(stored));
}

static void bytes_in_are_bytes_out(void **state)
{
	uint8_t in[512] = HEAD, *p = in + strlen(HEAD);
	struct scan s;

	for (int c = 1; c < 256; c++)
		if (c != '\r' && c != '\n')
			*p++ = (uint8_t)c;
	memcpy(p, "\r\n.\r\n", 5);
	scan_init(&s, BODY_STUFFED);
	expect(&s, span_of(in, (size_t)(p + 5 - in)), REPLY_OK,
	       span_of(in, (size_t)(p + 2 - in)));
}

static void unstuffs(void **state)
{
	data(HEAD ".\r\n", REPLY_OK, HEAD);
	data(HEAD "..\r\n.\r\n", REPLY_OK, HEAD ".\r\n");
	data(HEAD "...\r\n.\r\n", REPLY_OK, HEAD "..\r\n");
	data(HEAD ".x\r\n.\r\n", REPLY_OK, HEAD "x\r\n");
	data(HEAD "x.\r\n.\r\n", REPLY_OK, HEAD "x.\r\n");
	data("." HEAD ".\r\n", REPLY_OK, HEAD);
}

static void only_crlf_dot_crlf_ends(void **state)
{
	static const char *const open[] = {
		HEAD "x\n.\n",      HEAD "x\r\n.\n",     HEAD "x\n.\r\n",
		HEAD "x\r.\r",      HEAD "x\r\n.\r",     HEAD "x\r.\r\n",
		HEAD "x.\r\n",      HEAD "x\r\n..\r\n",  HEAD "x\r\n.\r\r\n",
		HEAD "x\r\n. \r\n", HEAD "x\r\n.\n\r\n", HEAD "x\r\n\n.\n",
	};

	for (size_t i = 0; i < sizeof(open) / sizeof(open[0]); i++)
		for (size_t step = 1; step < 40; step++)
			for (int normalise = 0; normalise < 2; normalise++) {
				struct scan s;

				scan_init(&s, BODY_STUFFED);
				s.limits.normalise_bare_lf = normalise;
				assert_false(scan_run(&s, span_str(open[i]),
						      step, CAP));
			}
}

static void finds(void **state)
{
	data(HEAD "a\nb\r\n.\r\n", REPLY_BARE_LF, "");
	data(HEAD "a\rb\r\n.\r\n", REPLY_BARE_CR, "");
	data(HEAD "a\r\r\n.\r\n", REPLY_BARE_CR, "");
	data(HEAD ".\rb\r\n.\r\n", REPLY_BARE_CR, "");
	data(HEAD "\n.\r\n\r\n.\r\n", REPLY_BARE_LF, "");
	data("\n\r\n.\r\n", REPLY_BARE_LF, "");
	/* The first one wins. */
	data(HEAD "a\rb\nc\r\n.\r\n", REPLY_BARE_CR, "");
	data(HEAD "a\nb\rc\r\n.\r\n", REPLY_BARE_LF, "");
}

static void finds_nul(void **state)
{
	struct scan s;

	scan_init(&s, BODY_STUFFED);
	expect(&s, SPAN(HEAD "a\0b\r\n.\r\n"), REPLY_NUL_BYTE, SPAN(""));
	expect(&s, SPAN("Sub\0ject: x\r\n.\r\n"), REPLY_NUL_BYTE, SPAN(""));
	scan_init(&s, BODY_COUNTED);
	expect(&s, SPAN(HEAD "\0"), REPLY_NUL_BYTE, SPAN(""));
}

static void normalises(void **state)
{
	struct scan s;

	scan_init(&s, BODY_STUFFED);
	s.limits.normalise_bare_lf = true;
	expect(&s, SPAN("Date: d\nX: y\n\na\n.\n..b\n\r\n.\n.\r\n.\r\n"),
	       REPLY_OK,
	       SPAN(DATE "X: y\r\n\r\na\r\n.\r\n..b\r\n\r\n\r\n.\r\n"));
	expect(&s, SPAN("a\rb\r\n.\r\n"), REPLY_BARE_CR, SPAN(""));
}

static void counts_chunks(void **state)
{
	struct scan s;

	scan_init(&s, BODY_COUNTED);
	expect(&s, SPAN(HEAD "\r\n.\r\n..x\r\n"), REPLY_OK,
	       SPAN(HEAD "\r\n.\r\n..x\r\n"));
	expect(&s, SPAN(HEAD "no end"), REPLY_OK, SPAN(HEAD "no end"));
	expect(&s, SPAN(HEAD "x\r"), REPLY_BARE_CR, SPAN(""));
	expect(&s, SPAN("X: y"), REPLY_OK, SPAN("X: y\r\n" DATE));
	expect(&s, SPAN("no field"), REPLY_OK, SPAN(DATE "no field"));
	assert_true(scan_run(&s, SPAN(""), 1, CAP));
	assert_true(span_equal(buf_span(&s.stored), SPAN(DATE)));
}

static void adds_where_the_header_ends(void **state)
{
	data("X: y\r\n\r\nb\r\n.\r\n", REPLY_OK, "X: y\r\n" DATE "\r\nb\r\n");
	data("X: y\r\n.\r\n", REPLY_OK, "X: y\r\n" DATE);
	data(".\r\n", REPLY_OK, DATE);
	data("\r\nb\r\n.\r\n", REPLY_OK, DATE "\r\nb\r\n");
	data("hello\r\n.\r\n", REPLY_OK, DATE "hello\r\n");
	data("X: y\r\nhello you: z\r\n.\r\n", REPLY_OK,
	     "X: y\r\n" DATE "hello you: z\r\n");
	data("X: y\r\n\tz\r\n z\r\n.\r\n", REPLY_OK,
	     "X: y\r\n\tz\r\n z\r\n" DATE);
	data(" z\r\n.\r\n", REPLY_OK, DATE " z\r\n");
	data(": z\r\n.\r\n", REPLY_OK, DATE ": z\r\n");
	data("X\xc3\xa4: z\r\n.\r\n", REPLY_OK, DATE "X\xc3\xa4: z\r\n");
	data("From a b\r\nX: y\r\n.\r\n", REPLY_OK,
	     "From a b\r\nX: y\r\n" DATE);
	data("X: y\r\nFrom a b\r\n.\r\n", REPLY_OK,
	     "X: y\r\n" DATE "From a b\r\n");
	data("date : d\r\n.\r\n", REPLY_OK, "date : d\r\n");
	data("..X: y\r\n.\r\n", REPLY_OK, ".X: y\r\n" DATE);
}

static void long_names_are_fields(void **state)
{
	char in[200], stored[200];

	memset(in, 'n', 90);
	memcpy(in + 90, ": v\r\n.\r\n", 9);
	memcpy(stored, in, 95);
	memcpy(stored + 95, DATE, sizeof(DATE));
	data(in, REPLY_OK, stored);
}

static void knows_both_fields(void **state)
{
	struct scan s;

	scan_init(&s, BODY_STUFFED);
	assert_true(scan_run(&s, SPAN("DATE: x\r\n y\r\n\r\n.\r\n"), 3, CAP));
	assert_true(s.body.has_date && !s.body.has_message_id);
	assert_true(scan_run(&s, SPAN("message-id:\r\n\r\n.\r\n"), 3, CAP));
	assert_true(!s.body.has_date && s.body.has_message_id);
	/* Neither a continuation nor the body is a field. */
	assert_true(scan_run(&s,
			     SPAN("X: y\r\n Date: x\r\n\r\nDate: x\r\n"
				  ".\r\n"),
			     3, CAP));
	assert_false(s.body.has_date);
}

static void keeps_limits(void **state)
{
	struct scan s;

	scan_init(&s, BODY_STUFFED);
	s.limits.text_line_max = 8;
	expect(&s, SPAN("X: 45678\r\n\r\n.12345678\r\n.\r\n"), REPLY_OK,
	       SPAN("X: 45678\r\n" DATE "\r\n12345678\r\n"));
	expect(&s, SPAN("\r\n123456789\r\n.\r\n"), REPLY_TEXT_LINE_TOO_LONG,
	       SPAN(""));
	scan_init(&s, BODY_STUFFED);
	s.limits.message_max = 16;
	expect(&s, SPAN("X: y\r\n\r\n\r\nabcd\r\n.\r\n"), REPLY_OK,
	       SPAN("X: y\r\n" DATE "\r\n\r\nabcd\r\n"));
	expect(&s, SPAN("X: y\r\n\r\n\r\nabcde\r\n.\r\n"), REPLY_TOO_BIG,
	       SPAN(""));
	expect(&s, SPAN("X: y\r\n\r\n\r\nabcde\r\n\r\n.\r\n"), REPLY_TOO_BIG,
	       SPAN(""));
	scan_init(&s, BODY_STUFFED);
	s.limits.header_max = 12;
	expect(&s, SPAN("X: y\r\nX: y\r\nnone\r\n.\r\n"), REPLY_OK,
	       SPAN("X: y\r\nX: y\r\n" DATE "none\r\n"));
	expect(&s, SPAN("X: y\r\nX: yz\r\n\r\n.\r\n"), REPLY_HEADER_TOO_BIG,
	       SPAN(""));
	scan_init(&s, BODY_STUFFED);
	s.limits.hops_max = 1;
	expect(&s, SPAN("Received: x\r\n\r\nReceived: x\r\n.\r\n"), REPLY_OK,
	       SPAN("Received: x\r\n" DATE "\r\nReceived: x\r\n"));
	expect(&s, SPAN("Received: x\r\nReceived: x\r\n\r\n.\r\n"), REPLY_LOOP,
	       SPAN(""));
}

static void notes_dots(void **state)
{
	/* Offsets count what the server put in front and in between. */
	struct span in = SPAN("..: y\r\n\r\n..a\r\nb.\r\n..\r\n.\r\n");
	struct scan s;

	scan_init(&s, BODY_STUFFED);
	for (size_t step = 1; step < in.len; step++) {
		assert_true(scan_run(&s, in, step, CAP));
		assert_int_equal(s.dots.n, 3);
		assert_int_equal(s.dots.at[0], 0);
		assert_int_equal(s.dots.at[1], 6 + strlen(DATE) + 2);
		assert_int_equal(s.dots.at[2], s.dots.at[1] + 8);
	}
}

/* The offsets go on when the buffer was stored and emptied in between. */
static void offsets_go_on(void **state)
{
	uint8_t in[6000] = HEAD;
	size_t n = strlen(HEAD), lines = 0;
	struct scan s;

	for (; lines < 50; lines++, n += 102) {
		memset(in + n, 'x', 100);
		in[n] = '.';
		memcpy(in + n + 100, "\r\n", 2);
	}
	scan_init(&s, BODY_COUNTED);
	for (size_t cap = BODY_ROOM_MIN; cap < CAP; cap++) {
		assert_true(scan_run(&s, span_of(in, n), n, cap));
		assert_true(span_equal(buf_span(&s.stored), span_of(in, n)));
		assert_int_equal(s.dots.n, lines);
		for (size_t i = 0; i < lines; i++)
			assert_int_equal(s.dots.at[i], strlen(HEAD) + i * 102);
	}
}

static void a_failure_joins_the_findings(void **state)
{
	struct scan s;

	scan_init(&s, BODY_STUFFED);
	body_begin(&s.body, BODY_STUFFED, &s.limits);
	assert_int_equal(body_finding(&s.body), REPLY_OK);
	body_fail(&s.body, REPLY_SPOOL_FULL);
	body_fail(&s.body, REPLY_TOO_BIG);
	assert_int_equal(body_finding(&s.body), REPLY_SPOOL_FULL);
}

static void runs_are_plain(void **state)
{
	assert_int_equal(body_plain_run(SPAN("")), 0);
	assert_int_equal(body_plain_run(SPAN("abc")), 3);
	assert_int_equal(body_plain_run(SPAN("ab\nc\r")), 2);
	assert_int_equal(body_plain_run(SPAN("a\rb\n")), 1);
	assert_int_equal(body_plain_run(SPAN("a\0b\r\n")), 1);
	assert_int_equal(body_plain_run(SPAN("\xff\x01.")), 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_in_are_bytes_out),
		cmocka_unit_test(unstuffs),
		cmocka_unit_test(only_crlf_dot_crlf_ends),
		cmocka_unit_test(finds),
		cmocka_unit_test(finds_nul),
		cmocka_unit_test(normalises),
		cmocka_unit_test(counts_chunks),
		cmocka_unit_test(adds_where_the_header_ends),
		cmocka_unit_test(long_names_are_fields),
		cmocka_unit_test(knows_both_fields),
		cmocka_unit_test(keeps_limits),
		cmocka_unit_test(notes_dots),
		cmocka_unit_test(offsets_go_on),
		cmocka_unit_test(a_failure_joins_the_findings),
		cmocka_unit_test(runs_are_plain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
