#pragma once

/*
 * runner: the relay worker: one process, one ring, and the loop that records
 * completions, follows the segments, starts what is due, pumps what was
 * touched, lets the journal write and removes what is done with. It owns the
 * queue's memory, taken once at start and told in the memory bill. It promises
 * that a message leaves the queue only by a journalled decision, and that no
 * two relays work on one spool: the journal's directory is locked as long as
 * the process lives. Runs already unprivileged.
 */

#include "base/metric.h"
#include "base/slab.h"
#include "base/wheel.h"
#include "config/config.h"
#include "relay/reclaim.h"
#include "relay/route.h"
#include "relay/schedule.h"
#include "relay/site.h"
#include "relay/sweep.h"
#include "relay/tail.h"
#include "ring/bufring.h"
#include "ring/op.h"
#include "spool/board.h"
#include "spool/index.h"
#include "spool/journal.h"
#include "tls/diag.h"
#include "tls/offload.h"

/* What the supervisor opened for the route of the same index. */
struct runner_route {
	int tmp_dir;               /* maildir; else -1 */
	int new_dir;               /* maildir; else -1 */
	const struct creds *creds; /* smtp, smtps: client's; NULL: no TLS */
};

/* All of it outlives the relay. Directories are open for reading names. */
struct runner_options {
	const struct config *config;
	struct runner_route routes[CONFIG_ROUTES_MAX];
	int segments_dir;
	int files_dir;
	int journal_dir;
	int doorbell_fd; /* eventfd rung by the workers */
	int command_fd;  /* a byte, or its end: drain */
	int census_fd;   /* asks the supervisor about records; -1: nobody */
	const struct board_slot *board;
	uint32_t board_n;
	struct metric_block *metrics;
};

/* Kinds of operations in ring tags. */
enum runner_op {
	RUNNER_OP_NONE,
	RUNNER_OP_TAIL,    /* slot: tail */
	RUNNER_OP_JOB,     /* slot: job */
	RUNNER_OP_CONNECT, /* slot: hop */
	RUNNER_OP_RECV,    /* slot: hop */
	RUNNER_OP_SEND,    /* slot: hop */
	RUNNER_OP_ROOM,    /* slot: hop */
	RUNNER_OP_JOURNAL,
	RUNNER_OP_RECLAIM,
	RUNNER_OP_RESOLVER,
	RUNNER_OP_DOORBELL,
	RUNNER_OP_COMMAND,
	RUNNER_OP_CENSUS,
};

enum runner_state { RUNNER_SERVING, RUNNER_DRAINING };

struct job;
struct hop;
struct resolver;

struct runner {
	const struct runner_options *options;
	enum runner_state state;
	uint64_t now_ms; /* of this turn, CLOCK_MONOTONIC */
	uint64_t now_s;  /* the same, CLOCK_REALTIME */
	uint64_t drain_deadline_ms;
	int lock_fd;

	struct ring ring;
	struct bufring bufring;
	struct wheel wheel;

	struct index *index;
	struct schedule schedule;
	struct route_table routes;
	struct tail_set tails;
	struct sweep sweep;

	struct journal *journal;
	struct op journal_op;
	uint64_t journal_appended; /* number of the last change */
	uint64_t journal_since_ms; /* when the oldest unwritten was appended */
	bool journal_urgent;       /* a next hop took a message */
	bool journal_busy;         /* a batch is being carried through */
	uint64_t journal_target;   /* number with which the batch ends */
	uint64_t journal_tried_ms; /* when a failed journal was last retried */
	uint32_t journal_pending;  /* changes appended since it last wrote */
	struct reclaim reclaim;
	struct op reclaim_op;
	uint64_t reclaimed_shown; /* segments, in the metrics */

	struct slab jobs;
	struct slab job_blocks;
	struct slab job_envelopes;
	uint32_t *job_generations; /* by slot */
	struct job *touched_jobs;
	struct slab hops;
	uint32_t *hop_generations;
	struct hop *touched_hops;
	struct offload offload;
	struct site sites[CONFIG_ROUTES_MAX];

	struct resolver *resolver; /* NULL: no route needs one */
	struct op resolver_op;
	int resolver_fd;
	uint64_t resolver_rings;
	struct op doorbell_op;
	uint64_t doorbell_rings;
	struct op command_op;
	uint8_t command;
	struct op census_op;
	struct diag_answer census_answer;
	bool census_ended; /* the supervisor will answer no more */
};

/*
 * Runs until drained; returns the exit status of the process. Waits first for
 * another relay to leave the spool. Logs why when it cannot start.
 */
int runner_run(const struct runner_options *options);

/*
 * Every change of delivery state goes through here. Urgent: another system has
 * taken the message, and a crash before the record is durable repeats it.
 */
void runner_change(struct runner *r, const struct change *change, bool urgent);

static inline void runner_count(struct runner *r, enum metric m, uint64_t n)
{
	metric_add(r->options->metrics, m, n);
}
