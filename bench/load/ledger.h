#pragma once

/*
 * ledger: the lines of an account in memory, read from its file or made from
 * the mails of a Maildir.
 */

#include "kit/account.h"

struct ledger {
	struct account_line *lines;
	size_t n;
	size_t cap;
};

/* Negative errno; -EBADMSG: no account. ledger_fini after failures, too. */
int ledger_read(struct ledger *l, const char *path);

/*
 * new/ and cur/ of a Maildir. Its files do not tell the recipients: `recipients`
 * is 0 in the lines. Mails without our field are left out.
 */
int ledger_read_maildir(struct ledger *l, const char *path);
void ledger_fini(struct ledger *l);
