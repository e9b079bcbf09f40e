#pragma once

/*
 * index_inside: what index.c (segments and messages) and index_change.c (the
 * journal's view of them) share. Nobody else includes it.
 */

#include "spool/due.h"
#include "spool/index.h"

#define INDEX_WORDS (INDEX_RECIPIENTS_MAX / 64)

struct index_wide {
	uint64_t words[INDEX_WORDS];
	uint32_t next; /* free one behind it, + 1 */
};

/* Links are slot + 1, so that zeroed memory is an empty index. */
struct index {
	struct index_options options;
	uint32_t slots_n;
	uint32_t used_n;     /* slots ever used */
	uint32_t free_first; /* of those given back */
	uint32_t taken_n;
	uint32_t live_n; /* taken and not GONE */
	uint32_t bucket_mask;
	uint32_t segment_mask;
	uint32_t wide_used_n;
	uint32_t wide_free;
	struct index_message *messages;
	uint32_t *buckets;
	struct index_segment *segments;
	uint16_t *segment_buckets;
	struct index_wide *wide;
	struct due due;
	struct index_counts counts;
};

/* The slot of a message in any state, or UINT32_MAX. */
uint32_t index_lookup(const struct index *i, uint16_t segment, uint64_t offset);

/* A slot for a message that is INDEX_KNOWN now; UINT32_MAX: all are taken. */
uint32_t index_take(struct index *i, uint16_t segment, uint64_t offset);
/* The only writer of a state; INDEX_FREE gives the slot back. */
void index_set_state(struct index *i, uint32_t slot, enum index_state state);
/* Slot of a fresh reference; MUST be. */
uint32_t index_slot(const struct index *i, struct index_ref ref);
/* Gives the message a wide bitmap. False: all are taken. */
bool index_widen(struct index *i, struct index_message *m);
uint64_t index_word(const struct index *i, const struct index_message *m,
		    uint32_t word);
