#pragma once

/*
 * journal: the delivery state on stable storage, kept by the relay. Changes are
 * appended to a file, gathered so that one write and one sync carry many; one
 * batch is in flight while the next fills. A file begins with a snapshot of the
 * index and appears under its name only when that is durable, so the file with
 * the highest sequence is all one needs; when it has grown, the next one is
 * begun (compaction). Yields I/O steps and never does them.
 *
 * Appending never fails and never waits: what the buffer cannot take, or a
 * broken file has lost, is in the index, and the next snapshot brings it.
 *
 * What the relay may do when:
 * - unlink a large body: when its DONE is synced (journal_synced). Earlier, a
 *   crash would leave a live message without its body.
 * - unlink a segment: when index_reclaimable() says so, synced or not; then
 *   forget it. The journal syncs segments/ before it forgets it, too.
 * A live message whose body is missing is never taken for done: hold it.
 */

#include "base/io.h"
#include "spool/index.h"

struct journal_options {
	int dir;
	int segments_dir; /* to sync, before segments are forgotten */
	struct index *index;
	uint64_t sequence; /* of the newest file there is; 0: none */
	/*
	 * Begin a new file after so many: not more than the index's
	 * changes_max, and about messages_max, so that rewriting stays rare.
	 */
	uint32_t compact_changes;
	uint32_t queue_max; /* changes that gather, and that one write takes */
};

struct journal;

size_t journal_size(uint32_t queue_max);
/* Made in `memory`, 64-byte aligned. The first thing it does is a new file. */
struct journal *journal_init(uint8_t *memory,
			     const struct journal_options *options);

/* Applies the change to the index and queues it; returns its number. */
uint64_t journal_append(struct journal *j, const struct change *change);

/* All changes up to this number are on stable storage. */
uint64_t journal_synced(const struct journal *j);

bool journal_next(struct journal *j, struct io *ret_io);
void journal_done(struct journal *j, int64_t result);

/*
 * Not 0: writing failed with that negative errno and rests until journal_retry,
 * which begins a new file. Deliveries may go on: they make room on a full disk.
 */
int journal_error(const struct journal *j);
void journal_retry(struct journal *j);

/* True when all changes are durable and nothing is in flight. */
bool journal_idle(const struct journal *j);
/*
 * Sequence of the file that holds the state durably. Files with lower ones are
 * leftovers, to be unlinked only once this has risen above options.sequence:
 * before, the name of the newest may not be durable itself. Temporary ones are
 * leftovers when the relay starts.
 */
uint64_t journal_sequence(const struct journal *j);
