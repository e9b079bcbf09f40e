#pragma once

/*
 * compare: do the books of sender and sink agree? Every acknowledged message
 * must have arrived, once per recipient, with its bytes as they were sent, and
 * no other. What the sink has of other runs does not count.
 */

#include "kit/account.h"

#define COMPARE_EXAMPLES_MAX 5

enum compare_finding {
	COMPARE_LOST,
	COMPARE_DOUBLED,
	COMPARE_CHANGED,
	COMPARE_UNEXPECTED, /* refused, or never sent, and there */
	COMPARE_FINDINGS
};

struct comparison {
	uint64_t sent; /* acknowledged messages */
	uint64_t arrived;
	uint64_t found[COMPARE_FINDINGS];
	struct account_id examples[COMPARE_FINDINGS][COMPARE_EXAMPLES_MAX];
	uint32_t examples_n[COMPARE_FINDINGS];
};

static inline bool comparison_is_good(const struct comparison *c)
{
	for (int i = 0; i < COMPARE_FINDINGS; i++)
		if (c->found[i])
			return false;
	return true;
}

/* "lost", "doubled", "changed", "unexpected" */
const char *compare_finding_name(enum compare_finding finding);

/*
 * Compares an account of sluice-load with one of sluice-sink, or with a Maildir
 * folder. Negative errno; *ret_path is then the file it concerns. -EBADMSG: it
 * holds a line that belongs in no account.
 */
int compare_accounts(const char *sent, const char *got, struct comparison *ret,
		     const char **ret_path);

/* The same over lines in memory, which are sorted by the way. */
void compare_lines(struct account_line *sent, size_t sent_n,
		   struct account_line *got, size_t got_n,
		   struct comparison *ret);
