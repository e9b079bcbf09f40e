#include "load/course.h"

#include "kit/program.h"
#include "kit/stopwatch.h"
#include "load/progress.h"

#include <errno.h>
#include <signal.h>

#define TICK_NS     10000000u
#define QUIET_NS    100000000u /* a look at the server's processors */
#define QUIET_US    1000u      /* less than this in that time is quiet */
#define QUIET_LOOKS 3
#define END_S       70 /* for what is under way: a link's patience and more */
#define OPEN_S      600
#define IDLE_REST_S 1.0

struct course {
	struct run *run;
	struct driver *drivers;
	struct outcome *outcome;
	struct progress progress;
	bool interrupted;
};

static const struct load_options *options(const struct course *c)
{
	return c->run->options;
}

/* -- waiting ------------------------------------------------------------------ */

/* Sleeps; a signal that comes meanwhile ends the run early. */
static void nap(struct course *c, uint64_t ns)
{
	const struct timespec limit = { .tv_sec = (time_t)(ns / STOPWATCH_S),
					.tv_nsec = (long)(ns % STOPWATCH_S) };
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGTERM);
	if (sigtimedwait(&set, NULL, &limit) > 0)
		c->interrupted = true;
	progress_show(&c->progress, c->run, c->drivers);
}

static bool has_failed(const struct course *c)
{
	for (uint64_t i = 0; i < options(c)->threads; i++)
		if (atomic_load(&c->drivers[i].result))
			return true;
	return false;
}

static uint64_t deadline_after(double seconds)
{
	return stopwatch_ns() + (uint64_t)(seconds * (double)STOPWATCH_S);
}

static bool goes_on(const struct course *c)
{
	return !c->interrupted && !has_failed(c);
}

/* Threads look at the phase once a turn: twice their longest turn is enough. */
static void wait_until_idle(struct course *c)
{
	uint64_t deadline = deadline_after(END_S);

	nap(c, 4 * TICK_NS);
	while (progress_sum(c->run, c->drivers).busy && !has_failed(c) &&
	       stopwatch_ns() < deadline)
		nap(c, TICK_NS);
}

/* Until the server's processors were quiet for some looks on end. */
static void settle(struct course *c)
{
	uint64_t began = stopwatch_ns();
	uint64_t deadline = deadline_after(options(c)->settle_s);
	struct cost_reading last, now;
	unsigned int quiet = 0;

	if (!cost_is_wanted(options(c)) || options(c)->settle_s <= 0 ||
	    cost_read_cpu(options(c), &last))
		return;
	c->outcome->settled = false;
	while (quiet < QUIET_LOOKS && !c->interrupted &&
	       stopwatch_ns() < deadline) {
		nap(c, QUIET_NS);
		if (cost_read_cpu(options(c), &now))
			return;
		quiet = now.cpu_us - last.cpu_us < QUIET_US ? quiet + 1 : 0;
		last = now;
	}
	c->outcome->settled = quiet == QUIET_LOOKS;
	c->outcome->settle_s =
		(double)(stopwatch_ns() - began) / (double)STOPWATCH_S;
}

/* -- the phases ---------------------------------------------------------------- */

static void warm_up(struct course *c)
{
	uint64_t deadline = deadline_after(options(c)->warm_up_s);

	if (options(c)->warm_up_s > 0)
		while (goes_on(c) && stopwatch_ns() < deadline)
			nap(c, TICK_NS);
	run_set_phase(c->run, RUN_PAUSE);
	wait_until_idle(c);
	settle(c);
}

static void hold_open(struct course *c)
{
	uint64_t deadline = deadline_after(OPEN_S);
	struct progress_sums sums;
	uint64_t began;

	do {
		nap(c, TICK_NS);
		sums = progress_sum(c->run, c->drivers);
	} while (goes_on(c) && stopwatch_ns() < deadline &&
		 sums.ready + sums.refused < options(c)->connections);
	began = stopwatch_ns();
	deadline = deadline_after(options(c)->duration_s > IDLE_REST_S ?
					  options(c)->duration_s :
					  IDLE_REST_S);
	while (goes_on(c) && stopwatch_ns() < deadline)
		nap(c, TICK_NS);
	c->outcome->opened = progress_sum(c->run, c->drivers).ready;
	c->outcome->held_s =
		(double)(stopwatch_ns() - began) / (double)STOPWATCH_S;
}

static void measure(struct course *c)
{
	uint64_t deadline = deadline_after(options(c)->duration_s);
	bool timed = options(c)->duration_s > 0;

	if (options(c)->mode == LOAD_MODE_IDLE) {
		hold_open(c);
		return;
	}
	while (goes_on(c) && (!timed || stopwatch_ns() < deadline) &&
	       !(run_is_used_up(c->run) &&
		 !progress_sum(c->run, c->drivers).busy))
		nap(c, TICK_NS);
}

static void measure_cost(struct course *c)
{
	struct outcome *out = c->outcome;
	struct counters counters;
	struct counters_reading first, last;

	counters_open(&counters, options(c)->cgroup);
	out->counters_missing = counters.missing;
	(void)cost_read(options(c), &out->before);
	first = counters_read(&counters);
	out->client_cpu_us = program_cpu_us();
	c->run->measure_ns = stopwatch_ns();
	run_set_phase(c->run, RUN_MEASURE);
	measure(c);
	if (options(c)->mode == LOAD_MODE_IDLE)
		(void)cost_read(options(c), &out->after);
	run_set_phase(c->run, RUN_END);
	wait_until_idle(c);
	out->client_cpu_us = program_cpu_us() - out->client_cpu_us;
	settle(c);
	last = counters_read(&counters);
	if (options(c)->mode != LOAD_MODE_IDLE)
		(void)cost_read(options(c), &out->after);
	out->counted.system_calls = last.system_calls - first.system_calls;
	out->counted.syncs = last.syncs - first.syncs;
	counters_close(&counters);
}

/* -- all of it -------------------------------------------------------------------- */

static uint64_t start_threads(struct course *c)
{
	uint64_t n = 0;

	while (n < options(c)->threads) {
		int result = driver_start(&c->drivers[n]);

		if (result) {
			c->outcome->result = result;
			break;
		}
		n++;
	}
	return n;
}

static void gather(struct course *c, uint64_t threads)
{
	struct outcome *out = c->outcome;
	uint64_t end;

	for (uint64_t i = 0; i < threads; i++) {
		struct driver *d = &c->drivers[i];
		int result;

		(void)pthread_join(d->thread, NULL);
		tally_add(&out->tally, &d->tally);
		out->tally.dropped += d->tally.due - d->next_due;
		out->warm_up_messages += d->warm_up_messages;
		result = atomic_load(&d->result);
		out->result = result ? result : out->result;
	}
	end = out->tally.last_ns;
	if (end > c->run->measure_ns)
		out->seconds = (double)(end - c->run->measure_ns) /
			       (double)STOPWATCH_S;
	out->interrupted = c->interrupted;
}

void course_run(struct run *run, struct driver *drivers, struct outcome *ret)
{
	struct course c = { .run = run, .drivers = drivers, .outcome = ret };
	uint64_t threads;

	*ret = (struct outcome){ .run = run, .settled = true };
	progress_init(&c.progress, run->options);
	run_set_phase(run, run->options->warm_up_s > 0 ? RUN_WARM : RUN_PAUSE);
	threads = start_threads(&c);
	if (!ret->result) {
		warm_up(&c);
		if (goes_on(&c))
			measure_cost(&c);
	}
	run_set_phase(run, RUN_CLOSE);
	gather(&c, threads);
	progress_end(&c.progress);
}
