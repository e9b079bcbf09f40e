#pragma once

/*
 * flaws: the bugs of the kernel's TLS that are known and matter to a mail
 * gateway, in one table: what each does and which versions of kernel.org mend
 * it. Debian's and Ubuntu's packages are judged by the version they were made
 * from, so a fix that came to a package alone is not seen.
 */

#include "doctor/finding.h"
#include "doctor/release.h"

#define FLAW_FIXES 6

struct flaw_fix {
	uint32_t major;
	uint32_t minor;
	uint32_t patch;
};

struct flaw {
	const char *name; /* a CVE, or the words of the fix */
	const char *what;
	const char *avoided; /* why it cannot happen here; NULL: it can */
	/*
	 * Per series the first version that is mended. Ascending; the last one
	 * holds for everything that came later, too. Of a series that is not
	 * named nothing is known.
	 */
	struct flaw_fix fixed[FLAW_FIXES];
	size_t fixed_n;
};

enum flaw_state { FLAW_MENDED, FLAW_PRESENT, FLAW_UNKNOWN };

extern const struct flaw flaws[];
extern const size_t flaws_n;

enum flaw_state flaw_look(const struct flaw *flaw, const struct release *r);

/*
 * The version of r's series from which no flaw that can happen here is left.
 * False: the series is not known.
 */
bool flaws_minimum(const struct release *r, struct flaw_fix *ret);

/* Adds what is to be said about r. */
void flaws_judge(const struct release *r, struct findings *f);
