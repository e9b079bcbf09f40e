/*
 * Which kernel it is and which of the known bugs it has: from texts as Debian,
 * Ubuntu, Red Hat and kernel.org have them; and what the daemon then does.
 */
#include "tls/flaws.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* Versions */

struct naming {
	const char *release;
	const char *version;
	const char *signature;
	uint32_t major, minor, patch;
	bool patch_known;
	const char *package;
};

static void versions(void **state)
{
	static const struct naming namings[] = {
		{ "6.1.0-56-amd64",
		  "#1 SMP PREEMPT_DYNAMIC Debian 6.1.187-1 (2026-09-07)", "", 6,
		  1, 187, true, "Debian 6.1.187-1" },
		{ "6.12.95+deb12-cloud-amd64",
		  "#1 SMP PREEMPT_DYNAMIC Debian 6.12.95-1~bpo12+1 "
		  "(2026-07-05)",
		  "", 6, 12, 95, true, "Debian 6.12.95-1~bpo12+1" },
		{ "6.8.0-31-generic", "#31-Ubuntu SMP PREEMPT_DYNAMIC",
		  "Ubuntu 6.8.0-31.31-generic 6.8.1", 6, 8, 1, true,
		  "Ubuntu 6.8.0-31.31-generic" },
		{ "5.14.0-427.el9.x86_64", "#1 SMP PREEMPT_DYNAMIC", "", 5, 14,
		  0, false, "" },
		{ "6.18.44", "#1 SMP", "", 6, 18, 44, true, "" },
		{ "7.2", "#1 SMP", "", 7, 2, 0, true, "" },
		{ "7.2-rc3", "#1 SMP", "", 7, 2, 0, false, "" },
		{ "6.18.44-fc-v669", "#1 SMP @0", "", 6, 18, 44, true, "" },
		/* Rebuilt, and its version speaks of another. */
		{ "6.12.93", "#1 rebuilt from Debian 6.1.187-1", "", 6, 12, 93,
		  true, "" },
		/* Texts that only look like a package's. */
		{ "6.6.7", "#1 Debian kernel", "Ubuntu", 6, 6, 7, true, "" },
		{ "6.6.7", "#1", "Ubuntu x y", 6, 6, 7, true, "" },
	};

	for (size_t i = 0; i < sizeof(namings) / sizeof(*namings); i++) {
		const struct naming *n = &namings[i];
		struct release r;

		assert_true(release_parse(n->release, n->version, n->signature,
					  &r));
		assert_int_equal(r.major, n->major);
		assert_int_equal(r.minor, n->minor);
		assert_int_equal(r.patch, n->patch);
		assert_int_equal(r.patch_known, n->patch_known);
		assert_string_equal(r.package, n->package);
	}
}

static void no_versions(void **state)
{
	static const char *const texts[] = {
		"",         "linux", "6",    "6.",
		"6.x",      "6.1.",  "-6.1", "99999999999999999999.1",
		"9999999.1"
	};
	struct release r;

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		assert_false(release_parse(texts[i], "", "", &r));
}

static void order_of_versions(void **state)
{
	const struct release r = { 6, 12, 40, true, "" };

	assert_true(release_reaches(&r, 6, 12, 40));
	assert_true(release_reaches(&r, 6, 1, 190));
	assert_true(release_reaches(&r, 5, 19, 0));
	assert_false(release_reaches(&r, 6, 12, 41));
	assert_false(release_reaches(&r, 6, 13, 0));
	assert_false(release_reaches(&r, 7, 0, 0));
	assert_true(release_is_of(&r, 6, 12));
	assert_false(release_is_of(&r, 6, 1));
}

/* Bugs */

static const struct flaw *flaw_named(const char *name)
{
	for (size_t i = 0; i < flaws_n; i++)
		if (!strcmp(flaws[i].name, name))
			return &flaws[i];
	fail_msg("no flaw is named %s", name);
	return NULL;
}

static enum flaw_state look(const char *name, uint32_t major, uint32_t minor,
			    uint32_t patch)
{
	const struct release r = { major, minor, patch, true, "" };

	return flaw_look(flaw_named(name), &r);
}

static void bug_by_version(void **state)
{
	static const char cve[] = "CVE-2025-39682";

	assert_int_equal(look(cve, 6, 1, 148), FLAW_PRESENT);
	assert_int_equal(look(cve, 6, 1, 149), FLAW_MENDED);
	assert_int_equal(look(cve, 6, 12, 43), FLAW_PRESENT);
	assert_int_equal(look(cve, 6, 12, 44), FLAW_MENDED);
	assert_int_equal(look(cve, 6, 17, 0), FLAW_MENDED);
	assert_int_equal(look(cve, 7, 2, 13), FLAW_MENDED);
	assert_int_equal(look(cve, 6, 6, 1), FLAW_UNKNOWN);
	assert_int_equal(look(cve, 5, 15, 1), FLAW_UNKNOWN);
	/* Of the days of a later fix; what was before is not known. */
	assert_int_equal(look(cve, 6, 18, 1), FLAW_MENDED);
	assert_int_equal(look("CVE-2026-23240", 6, 18, 44), FLAW_UNKNOWN);
	assert_int_equal(look("CVE-2026-23240", 6, 18, 45), FLAW_MENDED);
	assert_int_equal(look("tls: fix RX desync on overlapping skbs", 7, 1,
			      9),
			 FLAW_MENDED);
	/* A series that never had it. */
	assert_int_equal(look("tls: trim encrypted message on short splice", 6,
			      1, 50),
			 FLAW_MENDED);
	assert_int_equal(look("CVE-2026-23240", 6, 1, 190), FLAW_UNKNOWN);
}

static void bug_without_a_patch_number(void **state)
{
	const struct release r = { 6, 12, 0, false, "" };

	assert_int_equal(flaw_look(flaw_named("CVE-2025-39682"), &r),
			 FLAW_UNKNOWN);
	assert_int_equal(flaw_look(flaw_named("CVE-2023-6176"), &r),
			 FLAW_MENDED);
}

static void table_of_bugs_is_in_order(void **state)
{
	for (size_t i = 0; i < flaws_n; i++) {
		const struct flaw *flaw = &flaws[i];

		assert_in_range(flaw->fixed_n, 1, FLAW_FIXES);
		for (size_t j = 1; j < flaw->fixed_n; j++) {
			const struct flaw_fix *a = &flaw->fixed[j - 1];
			const struct flaw_fix *b = &flaw->fixed[j];

			assert_true(
				a->major < b->major ||
				(a->major == b->major && a->minor < b->minor));
		}
	}
}

/* What the daemon does */

static struct release release_of(const char *release, const char *version)
{
	struct release r = { 0 };

	(void)release_parse(release, version, "", &r);
	return r;
}

static void daemon_keeps_away(void **state)
{
	static const struct {
		const char *release, *version;
		bool records, splice_in, device;
	} rows[] = {
		{ "6.1.0-56-amd64",
		  "#1 SMP PREEMPT_DYNAMIC Debian 6.1.187-1 (2026-10-02)", true,
		  false, true },
		{ "6.1.0-30-amd64",
		  "#1 SMP PREEMPT_DYNAMIC Debian 6.1.124-1 (2025-01-12)", false,
		  false, false },
		{ "6.1.174", "", false, false, false },
		{ "6.1.175", "", true, false, false },
		{ "6.1.188", "", true, false, true },
		{ "6.1.189", "", true, true, true },
		{ "6.12.91", "", false, false, false },
		{ "6.12.92", "", true, false, false },
		{ "6.12.112", "", true, true, true },
		{ "6.13.12", "", false, false, false },
		{ "6.14.1", "", false, false, false },
		{ "6.16.1", "", false, false, false },
		{ "6.18.44", "", false, false, false },
		{ "6.18.45", "", true, true, true },
		{ "7.1.8", "", false, false, false },
		{ "7.1.9", "", true, true, true },
		{ "7.2.13+deb14-cloud-amd64", "#1 SMP Debian 7.2.13-1", true,
		  true, true },
		{ "7.3.0-rc1", "#1", true, true, true },
		{ "8.0", "#1", true, true, true },
		/* Numbers that hide the fixes. */
		{ "6.12.0-55.el10.x86_64", "#1 SMP", false, false, false },
		{ "", "", false, false, false },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct release r = release_of(rows[i].release, rows[i].version);

		print_message("# %s %s\n", rows[i].release, rows[i].version);
		assert_int_equal(flaws_allow_records(&r), rows[i].records);
		assert_int_equal(flaws_allow_splice_in(&r), rows[i].splice_in);
		assert_int_equal(flaws_allow_device(&r), rows[i].device);
	}
}

/* What harms the daemon where it goes is named; what is mild has no minimum. */
static void each_flaw_says_what_it_touches(void **state)
{
	for (size_t i = 0; i < flaws_n; i++)
		assert_in_range(flaws[i].touches, FLAW_SENDING,
				FLAW_RECORDS | FLAW_SPLICING_IN | FLAW_DEVICE);
	assert_true(flaw_named("tls: fix RX desync on overlapping skbs")->mild);
}

static void this_kernel(void **state)
{
	const struct release r = release_running();

	assert_true(release_reaches(&r, 3, 0, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(versions),
		cmocka_unit_test(no_versions),
		cmocka_unit_test(order_of_versions),
		cmocka_unit_test(bug_by_version),
		cmocka_unit_test(bug_without_a_patch_number),
		cmocka_unit_test(table_of_bugs_is_in_order),
		cmocka_unit_test(daemon_keeps_away),
		cmocka_unit_test(each_flaw_says_what_it_touches),
		cmocka_unit_test(this_kernel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
