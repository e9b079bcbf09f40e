/*
 * What the doctor reads out of a running daemon's answer.
 */
#include "doctor/live.h"

#include "finding_of.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static struct findings f;

static int setup(void **state)
{
	findings_init(&f);
	return 0;
}

static void judge(const char *answer)
{
	live_judge(span_str(answer), &f);
}

static void counts_per_listener(void **state)
{
	judge("submissions\tOFFLOAD_KERNEL\t12\n"
	      "submissions\tNIC_BOTH\t3\n"
	      "submissions\tNIC_RX\t4\n"
	      "sub mission\tOFFLOAD_KERNEL\t0\n"
	      "sub mission\tOFFLOAD_NO_ULP\t1\n"
	      "sub mission\tOFFLOAD_VERSION\t7\n"
	      "sub mission\tOFFLOAD_UNMET\t2\n");
	assert_int_equal(f.n, 3);
	assert_string_equal(finding_of(&f, "submissions")->found,
			    "kernel 12, of these device 7; userspace 0");
	assert_int_equal(grade_of(&f, "submissions"), FINDING_WELL);
	assert_null(finding_of(&f, "submissions")->means);
	assert_string_equal(finding_of(&f, "sub mission")->found,
			    "kernel 0, of these device 0; userspace 8 "
			    "(no-ulp 1, version 7)");
	assert_non_null(strstr(finding_of(&f, "sub mission")->means,
			       "no such TLS version"));
	assert_string_equal(finding_of(&f, "sub mission: refused")->found,
			    "2 by ktls, 0 by nic");
}

/* Never worse than a note: the exit status is the machine's. */
static void never_more_than_a_note(void **state)
{
	judge("a\tOFFLOAD_ERROR\t1\na\tNIC_UNMET\t18446744073709551615\n");
	live_absent("no daemon", &f);
	assert_int_equal(findings_worst(&f), FINDING_NOTE);
	assert_string_equal(finding_of(&f, "running")->found, "no daemon");
}

static void no_listener(void **state)
{
	judge("");
	assert_int_equal(f.n, 1);
	assert_int_equal(grade_of(&f, "running"), FINDING_NOTE);
}

/* Of another version, or not at all what was asked for. */
static void odd_answers(void **state)
{
	static const char *const answers[] = {
		"\n",
		"\t\t\n",
		"a",
		"a\t",
		"a\tX\t1\n",
		"a\tOFFLOAD_KERNEL\tx",
		"a\tOFFLOAD_KERNEL\t99999999999999999999\n\n\n",
		"a\tOFFLOAD_KERNEL\t1\t2\n",
	};

	for (size_t i = 0; i < sizeof(answers) / sizeof(*answers); i++) {
		findings_init(&f);
		judge(answers[i]);
		assert_int_equal(f.n, 1);
		if (finding_of(&f, "a"))
			assert_string_equal(
				f.list[0].found,
				"kernel 0, of these device 0; userspace 0");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(counts_per_listener, setup),
		cmocka_unit_test_setup(never_more_than_a_note, setup),
		cmocka_unit_test_setup(no_listener, setup),
		cmocka_unit_test_setup(odd_answers, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
