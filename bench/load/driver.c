/*
 * A turn of the loop: wait; look at the phase; record all completions; expire
 * timers; pump what was touched; hand out work, and pump again.
 */
#include "load/driver.h"

#include "base/must.h"
#include "kit/stopwatch.h"
#include "load/link.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/prctl.h>

#define RECV_BYTES  4096
#define TURN_NS     20000000u /* a change of phase is seen so soon */
#define REST_NS     10000000u
#define TICKETS_MAX 1024

static const struct load_options *options(const struct driver *d)
{
	return d->run->options;
}

/* -- opening and closing ----------------------------------------------------- */

static uint32_t share_of(uint64_t whole, uint64_t parts, uint32_t index)
{
	return (uint32_t)(whole / parts + (index < whole % parts));
}

static int open_creds(struct driver *d, struct creds_error *ret_problem)
{
	static const enum creds_version versions[] = {
		[LOAD_TLS_VERSION_1_2] = CREDS_TLS12,
		[LOAD_TLS_VERSION_1_3] = CREDS_TLS13,
		[LOAD_TLS_VERSION_ANY] = CREDS_ANY_VERSION,
	};
	const struct load_options *o = options(d);
	const struct creds_client_options wanted = {
		.verify = o->ca,
		.ca_file = o->ca,
		.version = versions[o->tls_version],
		.cipher = o->cipher,
		.sessions_n = o->resume ? TICKETS_MAX : 0,
	};

	if (o->tls == LOAD_TLS_CLEAR)
		return 0;
	return creds_open_client(&wanted, &d->creds, ret_problem);
}

int driver_open(struct driver *d, struct run *run, uint32_t index,
		struct creds_error *ret_problem)
{
	const struct load_options *o = run->options;

	*d = (struct driver){ .run = run, .index = index };
	d->connections_max = share_of(o->connections, o->threads, index);
	d->dice = dice_from(o->seed + index);
	*ret_problem = (struct creds_error){ 0 };
	return open_creds(d, ret_problem);
}

void driver_close(struct driver *d)
{
	creds_close(d->creds);
}

void driver_touch(struct driver *d, struct link *l)
{
	if (l->touched)
		return;
	l->touched = true;
	l->touched_next = d->touched;
	d->touched = l;
}

void driver_refused(struct driver *d)
{
	d->rest_until_ns = stopwatch_ns() + REST_NS;
	atomic_fetch_add_explicit(&d->refused_now, 1, memory_order_relaxed);
}

void driver_give_link(struct driver *d, struct link *l)
{
	d->open_n--;
	slab_give(&d->links, l);
}

void driver_job_done(struct driver *d, bool good)
{
	_Atomic uint64_t *which = good ? &d->done_now : &d->failed_now;

	d->jobs_n--;
	d->tally.last_ns = stopwatch_ns();
	atomic_fetch_add_explicit(which, 1, memory_order_relaxed);
}

/* -- what is due ------------------------------------------------------------- */

static bool is_open_loop(const struct driver *d)
{
	return options(d)->rate > 0;
}

static uint64_t due_ns(const struct driver *d, uint64_t number)
{
	double nth = (double)number * (double)options(d)->threads + d->index;

	return d->start_ns + (uint64_t)(nth * 1e9 / options(d)->rate);
}

/* How many have become due by now, in this phase. */
static void count_due(struct driver *d)
{
	uint64_t backlog;
	uint64_t most = share_of(options(d)->backlog, options(d)->threads, 0);

	if (run_is_used_up(d->run)) /* beyond the limit nothing is due */
		d->tally.due = d->next_due;
	else if (run_phase_works(d->phase))
		while (due_ns(d, d->tally.due) <= d->now_ns)
			d->tally.due++;
	backlog = d->tally.due - d->next_due;
	if (backlog > most) {
		d->tally.dropped += backlog - most;
		d->next_due += backlog - most;
		backlog = most;
	}
	if (backlog > d->tally.backlog_max)
		d->tally.backlog_max = backlog;
}

static bool has_work(const struct driver *d)
{
	if (options(d)->mode == LOAD_MODE_IDLE)
		return false;
	if (is_open_loop(d)) /* what was due before the end is still done */
		return d->tally.due > d->next_due &&
		       (run_phase_works(d->phase) || d->phase == RUN_END);
	return run_phase_works(d->phase);
}

/* -- handing out work --------------------------------------------------------- */

static struct link *open_link(struct driver *d)
{
	struct link *l;

	if (d->open_n == d->connections_max || d->now_ns < d->rest_until_ns)
		return NULL;
	l = slab_take(&d->links);
	MUST(l); /* as many as connections_max */
	d->open_n++;
	d->opened_n++;
	link_open(d, l);
	return l;
}

static void hand_out(struct driver *d)
{
	while (has_work(d) && !run_is_used_up(d->run)) {
		struct link *l = d->idle;
		uint64_t number, due = 0;

		if (!l)
			l = open_link(d);
		if (!l || !run_take_number(d->run, &number))
			break;
		if (is_open_loop(d))
			due = due_ns(d, d->next_due++);
		d->jobs_n++;
		link_take_job(d, l, number, due);
		link_pump(d, l);
	}
}

static void open_idle(struct driver *d)
{
	while (run_phase_works(d->phase) && d->opened_n < d->connections_max &&
	       d->opening_n < DRIVER_OPENING_MAX) {
		if (!open_link(d))
			return;
	}
}

static void quit_idle(struct driver *d)
{
	while (d->idle)
		link_quit(d, d->idle);
}

static void fill(struct driver *d)
{
	if (is_open_loop(d))
		count_due(d);
	if (options(d)->mode == LOAD_MODE_IDLE)
		open_idle(d);
	else
		hand_out(d);
	if (d->phase == RUN_CLOSE)
		quit_idle(d);
}

/* -- one turn ---------------------------------------------------------------- */

static void look_at_phase(struct driver *d)
{
	enum run_phase phase = run_phase(d->run);

	if (phase == d->phase)
		return;
	d->phase = phase;
	if (phase == RUN_PAUSE) /* what was to warm up is not owed */
		d->tally.due = d->next_due;
	if (phase != RUN_MEASURE)
		return;
	d->warm_up_messages = d->tally.messages;
	tally_clear(&d->tally);
	d->start_ns = d->run->measure_ns;
	d->next_due = 0;
}

static uint64_t wait_ns(const struct driver *d)
{
	uint64_t now_ns = stopwatch_ns();
	uint64_t most = TURN_NS;
	uint64_t next;

	if (d->touched)
		return 0;
	if (!is_open_loop(d) || !run_phase_works(d->phase))
		return most;
	next = due_ns(d, d->tally.due);
	if (next <= now_ns)
		return 0;
	return next - now_ns < most ? next - now_ns : most;
}

static void pump_touched(struct driver *d)
{
	while (d->touched) {
		struct link *l = d->touched;

		d->touched = l->touched_next;
		l->touched = false;
		link_pump(d, l);
	}
}

static void publish(struct driver *d)
{
	uint64_t ready = d->open_n - d->opening_n;
	uint64_t busy = d->jobs_n;

	if (is_open_loop(d))
		busy += d->tally.due - d->next_due;
	atomic_store_explicit(&d->busy_now, busy, memory_order_relaxed);
	atomic_store_explicit(&d->ready_now, ready, memory_order_relaxed);
}

static int turn(struct driver *d)
{
	int result = ring_wait_ns(&d->loop.ring, wait_ns(d));
	struct ring_completion c;
	struct wheel_timer *t;

	if (result)
		return result;
	d->now_ns = stopwatch_ns();
	look_at_phase(d);
	while (ring_next(&d->loop.ring, &c)) {
		struct link *l;

		if (c.tag.kind == STREAM_OP_NONE)
			continue;
		l = slab_at(&d->links, c.tag.slot);
		stream_on_cqe(&l->stream, &c);
		driver_touch(d, l);
	}
	while ((t = wheel_expire(&d->wheel, d->now_ns / 1000000)))
		link_on_timeout(d, link_of_timer(t));
	pump_touched(d);
	fill(d);
	pump_touched(d);
	publish(d);
	return 0;
}

static int start(struct driver *d)
{
	int result = stream_loop_init(&d->loop, d->connections_max, RECV_BYTES);

	if (result)
		return result;
	result = slab_init(&d->links, sizeof(struct link), d->connections_max);
	if (result)
		stream_loop_fini(&d->loop);
	return result;
}

static int drive(struct driver *d)
{
	int result = start(d);

	if (result)
		return result;
	/* Due times are met to the microsecond, not to 50 of them. */
	(void)prctl(PR_SET_TIMERSLACK, 1000ul);
	d->now_ns = d->start_ns = stopwatch_ns();
	wheel_init(&d->wheel, d->now_ns / 1000000);
	while (!result && (d->phase != RUN_CLOSE || d->open_n))
		result = turn(d);
	slab_fini(&d->links);
	stream_loop_fini(&d->loop);
	return result;
}

static void *run_thread(void *driver)
{
	struct driver *d = driver;
	int result = drive(d);

	atomic_store(&d->result, result);
	return NULL;
}

int driver_start(struct driver *d)
{
	return -pthread_create(&d->thread, NULL, run_thread, d);
}
