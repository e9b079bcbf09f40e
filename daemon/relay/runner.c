/*
 * A turn of the loop: wait; read the clock; record all completions; follow the
 * segments; start what is due; pump each touched job and hop once; let journal
 * and reclaim write; expire timers; flush the log.
 */
#include "relay/runner.h"

#include "base/clock.h"
#include "relay/hop.h"
#include "relay/hop_nic.h"
#include "relay/job.h"
#include "relay/recover.h"
#include "relay/resolver.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/random.h>

#define RING_ENTRIES      1024
#define RECV_BUFFER_BYTES 16384
#define RECV_GROUP        1
#define JOBS_BASE         64 /* and two for each connection */
#define JOBS_MAX          1024
#define WIDE_MAX          1024
#define CHANGES_MIN       65536 /* between compactions of the journal */
#define TICK_MS           1000

#define JOURNAL_BATCH    256  /* changes that are written at once */
#define JOURNAL_QUEUE    2048 /* that gather while it is busy */
#define JOURNAL_LATE_MS  200
#define JOURNAL_RETRY_MS 5000

static void read_clocks(struct runner *r)
{
	r->now_ms = clock_ms();
	r->now_s = clock_unix_s();
}

/* -- start ----------------------------------------------------------------- */

/* Zeroed memory that costs nothing until it is used. */
static int map_memory(size_t bytes, uint8_t **ret)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return -ENOMEM;
	*ret = p;
	return 0;
}

static uint32_t changes_max(const struct runner *r)
{
	uint32_t messages = r->options->config->spool.queue_messages;

	return messages > CHANGES_MIN ? messages : CHANGES_MIN;
}

static int start_index(struct runner *r)
{
	struct index_options options = {
		.messages_max = r->options->config->spool.queue_messages,
		.changes_max = changes_max(r),
		.segments_max = INDEX_SEGMENTS_MAX,
		.wide_max = WIDE_MAX,
	};
	uint8_t *memory;
	int result = map_memory(index_size(&options), &memory);

	if (result)
		return result;
	r->index = index_init(memory, &options);
	LOG(LOG_NOTICE, "memory-bill",
	    log_u64("messages", options.messages_max),
	    log_u64("queue_bytes", index_size(&options)),
	    log_u64("tails_bytes", tail_bytes(r->options->board_n)));
	return tail_init(&r->tails, r->options->board_n);
}

static int start_journal(struct runner *r)
{
	struct journal_options options = {
		.dir = r->options->journal_dir,
		.segments_dir = r->options->segments_dir,
		.index = r->index,
		.compact_changes = changes_max(r),
		.queue_max = JOURNAL_QUEUE,
	};
	uint8_t *memory;
	int result = recover_index(r, &options.sequence);

	if (!result)
		result = map_memory(journal_size(options.queue_max), &memory);
	if (result)
		return result;
	r->journal = journal_init(memory, &options);
	r->journal_busy = true; /* its first file, before any change */
	r->journal_target = UINT64_MAX;
	reclaim_init(&r->reclaim, r->index, r->options->segments_dir,
		     r->options->files_dir);
	return 0;
}

static bool is_smtp(const struct config_route *route)
{
	return route->kind == CONFIG_HOP_SMTP ||
	       route->kind == CONFIG_HOP_SMTPS;
}

static int start_sites(struct runner *r, uint32_t *ret_connections)
{
	const struct config *config = r->options->config;

	*ret_connections = 0;
	for (uint32_t i = 0; i < config->routes_n; i++) {
		const struct config_route *route = &config->routes[i];
		bool starttls = route->kind == CONFIG_HOP_SMTP &&
				route->tls != CONFIG_HOP_TLS_NONE;
		int result;

		if (!is_smtp(route))
			continue;
		result = site_init(&r->sites[i], i, config->hostname,
				   starttls ? CLIENT_STARTTLS : CLIENT_CLEAR,
				   r->options->routes[i].creds);
		if (result)
			return result;
		*ret_connections += route->connections;
	}
	return route_init(&r->routes, config);
}

static int start_slabs(struct runner *r, uint32_t connections)
{
	const struct config_limits *l = &r->options->config->limits;
	uint32_t jobs = JOBS_BASE + 2 * connections;
	uint32_t hops = connections ? connections : 1;
	int result;

	if (jobs > JOBS_MAX)
		jobs = JOBS_MAX;
	result = slab_init(&r->jobs, sizeof(struct job), jobs);
	if (!result)
		result = slab_init(&r->job_blocks, JOB_BLOCK_BYTES, jobs);
	if (!result)
		result = slab_init(&r->job_envelopes,
				   ENTRY_STORAGE(l->envelope_bytes), jobs);
	if (!result)
		result = slab_init(&r->hops, sizeof(struct hop), hops);
	r->job_generations = calloc(jobs, sizeof(*r->job_generations));
	r->hop_generations = calloc(hops, sizeof(*r->hop_generations));
	if (!r->job_generations || !r->hop_generations)
		return -ENOMEM;
	return result;
}

/* As many receive buffers as connections: a receive never lacks one. */
static int start_ring(struct runner *r, uint32_t connections)
{
	int result = ring_init(&r->ring, RING_ENTRIES);
	uint32_t buffers = 1;

	if (result) {
		LOG(LOG_ERROR, "io-uring", log_errno(result),
		    log_str("cure", ring_explain(result)));
		return result;
	}
	if (!connections)
		return 0;
	while (buffers < connections)
		buffers *= 2;
	result = resolver_open(&r->resolver, &r->resolver_fd);
	if (!result)
		result = bufring_init(&r->bufring, &r->ring, RECV_GROUP,
				      buffers, RECV_BUFFER_BYTES);
	return result;
}

static int start_schedule(struct runner *r)
{
	const struct config_retry *retry = &r->options->config->retry;
	struct schedule_options options = { retry->first, retry->longest,
					    retry->give_up };
	uint64_t seed;

	if (getrandom(&seed, sizeof(seed), 0) != (ssize_t)sizeof(seed))
		return -EIO;
	schedule_init(&r->schedule, &options, seed);
	return 0;
}

static int start(struct runner *r)
{
	uint32_t connections = 0;
	int result = recover_lock(r);

	if (result)
		return result;
	result = start_schedule(r);
	if (!result)
		result = start_sites(r, &connections);
	if (!result)
		result = start_slabs(r, connections);
	if (!result)
		result = start_index(r);
	if (!result)
		result = start_journal(r);
	if (!result)
		result = start_ring(r, connections);
	offload_init(&r->offload, r->options->config->any_ktls_kernel);
	read_clocks(r);
	wheel_init(&r->wheel, r->now_ms);
	return result;
}

/* -- the journal ----------------------------------------------------------- */

void runner_change(struct runner *r, const struct change *change, bool urgent)
{
	uint16_t slot;

	r->journal_appended = journal_append(r->journal, change);
	if (!r->journal_pending++)
		r->journal_since_ms = r->now_ms;
	r->journal_urgent = r->journal_urgent || urgent;
	if (change->kind == CHANGE_DONE &&
	    index_find_segment(r->index, change->segment, &slot))
		reclaim_segment(&r->reclaim, slot);
}

/*
 * Records gather, because most repeat harmlessly after a crash: a discarded
 * message is discarded again, a mail in a Maildir replaces itself.
 */
static bool journal_is_due(const struct runner *r)
{
	if (r->state != RUNNER_SERVING)
		return !journal_idle(r->journal);
	if (!r->journal_pending)
		return false;
	return r->journal_urgent || r->journal_pending >= JOURNAL_BATCH ||
	       r->now_ms >= r->journal_since_ms + JOURNAL_LATE_MS;
}

static void see_journal_error(struct runner *r)
{
	if (!journal_error(r->journal) ||
	    r->now_ms < r->journal_tried_ms + JOURNAL_RETRY_MS)
		return;
	LOG(LOG_ERROR, "journal", log_errno(journal_error(r->journal)),
	    log_str("cure", "deliveries go on, and may be repeated after a "
			    "crash; see to the disk of the spool"));
	runner_count(r, METRIC_SPOOL_ERRORS, 1);
	r->journal_tried_ms = r->now_ms;
	journal_retry(r->journal);
}

/* A step of the journal, or of reclaim, at most one of each in flight. */
static void fly(struct runner *r, struct op *op, const struct io *io,
		enum runner_op kind)
{
	int64_t result;

	op_fly(op);
	if (!ring_io(&r->ring, io, (struct ring_tag){ .kind = (uint8_t)kind },
		     &result))
		op_on_cqe(op, (int32_t)result, 0);
}

/* A batch once begun is carried through; the next one waits until it is due. */
static bool journal_wants_step(struct runner *r)
{
	if (r->journal_busy && r->state == RUNNER_SERVING)
		r->journal_busy = journal_synced(r->journal) <
				  r->journal_target;
	if (r->journal_busy || !journal_is_due(r))
		return r->journal_busy;
	r->journal_busy = true;
	r->journal_target = r->journal_appended;
	r->journal_pending = 0;
	r->journal_urgent = false;
	return true;
}

static void pump_journal(struct runner *r)
{
	struct io io;

	see_journal_error(r);
	if (op_take(&r->journal_op))
		journal_done(r->journal, r->journal_op.result);
	if (r->journal_op.state != OP_IDLE || !journal_wants_step(r))
		return;
	if (journal_next(r->journal, &io))
		fly(r, &r->journal_op, &io, RUNNER_OP_JOURNAL);
	else
		r->journal_busy = false;
}

static void pump_reclaim(struct runner *r)
{
	struct io io;
	int error;

	if (op_take(&r->reclaim_op))
		reclaim_done(&r->reclaim, r->reclaim_op.result);
	error = reclaim_take_error(&r->reclaim);
	if (error)
		LOG(LOG_ERROR, "reclaim", log_errno(error));
	if (r->reclaim_op.state == OP_IDLE &&
	    reclaim_next(&r->reclaim, journal_synced(r->journal), &io))
		fly(r, &r->reclaim_op, &io, RUNNER_OP_RECLAIM);
}

/* -- one turn -------------------------------------------------------------- */

static void arm_read(struct runner *r, struct op *op, enum runner_op kind,
		     int fd, struct span_mut into)
{
	if (op->state != OP_IDLE)
		return;
	op_fly(op);
	ring_read(&r->ring, fd, into,
		  (struct ring_tag){ .kind = (uint8_t)kind });
}

static void arm_service_reads(struct runner *r)
{
	if (r->state == RUNNER_SERVING) {
		arm_read(r, &r->doorbell_op, RUNNER_OP_DOORBELL,
			 r->options->doorbell_fd,
			 (struct span_mut){ (uint8_t *)&r->doorbell_rings,
					    sizeof(r->doorbell_rings) });
		arm_read(r, &r->command_op, RUNNER_OP_COMMAND,
			 r->options->command_fd,
			 (struct span_mut){ &r->command, 1 });
	}
	if (r->options->census_fd >= 0 && !r->census_ended)
		arm_read(r, &r->census_op, RUNNER_OP_CENSUS,
			 r->options->census_fd,
			 (struct span_mut){ (uint8_t *)&r->census_answer,
					    sizeof(r->census_answer) });
	if (r->resolver)
		arm_read(r, &r->resolver_op, RUNNER_OP_RESOLVER, r->resolver_fd,
			 (struct span_mut){ (uint8_t *)&r->resolver_rings,
					    sizeof(r->resolver_rings) });
}

static void on_cqe(struct runner *r, const struct ring_completion *c)
{
	switch ((enum runner_op)c->tag.kind) {
	case RUNNER_OP_NONE: return;
	case RUNNER_OP_TAIL: tail_on_cqe(r, c); return;
	case RUNNER_OP_JOB: job_on_cqe(r, c); return;
	case RUNNER_OP_CONNECT:
	case RUNNER_OP_RECV:
	case RUNNER_OP_SEND:
	case RUNNER_OP_ROOM: hop_on_cqe(r, c); return;
	case RUNNER_OP_JOURNAL:
		op_on_cqe(&r->journal_op, c->result, c->flags);
		return;
	case RUNNER_OP_RECLAIM:
		op_on_cqe(&r->reclaim_op, c->result, c->flags);
		return;
	case RUNNER_OP_RESOLVER:
		op_on_cqe(&r->resolver_op, c->result, c->flags);
		return;
	case RUNNER_OP_DOORBELL:
		op_on_cqe(&r->doorbell_op, c->result, c->flags);
		return;
	case RUNNER_OP_COMMAND:
		op_on_cqe(&r->command_op, c->result, c->flags);
		return;
	case RUNNER_OP_CENSUS:
		op_on_cqe(&r->census_op, c->result, c->flags);
		return;
	}
	MUST(false); /* a tag of ours */
}

static void begin_drain(struct runner *r)
{
	const struct config *config = r->options->config;

	r->state = RUNNER_DRAINING;
	r->tails.look = false; /* the successor reads what comes now */
	r->drain_deadline_ms = r->now_ms + config->timeouts.drain * 1000ull;
	for (uint32_t i = 0; i < config->routes_n; i++)
		site_drain(r, &r->sites[i]);
	hop_drain(r);
}

/* Any word of the supervisor, or its end, means to leave. */
static void obey(struct runner *r)
{
	if (op_take(&r->doorbell_op) && r->state == RUNNER_SERVING)
		r->tails.look = true;
	if (!op_take(&r->command_op))
		return;
	if (r->command_op.result != -EINTR && r->command_op.result != -EAGAIN &&
	    r->state == RUNNER_SERVING)
		begin_drain(r);
}

static void hear_resolver(struct runner *r)
{
	struct resolver_answer answer;

	if (!op_take(&r->resolver_op))
		return;
	while (resolver_next(r->resolver, &answer))
		hop_on_resolved(r, &answer);
}

static void start_due(struct runner *r)
{
	struct index_ref ref;

	if (r->state != RUNNER_SERVING)
		return;
	for (uint32_t i = 0; i < r->options->config->routes_n; i++)
		if (r->sites[i].backlog_n)
			site_refill(r, &r->sites[i]);
	while (r->jobs.free_n && index_due(r->index, r->now_s, &ref))
		(void)job_open(r, ref);
}

static void pump_touched(struct runner *r)
{
	while (r->touched_jobs || r->touched_hops) {
		struct job *j = r->touched_jobs;
		struct hop *h = r->touched_hops;

		if (j) {
			r->touched_jobs = j->touched_next;
			j->touched = false;
			job_pump(r, j);
		} else {
			r->touched_hops = h->touched_next;
			h->touched = false;
			hop_pump(r, h);
		}
	}
}

static void expire_timers(struct runner *r)
{
	struct wheel_timer *t;

	while ((t = wheel_expire(&r->wheel, r->now_ms)))
		hop_on_timeout(r, hop_of_timer(t));
}

static void show_metrics(struct runner *r)
{
	struct metric_block *b = r->options->metrics;
	struct index_counts c = index_counts(r->index);

	metric_set(b, METRIC_QUEUE_NOW, c.waiting + c.active);
	metric_set(b, METRIC_QUEUE_DEFERRED_NOW, c.deferred);
	metric_set(b, METRIC_QUEUE_HELD_NOW, c.held);
	metric_set(b, METRIC_SEGMENTS_NOW, c.segments);
	metric_add(b, METRIC_SEGMENTS_RECLAIMED,
		   r->reclaim.removed_n - r->reclaimed_shown);
	r->reclaimed_shown = r->reclaim.removed_n;
	metric_set(b, METRIC_RING_ENTERS, r->ring.enters);
	metric_set(b, METRIC_LOG_LINES_LOST, log_flush());
}

/* All that was begun has ended, and is on stable storage where that works. */
static bool drained(const struct runner *r)
{
	return r->jobs.free_n == r->jobs.n && r->hops.free_n == r->hops.n &&
	       tail_idle(r) && r->journal_op.state == OP_IDLE &&
	       (journal_idle(r->journal) || journal_error(r->journal)) &&
	       r->reclaim_op.state == OP_IDLE;
}

static bool finished(const struct runner *r)
{
	if (r->state == RUNNER_SERVING)
		return false;
	return drained(r) || r->now_ms >= r->drain_deadline_ms;
}

static void report_end(const struct runner *r, int result)
{
	if (result)
		LOG(LOG_ERROR, "relay-ends", log_str("state", "failed"));
	else if (drained(r))
		LOG(LOG_NOTICE, "relay-ends", log_str("state", "drained"));
	else
		LOG(LOG_WARNING, "relay-ends", log_str("state", "late"),
		    log_u64("jobs", r->jobs.n - r->jobs.free_n),
		    log_u64("connections", r->hops.n - r->hops.free_n),
		    log_str("means", "timeouts.drain is over: the next relay "
				     "begins what was under way again"));
}

static uint32_t wait_ms(const struct runner *r)
{
	uint32_t timer_ms = wheel_wait_ms(&r->wheel, r->now_ms);
	uint32_t most = TICK_MS;

	if (r->touched_jobs || r->touched_hops || r->tails.look)
		return 0;
	if (r->journal_pending)
		most = JOURNAL_LATE_MS;
	return timer_ms < most ? timer_ms : most;
}

static int turn(struct runner *r)
{
	struct ring_completion c;
	int result = ring_wait(&r->ring, wait_ms(r));

	if (result) {
		LOG(LOG_ERROR, "ring-wait", log_errno(result));
		return result;
	}
	read_clocks(r);
	while (ring_next(&r->ring, &c))
		on_cqe(r, &c);
	obey(r);
	hear_resolver(r);
	hop_nic_hear(r);
	expire_timers(r);
	tail_pump(r);
	pump_touched(r);
	start_due(r);
	pump_touched(r);
	pump_journal(r);
	pump_reclaim(r);
	arm_service_reads(r);
	show_metrics(r);
	return 0;
}

int runner_run(const struct runner_options *options)
{
	struct runner *r = calloc(1, sizeof(*r));
	int result;

	if (!r) {
		LOG(LOG_ERROR, "relay-start", log_errno(-ENOMEM),
		    log_str("cure", "free memory: it is started again"));
		return EXIT_FAILURE;
	}
	r->options = options;
	read_clocks(r);
	result = start(r);
	if (result == -ECANCELED)
		return EXIT_SUCCESS;
	if (result)
		LOG(LOG_ERROR, "relay-start", log_errno(result),
		    log_str("cure", "see that the spool can be read and "
				    "written, and lower spool.queue_messages"));
	while (!result && !finished(r))
		result = turn(r);
	report_end(r, result);
	(void)log_flush();
	if (r->resolver)
		resolver_close(r->resolver);
	return result ? EXIT_FAILURE : EXIT_SUCCESS;
}
