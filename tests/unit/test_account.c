/* The books of sender and sink: lines, and what their comparison finds. */
#include "kit/account.h"
#include "load/compare.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define SENT_N 4

static struct account_line line(uint64_t number, enum account_fate fate)
{
	return (struct account_line){ .id = { 7, number },
				      .hash = number * 1000,
				      .bytes = 100,
				      .recipients = 2,
				      .recipients_sum = 55,
				      .fate = fate };
}

static void fill(struct account_line *lines, enum account_fate fate)
{
	for (uint64_t i = 0; i < SENT_N; i++)
		lines[i] = line(i, fate);
}

/* Compares SENT_N accepted messages with `got`. */
static struct comparison compared(struct account_line *got, size_t got_n)
{
	struct account_line sent[SENT_N];
	struct comparison c;

	fill(sent, ACCOUNT_ACCEPTED);
	compare_lines(sent, SENT_N, got, got_n, &c);
	assert_int_equal(c.sent, SENT_N);
	return c;
}

static void finds(const struct comparison *c, uint64_t lost, uint64_t doubled,
		  uint64_t changed, uint64_t unexpected)
{
	assert_int_equal(c->found[COMPARE_LOST], lost);
	assert_int_equal(c->found[COMPARE_DOUBLED], doubled);
	assert_int_equal(c->found[COMPARE_CHANGED], changed);
	assert_int_equal(c->found[COMPARE_UNEXPECTED], unexpected);
	assert_int_equal(comparison_is_good(c),
			 !(lost + doubled + changed + unexpected));
}

static void agrees_in_any_order(void **state)
{
	struct account_line got[SENT_N], swap;
	struct comparison c;

	fill(got, ACCOUNT_GOT);
	swap = got[0];
	got[0] = got[3];
	got[3] = swap;
	c = compared(got, SENT_N);
	finds(&c, 0, 0, 0, 0);
	assert_int_equal(c.arrived, SENT_N);
}

static void tells_a_lost_one(void **state)
{
	struct account_line got[SENT_N];
	struct comparison c;

	fill(got, ACCOUNT_GOT);
	got[1] = got[3];
	c = compared(got, SENT_N - 1);
	finds(&c, 1, 0, 0, 0);
	assert_int_equal(c.examples[COMPARE_LOST][0].number, 1);
}

static void tells_a_doubled_one(void **state)
{
	struct account_line got[SENT_N + 1];
	struct comparison c;

	fill(got, ACCOUNT_GOT);
	got[SENT_N] = got[2];
	c = compared(got, SENT_N + 1);
	finds(&c, 0, 1, 0, 0);
	assert_int_equal(c.examples[COMPARE_DOUBLED][0].number, 2);
}

static void tells_a_changed_one(void **state)
{
	struct account_line got[SENT_N];
	struct comparison c;

	fill(got, ACCOUNT_GOT);
	got[0].hash ^= 1;
	got[3].bytes++;
	c = compared(got, SENT_N);
	finds(&c, 0, 0, 2, 0);
}

/* One per recipient is the same as one for both. */
static void adds_recipients(void **state)
{
	struct account_line got[SENT_N + 1];
	struct comparison c;

	fill(got, ACCOUNT_GOT);
	got[SENT_N] = got[1];
	got[1].recipients = got[SENT_N].recipients = 1;
	got[1].recipients_sum = 20;
	got[SENT_N].recipients_sum = 35;
	c = compared(got, SENT_N + 1);
	finds(&c, 0, 0, 0, 0);
	/* In order now. One of both twice, the other never: */
	got[1].recipients_sum = got[2].recipients_sum = 35;
	c = compared(got, SENT_N + 1);
	finds(&c, 1, 1, 0, 0);
	got[1].recipients_sum = 20;
	got[3].recipients = 1;
	c = compared(got, SENT_N + 1);
	finds(&c, 1, 0, 0, 0);
}

static void tells_the_unexpected(void **state)
{
	struct account_line got[SENT_N + 2];
	struct comparison c;

	fill(got, ACCOUNT_GOT);
	got[SENT_N] = line(99, ACCOUNT_GOT);
	got[SENT_N + 1] = line(1, ACCOUNT_GOT);
	got[SENT_N + 1].id.run = 8; /* another run's is nothing to us */
	c = compared(got, SENT_N + 2);
	finds(&c, 0, 0, 0, 1);
}

static void heeds_what_became_of_them(void **state)
{
	struct account_line sent[3], got[2];
	struct comparison c;

	sent[0] = line(0, ACCOUNT_UNKNOWN); /* may have arrived */
	sent[1] = line(1, ACCOUNT_UNKNOWN); /* or not */
	sent[2] = line(2, ACCOUNT_REFUSED); /* may not */
	got[0] = line(0, ACCOUNT_GOT);
	got[1] = line(2, ACCOUNT_GOT);
	compare_lines(sent, 3, got, 1, &c);
	finds(&c, 0, 0, 0, 0);
	assert_int_equal(c.sent, 0);
	compare_lines(sent, 3, got, 2, &c);
	finds(&c, 0, 0, 0, 1);
}

/* A Maildir tells no recipients: one file for all, or one for each. */
static void counts_copies_without_recipients(void **state)
{
	static const struct {
		size_t copies;
		uint64_t lost, doubled;
	} cases[] = { { 0, 1, 0 }, { 1, 0, 0 }, { 2, 0, 0 }, { 3, 0, 1 } };

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct account_line sent = line(0, ACCOUNT_ACCEPTED), got[3];
		struct comparison c;

		for (size_t k = 0; k < 3; k++) {
			got[k] = line(0, ACCOUNT_GOT);
			got[k].recipients = 0;
			got[k].recipients_sum = 0;
		}
		compare_lines(&sent, 1, got, cases[i].copies, &c);
		finds(&c, cases[i].lost, cases[i].doubled, 0, 0);
	}
}

/* What is written is read back; what is no line is refused. */
static void reads_what_it_wrote(void **state)
{
	static const char *const bad[] = {
		"",
		"\n",
		"00000007-000000000001 00000000000003e8 100 2 37 gotten",
		"00000007-000000000001 00000000000003e8 100 2 37 got more",
		"0000007-0000000000001 00000000000003e8 100 2 37 got",
		"00000007-000000000001 3E8 100 2 37 got",
		"00000007-000000000001 3e8 100 4294967296 37 got",
	};
	struct account_line was = line(12, ACCOUNT_UNKNOWN), is;
	char text[256] = { 0 };
	FILE *file = fmemopen(text, sizeof(text), "w");

	assert_true(account_put(file, &was));
	assert_int_equal(fclose(file), 0);
	assert_true(account_read(span_str(text), &is));
	assert_true(is.id.run == was.id.run && is.id.number == was.id.number);
	assert_true(is.hash == was.hash && is.bytes == was.bytes);
	assert_true(is.recipients == was.recipients && is.fate == was.fate);
	assert_true(is.recipients_sum == was.recipients_sum);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_false(account_read(span_str(bad[i]), &is));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(agrees_in_any_order),
		cmocka_unit_test(tells_a_lost_one),
		cmocka_unit_test(tells_a_doubled_one),
		cmocka_unit_test(tells_a_changed_one),
		cmocka_unit_test(adds_recipients),
		cmocka_unit_test(tells_the_unexpected),
		cmocka_unit_test(heeds_what_became_of_them),
		cmocka_unit_test(counts_copies_without_recipients),
		cmocka_unit_test(reads_what_it_wrote),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
