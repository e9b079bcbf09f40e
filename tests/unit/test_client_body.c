/* What of a body is sent as it is, what is added, and who must look at it. */
#include "smtp/client_body.h"

#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct dots find_dots(struct span s)
{
	struct dots dots = { 0 };

	for (size_t at = 0; at < s.len; at++)
		if (s.p[at] == '.' && (!at || s.p[at - 1] == '\n'))
			dots_add(&dots, at);
	return dots;
}

/* Sends `stored` in blocks of that size and compares with `wanted`. */
static void check_body(const char *stored, const char *wanted, size_t block,
		       const struct dots *dots)
{
	uint8_t bytes[256];
	struct buf sent;
	struct client_body b;

	buf_init(&sent, bytes, sizeof(bytes));
	client_body_init(&b, CLIENT_DOTTED, strlen(stored), dots);
	while (!client_body_done(&b)) {
		struct span rest =
			span_tail(span_str(stored), client_body_at(&b));
		struct span shown =
			span_head(rest, rest.len < block ? rest.len : block);
		struct client_piece piece = client_body_next(&b, shown);
		struct span part = piece.literal;

		if (!part.len)
			part = span_head(shown, piece.stored);
		assert_true(part.len);
		if (part.len > block)
			part.len = block;
		buf_put(&sent, part);
		client_body_sent(&b, part);
	}
	if (!span_equal(buf_span(&sent), span_str(wanted)))
		fail_msg("block %zu: sent `%.*s`, wanted `%s`", block,
			 (int)buf_len(&sent), (const char *)sent.p, wanted);
}

static void dots_and_end_mark(void **state)
{
	static const char *const cases[][2] = {
		{ "", ".\r\n" },
		{ ".", "..\r\n.\r\n" },
		{ "a", "a\r\n.\r\n" },
		{ "a\r", "a\r\r\n.\r\n" },
		{ "a\r\n", "a\r\n.\r\n" },
		{ ".\r\n.\r\n", "..\r\n..\r\n.\r\n" },
		{ ".a\r\n..b\r\nc.\r\n", "..a\r\n...b\r\nc.\r\n.\r\n" },
		{ "x\r\n\r\n.y\r\n", "x\r\n\r\n..y\r\n.\r\n" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct span s = span_str(cases[i][0]);
		struct dots dots = find_dots(s);

		for (size_t block = 1; block < 24; block++) {
			check_body(cases[i][0], cases[i][1], block, NULL);
			check_body(cases[i][0], cases[i][1], block, &dots);
		}
	}
}

/* As a sender that shows bytes only where it must. */
static void send_unseen(struct client_body *b, struct span stored, size_t most,
			struct buf *sent)
{
	while (!client_body_done(b)) {
		struct span rest = span_tail(stored, client_body_at(b));
		uint64_t unseen = client_body_unseen(b);
		struct client_piece piece;
		struct span part;

		if (unseen) {
			part = span_head(rest, unseen < most ? unseen : most);
			buf_put(sent, part);
			client_body_sent_unseen(b, part.len);
			continue;
		}
		piece = client_body_next(b, span_of(NULL, 0));
		part = piece.literal;
		if (!part.len) {
			piece = client_body_next(b, rest);
			assert_int_equal(piece.literal.len, 0);
			part = span_head(rest, piece.stored);
			assert_in_range(part.len, 1, 2); /* the end alone */
		}
		buf_put(sent, part);
		client_body_sent(b, part);
	}
}

static void ranges_that_nobody_looks_at(void **state)
{
	static const char *const cases[][2] = {
		{ "", ".\r\n" },
		{ ".", "..\r\n.\r\n" },
		{ "abc", "abc\r\n.\r\n" },
		{ "ab\r\n", "ab\r\n.\r\n" },
		{ "ab\r\n.", "ab\r\n..\r\n.\r\n" },
		{ ".a\r\nbcdef\r\n..\r\ng",
		  "..a\r\nbcdef\r\n...\r\ng\r\n.\r\n" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct span s = span_str(cases[i][0]);
		struct dots dots = find_dots(s);

		for (size_t most = 1; most < 24; most++) {
			uint8_t bytes[256];
			struct buf sent;
			struct client_body b;

			buf_init(&sent, bytes, sizeof(bytes));
			client_body_init(&b, CLIENT_DOTTED, s.len, &dots);
			send_unseen(&b, s, most, &sent);
			assert_true(span_equal(buf_span(&sent),
					       span_str(cases[i][1])));
		}
	}
}

/* Counted: all of it; without an index: none. */
static void who_must_look(void **state)
{
	struct dots partial = { .partial = true };
	struct client_body b;

	client_body_init(&b, CLIENT_COUNTED, 5000, NULL);
	assert_int_equal(client_body_unseen(&b), 5000);
	client_body_sent_unseen(&b, 4999);
	assert_int_equal(client_body_at(&b), 4999);
	assert_int_equal(client_body_unseen(&b), 1);
	client_body_sent_unseen(&b, 1);
	assert_true(client_body_done(&b));
	client_body_init(&b, CLIENT_DOTTED, 5000, NULL);
	assert_int_equal(client_body_unseen(&b), 0);
	client_body_init(&b, CLIENT_DOTTED, 5000, &partial);
	assert_int_equal(client_body_unseen(&b), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dots_and_end_mark),
		cmocka_unit_test(ranges_that_nobody_looks_at),
		cmocka_unit_test(who_must_look),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
