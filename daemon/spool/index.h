#pragma once

/*
 * index: the relay's memory of the spool: which segments there are, which
 * messages in them are still to be delivered, when, and to which recipients;
 * about 50 bytes a message, all mapped at start. The delivery state changes
 * only by struct change, at run time through journal_append() and after a crash
 * through replay, so both arrive at the same state. It does no I/O and has no
 * clock.
 *
 * At start: index_add_segment() for every name in segments/, replay the
 * journal, then scan the segments, giving index_add() each message: what the
 * journal knows to be done is not queued again. Only then look at the board.
 *
 * A message is found by (segment, offset), which never comes again: segment ids
 * are random. It is referred to across time by struct index_ref.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "spool/change.h"
#include "spool/frame.h"

#define INDEX_SEGMENTS_MAX   65535
#define INDEX_INLINE_RCPTS   64   /* recipients tracked in the message itself */
#define INDEX_RECIPIENTS_MAX 4096 /* recipients tracked at all */

struct index_options {
	uint32_t messages_max; /* queued at once; then index_add() says FULL */
	uint32_t changes_max;  /* journal's, between compactions: room for what
				  it knows of messages not yet scanned */
	uint32_t segments_max;
	uint32_t wide_max; /* messages with over 64 recipients under way */
};

struct index;

/* Bytes needed; index_init makes an index in zeroed memory, 64-byte aligned. */
size_t index_size(const struct index_options *options);
struct index *index_init(uint8_t *memory, const struct index_options *options);

/* -- segments ------------------------------------------------------------- */

struct index_segment {
	uint64_t id;      /* 0: the slot is free */
	uint64_t scanned; /* index_add() has seen all before this */
	uint64_t cut;     /* replay: before this, what is not known is done */
	uint32_t live_n;  /* messages of it not yet done */
	uint32_t known_n; /* of it known from the journal, not yet scanned */
	uint16_t next;    /* in its hash chain */
	bool finished;    /* scanned to its end, nobody appends any more */
	bool corrupt;     /* something acknowledged cannot be read */
	int fd;           /* the caller's, for reading; -1 */
};

/* *ret_slot is the segment's, new or old. -ENOSPC: all slots are taken. */
int index_add_segment(struct index *i, uint64_t id, uint16_t *ret_slot);
bool index_find_segment(const struct index *i, uint64_t id, uint16_t *ret_slot);
/* Slots run from 0 to segments_max - 1; id 0 marks the free ones. */
struct index_segment *index_segment(struct index *i, uint16_t slot);
/*
 * What scan reported: told up to `offset` (index_add() notes it too); the end
 * reached, when nobody appends any more.
 */
void index_scanned(struct index *i, uint16_t slot, uint64_t offset);
void index_finish_segment(struct index *i, uint16_t slot, bool corrupt);

/*
 * True when all messages of a finished, uncorrupted segment are done. Unlink
 * it; when that has succeeded, forget it.
 */
bool index_reclaimable(const struct index *i, uint16_t slot);
void index_forget_segment(struct index *i, uint16_t slot);

/* -- messages ------------------------------------------------------------- */

enum index_state {
	INDEX_FREE,
	INDEX_KNOWN,   /* live says the journal; not yet scanned */
	INDEX_GONE,    /* done says the journal; not yet scanned */
	INDEX_WAITING, /* for its due time */
	INDEX_ACTIVE,  /* being delivered */
	INDEX_HELD,    /* waits for the operator */
};

struct index_ref {
	uint32_t slot;
	uint32_t generation;
};

struct index_message {
	uint64_t done;  /* recipients done, bit by ordinal; wide: slot */
	uint32_t place; /* offset in the segment / FRAME_ALIGN */
	uint32_t due_s; /* Unix time, until 2106 */
	uint32_t first_failure_s; /* 0: none yet */
	uint32_t generation;
	uint32_t next; /* in its hash chain, or the next free one */
	uint32_t heap_at;
	uint16_t segment; /* slot */
	uint16_t attempts;
	uint16_t code; /* why HELD: the caller's */
	uint8_t state; /* enum index_state */
	bool held : 1; /* to be HELD when KNOWN is scanned */
	bool wide : 1; /* `done` names a wide bitmap */
};

enum index_added {
	INDEX_ADDED,
	INDEX_DONE_BEFORE, /* the journal knew: nothing to do */
	INDEX_FULL,        /* not taken: scan on when there is room */
};

/* Takes a scanned message, due at `now_s` unless the journal knows better. */
enum index_added index_add(struct index *i, uint16_t segment,
			   const struct frame *f, uint64_t now_s,
			   struct index_ref *ret);

/* NULL: it is done, the reference is stale. Valid until the next change. */
const struct index_message *index_get(const struct index *i,
				      struct index_ref ref);
uint64_t index_offset(const struct index_message *m);
bool index_find(const struct index *i, uint64_t segment, uint64_t offset,
		struct index_ref *ret);
/* The first message at or after slot `from`, for listings; false: no more. */
bool index_walk(const struct index *i, uint32_t from, struct index_ref *ret);

/* The WAITING message due first, if due at `now_s`. It stays WAITING. */
bool index_due(const struct index *i, uint64_t now_s, struct index_ref *ret);
/* When the first WAITING message is due; UINT64_MAX: none waits. */
uint64_t index_next_due_s(const struct index *i);

/*
 * WAITING -> ACTIVE. -ENOSPC: it has too many recipients to track now; postpone
 * it.
 */
int index_activate(struct index *i, struct index_ref ref,
		   uint32_t recipients_n);
/* ACTIVE or WAITING -> WAITING until due_s, not journalled: nothing happened. */
void index_postpone(struct index *i, struct index_ref ref, uint64_t due_s);

bool index_recipient_done(const struct index *i, struct index_ref ref,
			  uint32_t ordinal);

struct index_counts {
	uint32_t waiting, active, held, deferred; /* deferred: of the waiting */
	uint32_t segments;
};
struct index_counts index_counts(const struct index *i);

/* -- changes -------------------------------------------------------------- */

/* A change of that kind of that message, its other fields as they are now. */
struct change index_change(const struct index *i, struct index_ref ref,
			   enum change_kind kind);

/* The change that marks one recipient as done. */
struct change index_change_recipient(const struct index *i,
				     struct index_ref ref, uint32_t ordinal);

/*
 * Applies a change; at run time only journal_append() calls it. Changes of
 * unknown segments are moot and ignored. -ENOSPC: no room to remember it (then
 * a message may be delivered again, never forgotten).
 */
int index_apply(struct index *i, const struct change *change);

/*
 * A walk over the changes that rebuild this state, for compaction. What changes
 * or is scanned between two steps may be seen old or new. Each step gives one
 * or more changes that belong together, and returns their number; 0: the end.
 * Begin with zeros.
 */
#define INDEX_STEP_MAX (2 + INDEX_RECIPIENTS_MAX / 64)

struct index_cursor {
	uint32_t known, segment, live;
};
uint32_t index_snapshot(const struct index *i, struct index_cursor *cursor,
			struct change ret[static INDEX_STEP_MAX]);
