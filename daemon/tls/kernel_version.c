#include "tls/kernel_version.h"

#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

/*
 * The first of each maintained series that has, among others, the fixes of
 * zero-length records on the receive list (CVE-2025-39682), data vanishing from
 * under the ULP (CVE-2025-38616), queues not refreshed (CVE-2025-38471,
 * CVE-2026-23414) and of records whose pages were chained wrongly; from 6.18 on
 * that of CVE-2026-74611, the youngest. A series that is not named is no longer
 * maintained, or newer than all of them.
 */
static const struct kernel_version fixed[] = {
	{ 6, 1, 176 }, { 6, 12, 94 }, { 6, 18, 45 }, { 7, 1, 9 }, { 7, 2, 0 },
};
#define FIXED_N (sizeof(fixed) / sizeof(*fixed))

static const struct kernel_version first_rekey = { 6, 14, 0 };

static bool older_series(struct kernel_version a, struct kernel_version b)
{
	return a.major != b.major ? a.major < b.major : a.minor < b.minor;
}

/* Up to three numbers with dots between them. */
static struct kernel_version numbers(const char *text)
{
	uint16_t n[3] = { 0 };

	for (int i = 0; i < 3; i++) {
		char *end;
		unsigned long value = strtoul(text, &end, 10);

		if (end == text || value > UINT16_MAX)
			break;
		n[i] = (uint16_t)value;
		if (*end != '.')
			break;
		text = end + 1;
	}
	return (struct kernel_version){ n[0], n[1], n[2] };
}

struct kernel_version kernel_version_parse(const char *release,
					   const char *version)
{
	static const char debian[] = "Debian ";
	const char *at = strstr(version, debian);
	struct kernel_version told = numbers(release), packaged = { 0 };

	if (at)
		packaged = numbers(at + sizeof(debian) - 1);
	if (packaged.major == told.major && packaged.minor == told.minor)
		return packaged;
	return told;
}

struct kernel_version kernel_version_running(void)
{
	struct utsname names;

	if (uname(&names))
		return (struct kernel_version){ 0 };
	return kernel_version_parse(names.release, names.version);
}

bool kernel_version_has_tls_bugs(struct kernel_version v)
{
	for (unsigned int i = 0; i < FIXED_N; i++)
		if (v.major == fixed[i].major && v.minor == fixed[i].minor)
			return v.patch < fixed[i].patch;
	return older_series(v, fixed[FIXED_N - 1]);
}

bool kernel_version_can_rekey(struct kernel_version v)
{
	return !older_series(v, first_rekey);
}
