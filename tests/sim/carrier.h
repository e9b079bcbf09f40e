#pragma once

/*
 * carrier: the relay's side of a simulated spool: it recovers index and journal
 * as a relay does at start, follows the segments, delivers, puts off and holds
 * messages as chance will, and gives back segments and bodies as the rules
 * allow. What it reads it checks against the ledger. One tick does one small
 * thing.
 */

#include "disk.h"
#include "ledger.h"
#include "spool/board.h"
#include "spool/journal.h"
#include "spool/scan.h"

#define CARRIER_OWNER    2
#define CARRIER_SEGMENTS 256
#define CARRIER_PROMISES 4096
#define CARRIER_BODIES   LEDGER_MAX

/* A segment being read; its slot is the index's. */
struct carrier_segment {
	bool open;
	bool caught_up; /* read as far as it was durable, since the start */
	bool unlinked;
	bool kept; /* `frame` was not taken: the index is full */
	struct scan scan;
	struct frame frame;
	uint8_t buffer[1024];
};

/* What becomes durable with a change of the journal. */
struct carrier_promise {
	uint64_t number;
	uint32_t mail;
	enum change_kind kind;
	uint16_t word;
	uint64_t bits;
};

/* A body to be unlinked. */
struct carrier_body {
	uint64_t id;
	uint64_t number; /* of the DONE that must be durable before */
	bool leftover;   /* unless a message turns out to need it */
};

struct carrier {
	struct disk *disk;
	struct ledger *ledger;
	struct board_slot *board;
	struct index *index;
	struct journal *journal;
	uint64_t journal_was;
	uint64_t now_s;
	bool finishing; /* deliver all */
	bool swept;
	uint32_t segments_at_start;
	struct carrier_segment segments[CARRIER_SEGMENTS];
	struct carrier_promise promises[CARRIER_PROMISES];
	uint32_t promises_n;
	struct carrier_body bodies[CARRIER_BODIES];
	uint32_t bodies_n;
	uint8_t storage[8192];
	uint8_t body[LEDGER_BODY_MAX];
};

/* Recovers from what is on the disk, like a relay at its start. */
struct carrier *carrier_open(struct disk *disk, struct ledger *ledger,
			     struct board_slot *board);
void carrier_close(struct carrier *c);

void carrier_tick(struct carrier *c);

/* Delivers all and gives everything back; breaks the ledger if it cannot. */
void carrier_drain(struct carrier *c);
