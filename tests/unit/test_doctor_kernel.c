/*
 * What is said of a kernel, its known bugs and what it was built with.
 */
#include "doctor/bugs.h"
#include "doctor/kconfig.h"
#include "doctor/kernel.h"
#include "doctor/reading.h"
#include "tls/flaws.h"

#include "finding_of.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

static struct findings f;

static int setup(void **state)
{
	findings_init(&f);
	return 0;
}

/* Bugs */

/* The packages that are recommended hold every fix that was looked up. */
static void recommended_kernels_are_well(void **state)
{
	static const struct release good[] = {
		{ 6, 1, 190, true, "" },
		{ 6, 12, 113, true, "" },
		{ 7, 2, 0, true, "" },
	};
	struct flaw_fix minimum;

	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		findings_init(&f);
		bugs_judge(&good[i], &f);
		assert_int_equal(findings_count(&f, FINDING_LOSS), 0);
	}
	assert_true(flaws_minimum(&good[0], &minimum));
	assert_true(minimum.patch <= 190);
	assert_true(flaws_minimum(&good[1], &minimum));
	assert_true(minimum.patch <= 113);
	assert_int_equal(grade_of(&f, "known bugs"), FINDING_WELL);
}

static void old_kernel_has_bugs(void **state)
{
	const struct release r = { 6, 1, 176, true, "Debian 6.1.176-1" };

	bugs_judge(&r, &f);
	assert_true(findings_count(&f, FINDING_LOSS) >= 3);
	assert_non_null(strstr(finding_of(&f, "known bug")->advice,
			       "Debian 12: 6.1.190-1"));
	for (size_t i = 0; i < f.n; i++)
		if (strstr(f.list[i].found, "CVE-2026-74611"))
			assert_int_equal(f.list[i].grade, FINDING_NOTE);
}

static void bugs_of_a_series_that_was_not_looked_up(void **state)
{
	const struct release r = { 5, 15, 100, true, "" };
	struct flaw_fix minimum;

	assert_false(flaws_minimum(&r, &minimum));
	bugs_judge(&r, &f);
	assert_int_equal(f.n, 1);
	assert_int_equal(f.list[0].grade, FINDING_NOTE);
	assert_non_null(strstr(f.list[0].means, "CVE-2025-39682"));
}

/* The kernel */

static void judges_a_good_kernel(void **state)
{
	const struct kernel_facts k = {
		"6.1.0-56-amd64",
		true,
		{ 6, 1, 190, true, "Debian 6.1.190-1" },
		2,
		0,
	};

	kernel_judge(&k, &f);
	assert_string_equal(finding_of(&f, "version")->found,
			    "6.1.190 (6.1.0-56-amd64, Debian 6.1.190-1)");
	assert_int_equal(findings_worst(&f), FINDING_WELL);
}

static void judges_poor_kernels(void **state)
{
	struct kernel_facts k = {
		"5.10.0", true, { 5, 10, 0, true, "" }, -ENOSYS, -EINVAL,
	};

	kernel_judge(&k, &f);
	assert_int_equal(grade_of(&f, "version"), FINDING_LOSS);
	assert_int_equal(grade_of(&f, "Landlock"), FINDING_LOSS);
	assert_int_equal(grade_of(&f, "seccomp"), FINDING_LOSS);
	k.is_known = false;
	findings_init(&f);
	kernel_judge(&k, &f);
	assert_int_equal(grade_of(&f, "version"), FINDING_NOTE);
}

/* Its configuration */

static void configuration(void **state)
{
	static const struct span text = SPAN("CONFIG_TLS=m\n"
					     "CONFIG_TLS_DEVICE=y\n"
					     "# CONFIG_TLS_TOE is not set\n"
					     "CONFIG_NAME=\"y\"\n"
					     "CONFIG_LAST=y");

	assert_int_equal(kconfig_find(text, "CONFIG_TLS"), KCONFIG_MODULE);
	assert_int_equal(kconfig_find(text, "CONFIG_TLS_DEVICE"), KCONFIG_YES);
	assert_int_equal(kconfig_find(text, "CONFIG_TLS_TOE"), KCONFIG_NO);
	assert_int_equal(kconfig_find(text, "CONFIG_TL"), KCONFIG_NO);
	assert_int_equal(kconfig_find(text, "CONFIG_NAME"), KCONFIG_NO);
	assert_int_equal(kconfig_find(text, "CONFIG_LAST"), KCONFIG_YES);
	assert_int_equal(kconfig_find((struct span){ 0 }, "CONFIG_TLS"),
			 KCONFIG_UNKNOWN);
}

/* Files below a root of the test's own */

static void write_file(const char *root, const char *path, const char *text)
{
	char name[256];
	FILE *file;

	(void)snprintf(name, sizeof(name), "%s%s", root, path);
	file = fopen(name, "w");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static void remove_below(const char *root, const char *path)
{
	char name[256];

	(void)snprintf(name, sizeof(name), "%s%s", root, path);
	assert_int_equal(remove(name), 0);
}

static void files(void **state)
{
	char root[] = "/tmp/doctor-XXXXXX";
	char boot[64];
	char line[8];
	struct reading s;

	assert_non_null(mkdtemp(root));
	(void)snprintf(boot, sizeof(boot), "%s/boot", root);
	assert_int_equal(mkdir(boot, 0700), 0);
	write_file(root, "/boot/config-1.2", "CONFIG_TLS=y\n");
	write_file(root, "/line", " \tabc def ghi \nsecond\n");
	write_file(root, "/empty", "");

	assert_int_equal(kconfig_open(&s, root, "1.2"), 0);
	assert_int_equal(kconfig_find(s.text, "CONFIG_TLS"), KCONFIG_YES);
	reading_close(&s);
	assert_int_equal(kconfig_open(&s, root, "1.3"), -ENOENT);
	reading_close(&s);

	assert_true(reading_line(root, "/line", line, sizeof(line)));
	assert_string_equal(line, "abc def");
	assert_false(reading_line(root, "/empty", line, sizeof(line)));
	assert_string_equal(line, "");
	assert_false(reading_line(root, "/none", line, sizeof(line)));
	assert_int_equal(reading_open(&s, root, "/none"), -ENOENT);
	assert_int_equal(s.text.len, 0);
	assert_int_equal(reading_open(&s, root, "/boot"), -EIO);
	reading_close(&s);

	remove_below(root, "/boot/config-1.2");
	remove_below(root, "/line");
	remove_below(root, "/empty");
	remove_below(root, "/boot");
	remove_below(root, "");
}

/* More than one read, and of /proc, whose files have no size. */
static void long_files(void **state)
{
	char root[] = "/tmp/doctor-XXXXXX";
	char name[64];
	struct reading s;
	FILE *file;

	assert_non_null(mkdtemp(root));
	(void)snprintf(name, sizeof(name), "%s/long", root);
	file = fopen(name, "w");
	assert_non_null(file);
	for (int i = 0; i < 100000; i++)
		assert_true(fprintf(file, "%d\n", i % 10) == 2);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(reading_open(&s, root, "/long"), 0);
	assert_int_equal(s.text.len, 200000);
	assert_int_equal(s.text.p[199998], '9');
	reading_close(&s);
	assert_int_equal(truncate(name, 17 << 20), 0);
	assert_int_equal(reading_open(&s, root, "/long"), -EFBIG);
	reading_close(&s);
	assert_int_equal(remove(name), 0);
	assert_int_equal(rmdir(root), 0);
	assert_int_equal(reading_open(&s, "", "/proc/self/status"), 0);
	assert_true(s.text.len > 100);
	reading_close(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(recommended_kernels_are_well, setup),
		cmocka_unit_test_setup(old_kernel_has_bugs, setup),
		cmocka_unit_test_setup(bugs_of_a_series_that_was_not_looked_up,
				       setup),
		cmocka_unit_test_setup(judges_a_good_kernel, setup),
		cmocka_unit_test_setup(judges_poor_kernels, setup),
		cmocka_unit_test_setup(configuration, setup),
		cmocka_unit_test_setup(files, setup),
		cmocka_unit_test_setup(long_files, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
