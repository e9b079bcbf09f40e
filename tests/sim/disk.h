#pragma once

/*
 * disk: a simulated disk with a page cache in front, for the spool's I/O steps.
 * It keeps what processes see (the cache) apart from what a power cut leaves
 * (the platter), and between the two everything is allowed that POSIX allows:
 * unsynced sectors and names survive or not, each by itself, in any order;
 * writes are short or fail; a failed sync drops what it could not write and the
 * next one succeeds. All chance comes from one seed.
 */

#include "base/io.h"

#include <stdbool.h>
#include <stdint.h>

enum disk_dir {
	DISK_SEGMENTS = 1000, /* descriptors of the directories */
	DISK_FILES,
	DISK_JOURNAL,
};
#define DISK_DIRS 3

/* What the disk claims to have made durable and has not: to see tests red. */
enum disk_lie {
	DISK_HONEST,
	DISK_LIES_SEGMENT_SYNC,
	DISK_LIES_SEGMENT_NAME,
	DISK_LIES_BODY_SYNC,
	DISK_LIES_BODY_NAME,
	DISK_LIES_JOURNAL_SYNC,
	DISK_LIES_JOURNAL_NAME,
	DISK_LIES_N
};

/* Chances of one step to go wrong, each once in so many; 0: never. */
struct disk_faults {
	uint32_t short_io;
	uint32_t no_space;
	uint32_t io_error; /* of a write, an open, a rename, an unlink */
	uint32_t sync_error;
	uint32_t read_error;
};

struct disk;

struct disk *disk_open(uint64_t seed);
void disk_close(struct disk *d);
void disk_set_faults(struct disk *d, struct disk_faults faults);
/*
 * After so many steps the power fails: all that is asked then fails and does
 * nothing, until disk_crash.
 */
void disk_set_fuse(struct disk *d, uint64_t steps);
bool disk_is_dead(const struct disk *d);
void disk_set_lie(struct disk *d, enum disk_lie lie);

/* Carries out a step for process `owner` (not 0). */
int64_t disk_run(struct disk *d, uint32_t owner, const struct io *io);

/* The process is dead: its descriptors and locks go, the cache stays. */
void disk_kill(struct disk *d, uint32_t owner);
/* The power fails: all processes are dead, the cache becomes the platter. */
void disk_crash(struct disk *d);

/* The n-th name in a directory as processes see it; NULL: no more. */
const char *disk_name(const struct disk *d, enum disk_dir dir, uint32_t n);

/* A number below n, and the next 64 random bits, from the disk's seed. */
uint32_t disk_chance(struct disk *d, uint32_t n);
uint64_t disk_random(struct disk *d);
