#pragma once

/*
 * ledger: what a simulated spool has promised, kept outside of it: each message
 * that was ever begun, whether the client was told that it is safe, how far its
 * delivery came and what of that is on stable storage. It makes up envelopes
 * and bodies from a message's number, so that a delivered one can be checked to
 * its last byte. The first broken promise is kept as a text.
 */

#include "base/buf.h"
#include "base/dots.h"

#define LEDGER_MAX       400
#define LEDGER_BODY_MAX  9000
#define LEDGER_RCPTS_MAX 80
#define LEDGER_TEXT_MAX  160

struct ledger_mail {
	uint32_t body_len;
	uint32_t recipients_n;
	bool acknowledged; /* the client was told 250 */
	bool delivered;    /* at least once, whole */
	bool done_synced;
	bool held_synced;
	uint64_t recipients_synced[2]; /* bits */
};

struct ledger {
	uint64_t seed;
	uint32_t n;
	struct ledger_mail mails[LEDGER_MAX];
	char broken[LEDGER_TEXT_MAX]; /* empty: no promise was */
};

/* The message's id, and back; LEDGER_MAX: no such message was begun. */
uint64_t ledger_id(const struct ledger *l, uint32_t mail);
uint32_t ledger_mail(const struct ledger *l, uint64_t id);

/* What the message holds. */
void ledger_put_envelope(const struct ledger *l, uint32_t mail,
			 struct buf *out);
void ledger_put_body(const struct ledger *l, uint32_t mail, uint64_t at,
		     struct buf *out, size_t len);
struct dots ledger_dots(const struct ledger *l, uint32_t mail);

__attribute__((format(printf, 2, 3))) void
ledger_break(struct ledger *l, const char *format, ...);
