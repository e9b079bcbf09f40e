#pragma once

/*
 * worker: one gateway worker: a ring, the slabs, the store, and the loop that
 * drains all completions, pumps each touched session once, lets the store
 * commit what gathered, submits, and sweeps timers. Nothing here is shared with
 * another worker but counters and the board. Memory is taken once, at start;
 * the bill is logged. Runs in a process of its own, already unprivileged.
 */

#include "base/metric.h"
#include "base/slab.h"
#include "base/tally.h"
#include "base/wheel.h"
#include "config/config.h"
#include "gateway/authcache.h"
#include "gateway/handshakes.h"
#include "gateway/listener.h"
#include "gateway/splicer.h"
#include "gateway/verifier.h"
#include "policy/access.h"
#include "policy/shares.h"
#include "ring/bufring.h"
#include "ring/op.h"
#include "smtp/server.h"
#include "spool/board.h"
#include "spool/store.h"
#include "tls/diag.h"
#include "steer/steer.h"
#include "tls/offload.h"

#define WORKER_LISTENERS_MAX 64

/* Replies of one step, sealed into the session's output right after it. */
#define WORKER_REPLY_BYTES 4096
/* A session's input (clear) and output (as sent), each in one buffer. */
#define WORKER_BUFFER_BYTES 16384

/* Bytes the supervisor sends over the command descriptor; its end drains. */
#define WORKER_COMMAND_RETIRE 'R' /* stop accepting, finish what there is */
#define WORKER_COMMAND_DRAIN  'D' /* the same, with 421 and a limit in time */

/* A listening socket of this worker, with what its sessions need. */
struct worker_socket {
	int fd;
	const struct config_listener *config;
	const struct creds *creds; /* NULL: no TLS to be had */
};

/* What the supervisor hands to a worker; all of it outlives the worker. */
struct worker_options {
	const struct config *config;
	uint32_t slot;               /* below 256, unlike any living worker's */
	const char *lane;            /* for the log */
	struct config_limits limits; /* as they are for that lane */
	bool is_shielded;            /* sockets come with a filter */
	int offence_fd;              /* takes reports then */
	struct steer_load *load;     /* told to steering; or NULL */
	struct worker_socket sockets[WORKER_LISTENERS_MAX];
	uint32_t sockets_n;
	const struct users *users;
	const struct access *access;
	int segments_dir;
	int files_dir;
	int command_fd;
	int doorbell_fd; /* rung for the relay */
	int serving_fd;  /* takes our pid once we accept */
	int census_fd;   /* asks the supervisor about records; -1: nobody */
	struct board_slot *board;
	struct metric_block *metrics;
	struct tally *tally;
};

/* Kinds of operations in ring tags. */
enum worker_op {
	WORKER_OP_NONE,
	WORKER_OP_ACCEPT,  /* slot: listener */
	WORKER_OP_RECV,    /* slot: session */
	WORKER_OP_SEND,    /* slot: session */
	WORKER_OP_MESSAGE, /* slot: message */
	WORKER_OP_STORE,
	WORKER_OP_VERIFIER,
	WORKER_OP_COMMAND,
	WORKER_OP_CENSUS,
};

enum worker_state { WORKER_SERVING, WORKER_RETIRING, WORKER_DRAINING };

struct session;
struct message;

struct worker {
	const struct worker_options *options;
	enum worker_state state;
	uint64_t now_ms; /* of this turn, CLOCK_MONOTONIC */
	uint64_t drain_deadline_ms;

	struct ring ring;
	struct bufring bufring;
	struct splicer splicer;      /* open where a listener wants it */
	struct bufring body_bufring; /* larger; none: n is 0 */
	struct wheel wheel;
	struct listener listeners[WORKER_LISTENERS_MAX];

	struct slab sessions;
	struct slab buffers;
	struct slab controls; /* records without data */
	struct slab messages;
	struct slab bodies;
	struct slab envelopes;
	uint32_t *session_generations; /* by slot */
	uint32_t *message_generations;
	struct session *live;    /* list of open sessions */
	struct session *touched; /* to be pumped this turn */
	struct session *starved; /* wait for a receive buffer */
	struct handshakes handshakes;
	struct shares shares; /* of the clients, in the slabs above */

	struct offload offload; /* what the kernel can do for records */

	struct store *store;
	struct op store_op;
	struct store_counts store_counted; /* in the metrics already */
	uint64_t announced_segment;
	uint64_t announced_durable;
	uint64_t last_id;
	uint64_t space_checked_ms;
	bool spool_full; /* less free than the reserve */

	struct verifier *verifier;
	struct authcache authcache;
	struct op verifier_op;
	int verifier_fd;
	uint64_t verifier_rings; /* read from its doorbell */

	uint64_t enters_counted;
	uint64_t log_lost_counted;

	struct op census_op;
	struct diag_answer census_answer;
	bool census_ended; /* the supervisor will answer no more */

	struct op command_op;
	uint8_t command;

	struct smtp_server_options smtp[WORKER_LISTENERS_MAX];
	struct tally_row *tallies[WORKER_LISTENERS_MAX];
	uint8_t reply[WORKER_REPLY_BYTES];
};

/* What a worker may come to use, OpenSSL's share apart; logged at its start. */
struct worker_bill {
	uint64_t sessions_bytes;
	uint64_t messages_bytes;
	uint64_t receive_bytes;
	uint64_t total_bytes;
};
struct worker_bill worker_bill(const struct config_limits *limits);

/*
 * Runs until drained or retired; returns the exit status of the process. Logs
 * why when it cannot start.
 */
int worker_run(const struct worker_options *options);

/* An id for a message or session, unlike any given by a worker before. */
uint64_t worker_next_id(struct worker *w);

/* Puts a session on the list of those to be pumped, once. */
void worker_touch(struct worker *w, struct session *s);

/* The session of that slot in that life, or NULL: it is gone. */
struct session *worker_session(struct worker *w, uint32_t slot,
			       uint32_t generation);

static inline void worker_count(struct worker *w, enum metric m)
{
	metric_add(w->options->metrics, m, 1);
}

/* The same, also for the listener of that index. */
static inline void worker_count_at(struct worker *w, uint32_t listener,
				   enum metric m)
{
	worker_count(w, m);
	tally_count(w->tallies[listener], m);
}
