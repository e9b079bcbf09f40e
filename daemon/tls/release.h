#pragma once

/*
 * release: which kernel runs: the version of kernel.org that its package was
 * made from, read out of the texts in which kernels name themselves. Debian's
 * and Ubuntu's own release ("6.1.0-56-amd64") does not hold it.
 */

#include "base/span.h"

struct release {
	uint32_t major;
	uint32_t minor;
	uint32_t patch;
	bool patch_known; /* else a distributor counts in its own way */
	char package[64]; /* "Debian 6.1.187-1"; "": none is named */
};

/*
 * From uname -r, uname -v and /proc/version_signature ("" when there is none).
 * False, and nothing in *ret, when `release` does not begin with a version.
 */
bool release_parse(const char *release, const char *version,
		   const char *signature, struct release *ret);

/*
 * What uname tells of this machine's kernel; 0.0.0 when that is nothing. No
 * file is read: a confined process may ask.
 */
struct release release_running(void);

/* Is it major.minor.patch or later? */
bool release_reaches(const struct release *r, uint32_t major, uint32_t minor,
		     uint32_t patch);

/* Does it belong to the series major.minor? */
bool release_is_of(const struct release *r, uint32_t major, uint32_t minor);
