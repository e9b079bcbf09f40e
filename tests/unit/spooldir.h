#pragma once

/*
 * spooldir: a spool directory of real files for a unit test, and the shortest
 * ways to put messages into it and to scan what is in it. Its memory is the
 * heap's: a test may leak when it fails.
 */

#include "spool/scan.h"
#include "spool/store.h"

struct spooldir {
	char path[64];
	int dir, segments, files, journal;
};

/* Below TMPDIR or /tmp; *d is to be closed, which removes it. */
void spooldir_open(struct spooldir *d);
/* The same below `parent`, which must be empty otherwise. */
void spooldir_open_at(struct spooldir *d, const char *parent);
void spooldir_close(struct spooldir *d);

/* A store with segments of that many bytes; free() it. */
struct store *spooldir_store(const struct spooldir *d, uint64_t segment_bytes);

/* A transaction with storage of its own; free() it. */
struct txn *spooldir_txn(struct store *s, uint64_t id,
			 const char *forward_path);

/* Runs the steps of the store, or of a txn's file, until there are none. */
void spooldir_run(struct store *s);
void spooldir_run_txn(struct txn *t);

/* Puts `len` bytes `fill` into a message and commits it; runs nothing. */
struct txn *spooldir_commit(struct store *s, uint64_t id, size_t len,
			    char fill);

/* Opens segment `id`; -1: there is none. */
int spooldir_segment(const struct spooldir *d, uint64_t id);
/* The number of names in a directory. */
unsigned spooldir_count(int dir);

/* All that scan tells of a descriptor's segment, up to `limit`. */
struct spooldir_told {
	unsigned messages, bad;
	uint64_t bad_from, bad_to; /* of the last one */
	enum scan_found end;
	bool corrupt;
	struct frame frames[64];
};
struct spooldir_told spooldir_scan(int fd, uint64_t id, uint64_t limit);
