#pragma once

/*
 * flaws: the bugs of the kernel's TLS that are known and matter to a mail
 * gateway, in one table: what each does, to whom, and which versions of
 * kernel.org mend it. The doctor tells it; the daemon keeps away from what it
 * speaks against. Debian's and Ubuntu's packages are judged by the version they
 * were made from, so a fix that came to a package alone is not seen.
 */

#include "tls/release.h"

#define FLAW_FIXES 6

/* What one must do to meet a flaw. */
enum flaw_touches {
	FLAW_SENDING = 1,
	FLAW_RECEIVING = 2,
	FLAW_RECORDS = FLAW_SENDING | FLAW_RECEIVING, /* or beginning, ending */
	FLAW_SPLICING_IN = 4,                         /* receiving by splice */
	FLAW_DEVICE = 8, /* records made by the card */
};

struct flaw_fix {
	uint32_t major;
	uint32_t minor;
	uint32_t patch;
};

struct flaw {
	const char *name; /* a CVE, or the words of the fix */
	enum flaw_touches touches;
	const char *what;
	const char *avoided; /* why it cannot happen here; NULL: it can */
	bool mild; /* a connection breaks at worst, and its peer comes again */
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

/*
 * Whether the daemon may let that kernel make records; receive by splice, too;
 * and have the card make them. No: it is known to have a flaw there that can
 * happen here and is not mild, or nothing is known about it.
 */
bool flaws_allow_records(const struct release *r);
bool flaws_allow_splice_in(const struct release *r);
bool flaws_allow_device(const struct release *r);
