/* The mails of the load: sizes to the byte, sound bodies, the distribution. */
#include "load/mails.h"

#include "sink/intake.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define RUN 0xabcd1234u

static struct load_options options(void)
{
	return (struct load_options){ .sender = "load@example.org",
				      .size = 4096,
				      .size_sigma = 1.5,
				      .size_max = 25u << 20,
				      .seed = 1 };
}

static struct mails *opened(const struct load_options *o)
{
	const char *problem;
	struct mails *m;

	assert_int_equal(mails_open(o, RUN, &m, &problem), 0);
	return m;
}

static uint8_t *whole(const struct mail *mail)
{
	uint8_t *bytes = malloc(mail_bytes(mail));

	assert_non_null(bytes);
	memcpy(bytes, mail->head, mail->head_len);
	memcpy(bytes + mail->head_len, mail->body.p, mail->body.len);
	return bytes;
}

static void check_lines(const uint8_t *p, size_t n)
{
	assert_memory_equal(p + n - 2, "\r\n", 2);
	for (size_t i = 0; i < n; i++)
		if (p[i] == '\n')
			assert_true(i && p[i - 1] == '\r');
}

/* The index names the lines with a dot, in the whole message, and all. */
static void check_dots(const struct mail *mail, const uint8_t *p)
{
	size_t n = mail_bytes(mail);
	uint32_t k = 0;

	for (size_t i = 1; i + 1 < n; i++) {
		if (p[i - 1] != '\n' || p[i] != '.')
			continue;
		assert_true(k < mail->dots.n);
		assert_int_equal(mail->dots.at[k++], i);
	}
	assert_int_equal(k, mail->dots.n);
	assert_false(mail->dots.partial);
}

static void has_the_wanted_size(void **state)
{
	static const uint64_t sizes[] = { 1000, 1001,  1063,   4096,
					  5000, 65536, 1000003 };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		struct load_options o = options();
		struct dice dice = dice_from(1);
		struct mails *m;
		struct mail mail;
		uint8_t *bytes;

		o.size = sizes[i];
		m = opened(&o);
		mails_make(m, 3, &dice, &mail);
		assert_int_equal(mail_bytes(&mail), sizes[i]);
		bytes = whole(&mail);
		check_lines(bytes, sizes[i]);
		check_dots(&mail, bytes);
		assert_true(sizes[i] < 5000 || mail.dots.n);
		free(bytes);
		mails_close(m);
	}
}

/* What the sink makes of it is what the account says. */
static void hashes_as_the_sink_does(void **state)
{
	struct load_options o = options();
	struct mails *m = opened(&o);
	struct dice dice = dice_from(1);
	struct mail mail, other;
	struct intake intake;
	uint8_t *bytes;

	mails_make(m, 41, &dice, &mail);
	mails_make(m, 42, &dice, &other);
	bytes = whole(&mail);
	intake_begin(&intake, true);
	intake_counted(&intake, SPAN("Received: from there\r\n"));
	intake_counted(&intake, span_of(bytes, mail_bytes(&mail)));
	assert_true(intake.known);
	assert_int_equal(intake.id.run, RUN);
	assert_int_equal(intake.id.number, 41);
	assert_int_equal(intake.hashed, mail_bytes(&mail));
	assert_true(hash_value(&intake.hash) == mail_hash(&mail));
	assert_true(mail_hash(&mail) != mail_hash(&other));
	free(bytes);
	mails_close(m);
}

static int by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* The median is met, and a sigma away lies the share that should. */
static void sizes_are_log_normal(void **state)
{
	struct load_options o = options();
	struct dice dice = dice_from(9);
	static uint64_t sizes[20001];
	const size_t n = sizeof(sizes) / sizeof(*sizes);
	struct mails *m;

	o.size_median = 30 << 10;
	o.size_max = 4 << 20;
	m = opened(&o);
	for (size_t i = 0; i < n; i++) {
		struct mail mail;

		mails_make(m, i, &dice, &mail);
		sizes[i] = mail_bytes(&mail);
		assert_true(sizes[i] <= o.size_max);
	}
	qsort(sizes, n, sizeof(*sizes), by_size);
	assert_in_range(sizes[n / 2], 29000, 32500);
	/* 84.13 % lie below median * e^sigma = 137,679. */
	assert_in_range(sizes[n * 8413 / 10000], 130000, 146000);
	assert_int_equal(sizes[n - 1], o.size_max);
	mails_close(m);
}

static void put_file(const char *folder, const char *name, const char *text)
{
	char path[128];
	FILE *file;

	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	file = fopen(path, "w");
	assert_non_null(file);
	(void)fputs(text, file);
	(void)fclose(file);
}

static void sends_the_files_of_a_folder(void **state)
{
	char folder[] = "/tmp/sluice-mails-XXXXXX", command[64];
	struct load_options o = options();
	struct dice dice = dice_from(1);
	struct mails *m;
	struct mail mail;

	assert_non_null(mkdtemp(folder));
	put_file(folder, "b", "date: x\r\nMESSAGE-ID: y\r\n\r\n\xc3\xa4\r\n");
	put_file(folder, "a", "Subject: a\n\n.dot\nend");
	put_file(folder, ".hidden", "no");
	o.folder = folder;
	m = opened(&o);
	mails_make(m, 0, &dice, &mail);
	assert_int_equal(mail.head_len, 0);
	assert_true(span_equal(mail.body,
			       SPAN("Subject: a\r\n\r\n.dot\r\nend\r\n")));
	assert_int_equal(mail.dots.n, 1);
	assert_int_equal(mail.dots.at[0], 14);
	assert_false(mail.eight_bit);
	mails_make(m, 3, &dice, &mail);
	assert_true(mail.eight_bit);
	mails_close(m);
	o.account = "there";
	m = opened(&o);
	mails_make(m, 0, &dice, &mail);
	assert_memory_equal(mail.head, ACCOUNT_FIELD, 15);
	assert_non_null(memmem(mail.head, mail.head_len, "\r\nDate: ", 8));
	assert_non_null(
		memmem(mail.head, mail.head_len, "\r\nMessage-ID: ", 14));
	assert_int_equal(mail.dots.at[0], 14 + mail.head_len);
	mails_make(m, 1, &dice, &mail);
	assert_int_equal(mail.head_len, 15 + ACCOUNT_ID_LEN + 2);
	mails_close(m);
	(void)snprintf(command, sizeof(command), "rm -r %s", folder);
	assert_int_equal(system(command), 0);
}

static void refuses_an_empty_folder(void **state)
{
	char folder[] = "/tmp/sluice-mails-XXXXXX";
	struct load_options o = options();
	const char *problem = NULL;
	struct mails *m;

	assert_non_null(mkdtemp(folder));
	o.folder = folder;
	assert_true(mails_open(&o, RUN, &m, &problem) < 0);
	assert_ptr_equal(problem, folder);
	assert_int_equal(rmdir(folder), 0);
	assert_true(mails_open(&o, RUN, &m, &problem) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(has_the_wanted_size),
		cmocka_unit_test(hashes_as_the_sink_does),
		cmocka_unit_test(sizes_are_log_normal),
		cmocka_unit_test(sends_the_files_of_a_folder),
		cmocka_unit_test(refuses_an_empty_folder),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
