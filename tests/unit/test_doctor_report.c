/* Findings: how they are kept, shown and summed up. */
#include "doctor/report.h"

#include "aborts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>
#include <errno.h>

static struct findings f;
static uint8_t storage[REPORT_MAX];
static struct buf out;

static int setup(void **state)
{
	findings_init(&f);
	buf_init(&out, storage, sizeof(storage));
	return 0;
}

static void add(const char *subject, const char *found,
		enum finding_grade grade)
{
	FINDING(&f, .area = "area", .subject = subject, .found = found,
		.grade = grade);
}

static const char *shown(void)
{
	assert_false(out.overflowed);
	buf_put_byte(&out, '\0');
	return (const char *)buf_span(&out).p;
}

static void status_is_of_the_worst(void **state)
{
	static const int status[] = { 0, 0, 1, 2 };

	assert_int_equal(report_status(&f), 0);
	for (enum finding_grade g = 0; g < FINDING_GRADES; g++) {
		add("one", "found", g);
		add("other", "found", FINDING_WELL);
		assert_int_equal(findings_worst(&f), g);
		assert_int_equal(report_status(&f), status[g]);
	}
	assert_int_equal(findings_count(&f, FINDING_WELL), 5);
	assert_int_equal(findings_count(&f, FINDING_LOSS), 1);
}

static void counts_what_has_no_room(void **state)
{
	for (int i = 0; i < FINDINGS_MAX + 3; i++)
		add(findings_text(&f, "s%d", i), "found", FINDING_WELL);
	assert_int_equal(f.n, FINDINGS_MAX);
	assert_int_equal(f.left_out, 3);
	assert_string_equal(f.list[7].subject, "s7");
	report_text(&f, &out);
	assert_non_null(strstr(shown(), "3 findings had no room"));
}

static void says_that_a_text_has_no_room(void **state)
{
	const char *first = findings_text(&f, "%s", "kept");

	for (int i = 0; i < 100; i++)
		(void)findings_text(&f, "%1000d", i);
	assert_string_equal(findings_text(&f, "%1000d", 1),
			    "(no room to say it)");
	assert_string_equal(first, "kept");
	assert_string_equal(findings_text(&f, "%s", ""), "");
}

static void names_errors(void **state)
{
	assert_string_equal(finding_errno(&f, -ENOENT),
			    "ENOENT (No such file or directory)");
	assert_string_equal(finding_errno(&f, -5000), "? (unknown error)");
}

static void table(void **state)
{
	FINDING(&f, .area = "kernel", .subject = "version", .found = "6.1.190");
	FINDING(&f, "ktls", "tls module", "not loaded",
		"records are made in userspace, which takes more memory for "
		"each connection",
		"modprobe tls", FINDING_LOSS);
	report_text(&f, &out);
	assert_string_equal(
		shown(),
		"kernel\n"
		"  ok     version             6.1.190\n"
		"\n"
		"ktls\n"
		"  LOSS   tls module          not loaded\n"
		"         means  records are made in userspace, which takes "
		"more memory for each\n"
		"                connection\n"
		"         do     modprobe tls\n"
		"\n"
		"works, with losses (unable 0, losses 1, notes 0)\n");
}

static void lines_stay_narrow(void **state)
{
	static char words[300];

	for (size_t i = 0; i + 1 < sizeof(words); i++)
		words[i] = i % 7 == 6 ? ' ' : 'x';
	FINDING(&f, "area", "a subject that is rather long", words, words,
		words, FINDING_UNABLE);
	report_text(&f, &out);
	for (const char *line = shown(); *line; line += strcspn(line, "\n") + 1)
		assert_true(strcspn(line, "\n") <= 79);
}

static void json(void **state)
{
	FINDING(&f, "network", "et\"h0", "no", NULL, "do\nit", FINDING_LOSS);
	report_json(&f, &out);
	assert_non_null(strstr(
		shown(),
		"\"status\":1,\"verdict\":\"works, with losses\","
		"\"left_out\":0,\"findings\":[{\"area\":\"network\","
		"\"subject\":\"et\\\"h0\",\"grade\":\"loss\",\"found\":\"no\","
		"\"advice\":\"do\\u000ait\"}]}\n"));
}

static void without_subject(void)
{
	add(NULL, "found", FINDING_WELL);
}

static void without_found(void)
{
	add("subject", NULL, FINDING_WELL);
}

static void refuses_half_a_finding(void **state)
{
	assert_true(aborts(without_subject));
	assert_true(aborts(without_found));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(status_is_of_the_worst, setup),
		cmocka_unit_test_setup(counts_what_has_no_room, setup),
		cmocka_unit_test_setup(says_that_a_text_has_no_room, setup),
		cmocka_unit_test_setup(names_errors, setup),
		cmocka_unit_test_setup(table, setup),
		cmocka_unit_test_setup(lines_stay_narrow, setup),
		cmocka_unit_test_setup(json, setup),
		cmocka_unit_test_setup(refuses_half_a_finding, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
