/*
 * A turn of the loop: wait; read the clock; record all completions; pump each
 * touched session once; let the store commit; go on with a few handshakes; see
 * to the listeners; expire timers; flush the log. Decisions never follow the order of completions.
 */
#include "gateway/worker.h"

#include "base/clock.h"
#include "gateway/fairness.h"
#include "gateway/message.h"
#include "gateway/session.h"
#include "gateway/session_auth.h"
#include "gateway/session_nic.h"
#include "gateway/session_receive.h"
#include "gateway/session_wire.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define RING_ENTRIES      4096
#define RECV_BUFFERS      256
#define RECV_BUFFER_BYTES 16384
#define RECV_GROUP        1
#define BODY_BUFFER_BYTES (256u * 1024)
#define BODY_GROUP        2
#define SPACE_CHECK_MS    1000

/* Microseconds since 1970 and the slot; never the same or lower twice. */
uint64_t worker_next_id(struct worker *w)
{
	uint64_t id = clock_unix_us() << 8 | (w->options->slot & 0xff);

	if (id <= w->last_id)
		id = w->last_id + 256;
	w->last_id = id;
	return id;
}

void worker_touch(struct worker *w, struct session *s)
{
	if (s->touched)
		return;
	s->touched = true;
	s->touched_next = w->touched;
	w->touched = s;
}

struct session *worker_session(struct worker *w, uint32_t slot,
			       uint32_t generation)
{
	if (w->session_generations[slot] != generation)
		return NULL;
	return slab_at(&w->sessions, slot);
}

/* Start */

static void fill_smtp_options(struct worker *w, uint32_t i)
{
	const struct config *config = w->options->config;
	const struct worker_socket *socket = &w->options->sockets[i];

	w->smtp[i] = (struct smtp_server_options){
		.hostname = config->hostname,
		.auth_mechanisms = "PLAIN LOGIN",
		.require_auth = true,
		.starttls = socket->config->tls == CONFIG_TLS_STARTTLS,
		.bare_lf = config->limits.normalise_bare_lf ?
				   SMTP_BARE_LF_NORMALISE :
				   SMTP_BARE_LF_REFUSE,
		.message_max = config->limits.message_bytes,
		.header_max = (uint32_t)config->limits.header_bytes,
		.text_line_max = (uint32_t)config->limits.text_line_bytes,
		.recipients_max = config->limits.recipients,
		.messages_max = config->limits.messages_per_session,
		.hops_max = config->limits.hops,
		.errors_max = config->limits.errors,
		.idle_commands_max = config->limits.idle_commands,
	};
}

/* A session has one message open at most. */
static uint32_t messages_n(const struct config_limits *l)
{
	return l->messages < l->sessions ? l->messages : l->sessions;
}

/* Buffer rings come in powers of two. */
static uint32_t body_buffers_n(const struct config_limits *l)
{
	uint32_t n = l->body_buffers ? 1 : 0;

	while (n < l->body_buffers)
		n *= 2;
	return n;
}

struct worker_bill worker_bill(const struct config_limits *l)
{
	const uint64_t session =
		sizeof(struct session) + 2 * (uint64_t)WORKER_BUFFER_BYTES;
	const uint64_t message =
		sizeof(struct message) + l->buffer_bytes + l->envelope_bytes;
	struct worker_bill bill = {
		.sessions_bytes = session * l->sessions +
				  fairness_bytes(l->sessions, messages_n(l)),
		.messages_bytes = message * messages_n(l),
		.receive_bytes = bufring_bytes(RECV_BUFFERS, RECV_BUFFER_BYTES),
	};

	if (l->body_buffers)
		bill.receive_bytes +=
			bufring_bytes(body_buffers_n(l), BODY_BUFFER_BYTES);
	bill.total_bytes =
		bill.sessions_bytes + bill.messages_bytes + bill.receive_bytes;
	return bill;
}

static int open_slabs(struct worker *w)
{
	const struct config_limits *l = &w->options->limits;
	const uint32_t messages = messages_n(l);
	int result =
		slab_init(&w->sessions, sizeof(struct session), l->sessions);

	if (!result)
		result = slab_init(&w->buffers, WORKER_BUFFER_BYTES,
				   l->sessions * 2);
	if (!result)
		result = slab_init(&w->controls, sizeof(struct record_control),
				   l->sessions * 2);
	if (!result)
		result = slab_init(&w->messages, sizeof(struct message),
				   messages);
	if (!result)
		result = slab_init(&w->bodies, l->buffer_bytes, messages);
	if (!result)
		result = slab_init(&w->envelopes, l->envelope_bytes, messages);
	w->session_generations = calloc(l->sessions, sizeof(uint32_t));
	w->message_generations = calloc(messages, sizeof(uint32_t));
	if (!w->session_generations || !w->message_generations)
		return -ENOMEM;
	return result;
}

static void log_bill(const struct worker *w)
{
	struct worker_bill bill = worker_bill(&w->options->limits);

	LOG(LOG_NOTICE, "memory-bill", log_u64("sessions", w->sessions.n),
	    log_u64("sessions_bytes", bill.sessions_bytes),
	    log_u64("messages", w->messages.n),
	    log_u64("messages_bytes", bill.messages_bytes),
	    log_u64("receive_bytes", bill.receive_bytes),
	    log_u64("total_bytes", bill.total_bytes));
}

static int start_ring(struct worker *w)
{
	uint32_t bodies = body_buffers_n(&w->options->config->limits);
	int result = ring_init(&w->ring, RING_ENTRIES);

	if (!result)
		result = bufring_init(&w->bufring, &w->ring, RECV_GROUP,
				      RECV_BUFFERS, RECV_BUFFER_BYTES);
	if (!result && bodies)
		result = bufring_init(&w->body_bufring, &w->ring, BODY_GROUP,
				      bodies, BODY_BUFFER_BYTES);
	if (result)
		LOG(LOG_ERROR, "io-uring", log_errno(result),
		    log_str("cure", ring_explain(result)));
	return result;
}

static int start_store(struct worker *w)
{
	const struct worker_options *o = w->options;
	struct store_options options = {
		.segments_dir = o->segments_dir,
		.files_dir = o->files_dir,
		.segment_bytes = o->config->spool.segment_bytes,
		.batch_max = STORE_BATCH_MAX,
	};
	uint8_t *memory;

	if (getrandom(&options.seed, sizeof(options.seed), 0) !=
	    (ssize_t)sizeof(options.seed))
		return -EIO;
	memory = aligned_alloc(64, (store_size() + 63) & ~(size_t)63);
	if (!memory)
		return -ENOMEM;
	w->store = store_init(memory, &options);
	return 0;
}

static int start_splicer(struct worker *w)
{
	for (uint32_t i = 0; i < w->options->sockets_n; i++)
		if (w->options->sockets[i].config->body_path ==
		    CONFIG_BODY_SPLICE)
			return splicer_open(&w->splicer);
	return 0;
}

static int start_auth(struct worker *w)
{
	const struct config_auth *auth = &w->options->config->auth;
	int result = authcache_init(&w->authcache, auth->cache_entries,
				    auth->cache_s * 1000ull);

	if (!result)
		result = verifier_open(w->options->users, auth->helpers,
				       &w->verifier, &w->verifier_fd);
	return result;
}

static void tell_load(const struct worker *w, uint64_t sessions)
{
	if (w->options->load)
		atomic_store_explicit(&w->options->load->sessions, sessions,
				      memory_order_relaxed);
}

/* While it serves: then the next generation has the number. */
static void report_load(const struct worker *w)
{
	if (w->state == WORKER_SERVING)
		tell_load(w, w->sessions.n - w->sessions.free_n);
}

static int start(struct worker *w)
{
	int result = open_slabs(w);

	if (!result)
		result = fairness_init(w);
	if (!result)
		result = start_store(w);
	if (!result)
		result = start_splicer(w);
	if (!result)
		result = start_auth(w);
	if (result) {
		LOG(LOG_ERROR, "worker-start", log_errno(result),
		    log_str("cure", "lower limits.sessions, limits.messages "
				    "or limits.buffer_size"));
		return result;
	}
	result = start_ring(w);
	if (result)
		return result;
	wheel_init(&w->wheel, w->now_ms);
	handshakes_init(&w->handshakes, w->options->limits.handshakes);
	offload_init(&w->offload, w->options->config->any_ktls_kernel);
	for (uint32_t i = 0; i < w->options->sockets_n; i++) {
		w->listeners[i].fd = w->options->sockets[i].fd;
		fill_smtp_options(w, i);
		w->tallies[i] = tally_take(w->options->tally,
					   w->options->sockets[i].config->name);
	}
	log_bill(w);
	report_load(w); /* or that of an earlier life would count */
	/* Lines lost before the fork were the supervisor's. */
	w->log_lost_counted = log_flush();
	return 0;
}

/* One turn */

/* What a worker always waits for, sessions apart. */
static void arm(struct worker *w)
{
	for (uint32_t i = 0; i < w->options->sockets_n; i++)
		listener_pump(w, i);
	if (w->command_op.state == OP_IDLE && w->state != WORKER_DRAINING) {
		op_fly(&w->command_op);
		ring_read(&w->ring, w->options->command_fd,
			  (struct span_mut){ &w->command, 1 },
			  (struct ring_tag){ .kind = WORKER_OP_COMMAND });
	}
	if (w->verifier_op.state == OP_IDLE) {
		op_fly(&w->verifier_op);
		ring_read(&w->ring, w->verifier_fd,
			  (struct span_mut){ (uint8_t *)&w->verifier_rings,
					     sizeof(w->verifier_rings) },
			  (struct ring_tag){ .kind = WORKER_OP_VERIFIER });
	}
	session_nic_arm(w);
}

static void begin_drain(struct worker *w)
{
	struct session *next;

	if (w->state == WORKER_DRAINING)
		return;
	w->state = WORKER_DRAINING;
	w->drain_deadline_ms =
		w->now_ms + w->options->config->timeouts.drain * 1000ull;
	for (struct session *s = w->live; s; s = next) {
		next = s->live_next;
		session_drain(w, s);
	}
}

/* The supervisor's word. Its end of the pipe closed means that it is dead. */
static void obey(struct worker *w)
{
	if (!op_take(&w->command_op))
		return;
	if (w->command_op.result == 1 && w->command == WORKER_COMMAND_RETIRE) {
		if (w->state == WORKER_SERVING)
			w->state = WORKER_RETIRING;
		tell_load(w, 0);
		return;
	}
	if (w->command_op.result == -EINTR || w->command_op.result == -EAGAIN)
		return;
	begin_drain(w);
}

static void on_cqe(struct worker *w, const struct ring_completion *c)
{
	switch ((enum worker_op)c->tag.kind) {
	case WORKER_OP_NONE: return;
	case WORKER_OP_ACCEPT: listener_on_cqe(w, c); return;
	case WORKER_OP_RECV: session_receive_on_cqe(w, c); return;
	case WORKER_OP_SEND: session_wire_on_send(w, c); return;
	case WORKER_OP_MESSAGE: message_on_cqe(w, c); return;
	case WORKER_OP_STORE:
		op_on_cqe(&w->store_op, c->result, c->flags);
		return;
	case WORKER_OP_VERIFIER:
		op_on_cqe(&w->verifier_op, c->result, c->flags);
		return;
	case WORKER_OP_COMMAND:
		op_on_cqe(&w->command_op, c->result, c->flags);
		return;
	case WORKER_OP_CENSUS:
		op_on_cqe(&w->census_op, c->result, c->flags);
		return;
	}
	MUST_NOT_REACH("a tag that is none of ours");
}

static void answer_verified(struct worker *w)
{
	struct verifier_job *job;

	if (!op_take(&w->verifier_op))
		return;
	while ((job = verifier_finished(w->verifier))) {
		struct session *s =
			worker_session(w, job->session, job->generation);

		if (s)
			session_auth_verified(w, s, job);
		verifier_give(w->verifier, job);
	}
}

static void pump_touched(struct worker *w)
{
	while (w->touched) {
		struct session *s = w->touched;

		w->touched = s->touched_next;
		s->touched = false;
		session_pump(w, s);
	}
}

/* Sessions found no receive buffer, and now there is one. */
static bool can_feed(const struct worker *w)
{
	return w->starved && w->bufring.lent_n < w->bufring.n;
}

static void feed_starved(struct worker *w)
{
	struct session *s = w->starved;

	if (!can_feed(w))
		return;
	w->starved = NULL;
	while (s) {
		struct session *next = s->starved_next;

		s->starved = false;
		worker_touch(w, s);
		s = next;
	}
}

static void expire_timers(struct worker *w)
{
	struct wheel_timer *t;

	while ((t = wheel_expire(&w->wheel, w->now_ms)))
		session_on_timeout(w, session_of_timer(t));
}

/* Once a second: is there room beyond the reserve? */
static void check_space(struct worker *w)
{
	uint64_t reserve = w->options->config->spool.reserve_bytes;
	struct statvfs fs;
	bool full;

	if (!reserve || w->now_ms < w->space_checked_ms + SPACE_CHECK_MS)
		return;
	w->space_checked_ms = w->now_ms;
	if (fstatvfs(w->options->segments_dir, &fs))
		return;
	full = (uint64_t)fs.f_bavail * fs.f_frsize < reserve;
	if (full != w->spool_full)
		LOG(full ? LOG_WARNING : LOG_NOTICE,
		    full ? "spool-full" : "spool-has-room",
		    log_u64("free_bytes", (uint64_t)fs.f_bavail * fs.f_frsize),
		    log_u64("reserve_bytes", reserve));
	w->spool_full = full;
}

/* What has not ended by itself when the limit of draining has passed. */
static void enforce_drain(struct worker *w)
{
	if (w->state != WORKER_DRAINING || w->now_ms < w->drain_deadline_ms)
		return;
	for (struct session *s = w->live; s; s = s->live_next) {
		session_kill(s, "drained");
		worker_touch(w, s);
	}
}

static bool finished(struct worker *w)
{
	bool stopped = true;

	if (w->state == WORKER_SERVING)
		return false;
	for (uint32_t i = 0; i < w->options->sockets_n; i++)
		stopped = listener_stop(w, i) && stopped;
	if (w->live || w->messages.free_n != w->messages.n)
		return false;
	store_seal(w->store);
	message_pump_store(w);
	return stopped && store_idle(w->store);
}

/* UINT64_MAX: until something comes. */
static uint64_t wait_ns(const struct worker *w)
{
	uint32_t timer_ms = wheel_wait_ms(&w->wheel, w->now_ms);
	uint64_t handshakes_us = handshakes_wait_us(w);
	uint32_t most = w->spool_full || w->state != WORKER_SERVING ?
				SPACE_CHECK_MS :
				UINT32_MAX;
	uint64_t ns = UINT64_MAX;

	if (w->touched || can_feed(w))
		return 0;
	for (uint32_t i = 0; i < w->options->sockets_n; i++)
		if (w->listeners[i].paused_until_ms > w->now_ms)
			most = SPACE_CHECK_MS;
	if (timer_ms < most)
		most = timer_ms;
	if (most != UINT32_MAX)
		ns = most * 1000000ull;
	return handshakes_us < ns / 1000 ? handshakes_us * 1000 : ns;
}

static void count_turn(struct worker *w)
{
	struct metric_block *b = w->options->metrics;
	uint64_t log_lost = log_flush();

	report_load(w);
	metric_add(b, METRIC_RING_ENTERS, w->ring.enters - w->enters_counted);
	metric_add(b, METRIC_LOG_LINES_LOST, log_lost - w->log_lost_counted);
	w->enters_counted = w->ring.enters;
	w->log_lost_counted = log_lost;
}

static int turn(struct worker *w)
{
	struct ring_completion c;
	int result = ring_wait_ns(&w->ring, wait_ns(w));

	if (result) {
		LOG(LOG_ERROR, "ring-wait", log_errno(result));
		return result;
	}
	w->now_ms = clock_ms();
	while (ring_next(&w->ring, &c))
		on_cqe(w, &c);
	obey(w);
	answer_verified(w);
	session_nic_hear(w);
	feed_starved(w);
	pump_touched(w);
	message_pump_store(w);
	pump_touched(w);
	handshakes_pump(w);
	check_space(w);
	expire_timers(w);
	enforce_drain(w);
	arm(w);
	count_turn(w);
	return 0;
}

/*
 * The accepts are with the kernel: our supervisor may rely on us. A pipe that
 * is full or closed costs it the wait for a word that never comes.
 */
static int say_serving(struct worker *w)
{
	const pid_t pid = getpid();
	int result;

	arm(w);
	result = ring_wait(&w->ring, 0);
	if (!result)
		(void)!write(w->options->serving_fd, &pid, sizeof(pid));
	(void)close(w->options->serving_fd);
	return result;
}

int worker_run(const struct worker_options *options)
{
	struct worker *w = aligned_alloc(64, (sizeof(*w) + 63) & ~(size_t)63);
	int result;

	if (!w)
		return EXIT_FAILURE;
	*w = (struct worker){ .options = options, .now_ms = clock_ms() };
	result = start(w);
	if (!result)
		result = say_serving(w);
	while (!result && !finished(w))
		result = turn(w);
	LOG(LOG_NOTICE, "worker-ends",
	    log_str("state", result ? "failed" : "drained"));
	(void)log_flush();
	/* The process ends here; the kernel takes back what it holds. */
	board_announce(options->board, 0, 0);
	if (w->verifier)
		verifier_close(w->verifier);
	return result ? EXIT_FAILURE : EXIT_SUCCESS;
}
