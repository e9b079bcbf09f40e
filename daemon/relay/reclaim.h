#pragma once

/*
 * reclaim: removes what the queue is done with: the bodies of large messages
 * once the record that they are done is durable, and segments of which all
 * messages are done. Yields I/O steps and never does them. What it cannot
 * remember is left over, and found at the next start.
 */

#include "base/io.h"
#include "spool/index.h"
#include "spool/layout.h"

#include <stdbool.h>

#define RECLAIM_BODIES_MAX   4096
#define RECLAIM_SEGMENTS_MAX 65536 /* more than the index has */

struct reclaim_body {
	uint64_t id;
	uint64_t change; /* number of the change that must be durable first */
};

enum reclaim_state {
	RECLAIM_IDLE,
	RECLAIM_BODY,   /* unlinking the oldest body */
	RECLAIM_UNLINK, /* the oldest segment */
	RECLAIM_CLOSE,  /* its descriptor */
};

struct reclaim {
	enum reclaim_state state;
	int segments_dir;
	int files_dir;
	struct index *index;
	uint32_t bodies_first, bodies_n;
	struct reclaim_body bodies[RECLAIM_BODIES_MAX];
	uint32_t segments_first, segments_n;
	uint16_t segments[RECLAIM_SEGMENTS_MAX]; /* slots, may be unlinked */
	uint64_t removed_n;                      /* since start */
	uint64_t closed_n;                       /* descriptors of segments */
	int error;                               /* not yet told; 0: none */
	char name[LAYOUT_NAME_MAX];
};

void reclaim_init(struct reclaim *c, struct index *index, int segments_dir,
		  int files_dir);

/* The body of message `id` may go when change number `change` is durable. */
void reclaim_body(struct reclaim *c, uint64_t id, uint64_t change);

/*
 * One of the segment's messages is done, or it was read to its end: it goes if
 * it has just become reclaimable, which happens once.
 */
void reclaim_segment(struct reclaim *c, uint16_t slot);

/* The next step; `synced` is what journal_synced says. */
bool reclaim_next(struct reclaim *c, uint64_t synced, struct io *ret_io);
void reclaim_done(struct reclaim *c, int64_t result);

/* The last failure, once; 0: none. What failed is left over. */
int reclaim_take_error(struct reclaim *c);
