#pragma once

/*
 * mailer: the gateway's side of a simulated spool: a few sessions that begin,
 * fill, spill, commit and break off messages as chance will, around a real
 * store. One tick does one small thing.
 */

#include "disk.h"
#include "ledger.h"
#include "spool/board.h"
#include "spool/store.h"

#define MAILER_OWNER    1
#define MAILER_SESSIONS 5
#define MAILER_ENVELOPE 2600
#define MAILER_BODY     1200

struct mailer_session {
	struct txn txn;
	uint32_t mail;
	uint8_t envelope[MAILER_ENVELOPE];
	uint8_t body[MAILER_BODY];
};

struct mailer {
	struct disk *disk;
	struct ledger *ledger;
	struct board_slot *board;
	struct store *store;
	bool leaving; /* begin no more messages */
	struct mailer_session sessions[MAILER_SESSIONS];
};

struct mailer *mailer_open(struct disk *disk, struct ledger *ledger,
			   struct board_slot *board);
void mailer_close(struct mailer *m);

void mailer_tick(struct mailer *m);

/* Ends all that is under way and seals the segment. */
void mailer_drain(struct mailer *m);
