#pragma once

/*
 * tail: follows the segments and gives each message in them to the index. A
 * segment that a worker writes is read as far as the board says it is durable;
 * one without an owner is read to its end. Each tail reads one segment at a
 * time, in large blocks; a segment without a tail waits, nothing is lost. When
 * the index is full a tail stops before the message that found no room.
 */

#include "ring/op.h"
#include "spool/scan.h"

#include <stdbool.h>

#define TAIL_BUFFER_BYTES (256 * 1024)
#define TAIL_SPARE        4   /* tails beside one for each worker */
#define TAIL_KEPT_MAX     256 /* descriptors kept of segments read to the end */

struct runner;
struct ring_completion;

struct tail {
	bool busy;
	bool owned;       /* a worker writes it: the limit is the board's */
	bool waiting;     /* all that may be read was */
	bool told;        /* `frame` is still to be given to the index */
	uint16_t segment; /* slot in the index */
	struct scan scan;
	struct frame frame;
	struct op op;
	uint8_t *buffer;
};

struct tail_set {
	struct tail *tails;
	uint32_t n;
	uint64_t listed_ms; /* when the directory was last read */
	bool look;          /* the doorbell rang */
	bool recovered;     /* what there was at the start has been read */
	uint64_t *seen;     /* by board slot: the segment seen last */
	uint16_t *users;    /* by segment slot: jobs that read from it */
	uint64_t opened_n;  /* descriptors of segments, since start */
	uint64_t closed_n;  /* of these, closed here */
};

/* -ENOMEM. Memory lives as long as the process. */
int tail_init(struct tail_set *set, uint32_t board_n);

/* Adds every segment in the directory that the index does not know. */
int tail_list(struct runner *r);

void tail_on_cqe(struct runner *r, const struct ring_completion *c);

/*
 * The descriptor of a segment, lent to a job until tail_give; -1: it is not
 * open, the job opens one of its own.
 */
int tail_lend(struct runner *r, uint16_t segment);
void tail_give(struct runner *r, uint16_t segment);

/* Looks at board and locks when due, and reads on. */
void tail_pump(struct runner *r);

/* True when nothing of it is in flight. */
bool tail_idle(const struct runner *r);

/* Memory for the bill. */
uint64_t tail_bytes(uint32_t board_n);
