#pragma once

/*
 * store: a worker's side of the spool. It owns the worker's append-only
 * segment and makes whole batches durable with one sync (group commit): one
 * batch is being written and synced while the next one fills. It yields I/O
 * steps (base/io.h) and is told their results; it never does I/O itself, so the
 * same code runs on the ring and on a simulated disk. A transaction (txn) is
 * reported durable only after the sync that covers it has succeeded (P1).
 *
 * After a failed write or sync the segment is abandoned (never synced again
 * and trusted): its batch fails, the next batch begins a new segment.
 */

#include "base/io.h"
#include "spool/txn.h"

/* Sizes in bytes. Descriptors stay the caller's. */
struct store_options {
	int segments_dir;       /* directory of segments */
	int files_dir;          /* directory of large bodies */
	uint64_t segment_bytes; /* a segment is left when it is so long */
	uint32_t batch_max;     /* transactions in one sync */
	uint32_t worker;        /* who writes, kept in the segment */
	uint64_t seed[2];       /* from getrandom(2): names the segments */
};

#define STORE_BATCH_MAX 256

struct store;

/* Bytes a store needs; store_init makes one in memory 64-byte aligned. */
size_t store_size(void);
struct store *store_init(uint8_t *memory, const struct store_options *options);

/*
 * The next I/O step wanted, at most one at a time; false: nothing to do now.
 * What `io` points to stays put until store_done.
 */
bool store_next(struct store *s, struct io *ret_io);
void store_done(struct store *s, int64_t result);

/*
 * A transaction whose commit has ended, durable or failed (txn_state,
 * txn_error), oldest first; NULL: none.
 */
struct txn *store_finished(struct store *s);

/*
 * Queues a transaction whose own file, if any, is durable. Only txn calls it;
 * it comes back through store_finished.
 */
void store_commit(struct store *s, struct txn *t);

/* Where a transaction creates its file. */
int store_files_dir(const struct store *s);
void store_count_file(struct store *s);

/*
 * For the board, after each store_done and before anything else is done about
 * finished transactions: the current segment (0: none), its durable length.
 */
void store_durable(const struct store *s, uint64_t *ret_segment,
		   uint64_t *ret_durable);

/* Counts since start, for the metrics. */
struct store_counts {
	uint64_t batches, syncs, writes, bytes, files, errors;
};
struct store_counts store_counts(const struct store *s);

/* True when nothing is queued or in flight: the worker may leave. */
bool store_idle(const struct store *s);

/* Asks for the current segment to be sealed and closed; then store_idle. */
void store_seal(struct store *s);
