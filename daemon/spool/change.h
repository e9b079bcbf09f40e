#pragma once

/*
 * change: one step in the life of a queued message, and its form in the
 * journal: 48 bytes with a checksum that covers the journal's sequence and the
 * place in it, so that a stale or torn one is never taken for a change. It
 * encodes and decodes memory and never does I/O. Every change says what holds
 * now, not by how much it moved: applied twice, or after a snapshot that had
 * seen it, it does no harm.
 */

#include "base/span.h"

#define CHANGE_BYTES   48
#define CHANGE_VERSION 1 /* of the format, in CHANGE_BEGIN */

enum change_kind {
	CHANGE_BEGIN = 1,  /* first in a file; `offset`: format version */
	CHANGE_CUT,        /* before `offset`, all is done but what follows */
	CHANGE_LIVE,       /* it is queued: attempts, due_s, first_failure_s */
	CHANGE_DONE,       /* delivered, bounced or removed: forget it */
	CHANGE_RECIPIENTS, /* those in `bits` of word `word` are done */
	CHANGE_DEFERRED,   /* attempts, due_s, first_failure_s */
	CHANGE_HELD,       /* code; waits for the operator */
	CHANGE_RELEASED,   /* due at due_s, attempts begin anew */
	CHANGE_KINDS
};

struct change {
	enum change_kind kind;
	uint64_t segment; /* id */
	uint64_t offset;
	uint64_t bits;  /* bit b: recipient 64 * word + b */
	uint32_t due_s; /* Unix time */
	uint32_t first_failure_s;
	uint16_t attempts;
	uint16_t code; /* why held: the caller's */
	uint16_t word;
};

/* For place `at` (a multiple of CHANGE_BYTES) of journal `sequence`. */
void change_put(uint8_t out[static CHANGE_BYTES], const struct change *c,
		uint64_t sequence, uint64_t at);

/* False when those bytes are no change that was written there. */
bool change_get(const uint8_t in[static CHANGE_BYTES], uint64_t sequence,
		uint64_t at, struct change *ret);
