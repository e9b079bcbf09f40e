#include "load/progress.h"

#include "kit/stopwatch.h"

#include <unistd.h>

struct progress_sums progress_sum(const struct run *run,
				  const struct driver *drivers)
{
	struct progress_sums sums = { 0 };

	for (uint64_t i = 0; i < run->options->threads; i++) {
		const struct driver *d = &drivers[i];

		sums.done += atomic_load(&d->done_now);
		sums.failed += atomic_load(&d->failed_now);
		sums.busy += atomic_load(&d->busy_now);
		sums.ready += atomic_load(&d->ready_now);
		sums.refused += atomic_load(&d->refused_now);
	}
	return sums;
}

void progress_init(struct progress *p, const struct load_options *o)
{
	bool terminal = isatty(STDERR_FILENO);

	*p = (struct progress){ .wanted = o->progress ||
					  (terminal && !o->quiet),
				.terminal = terminal };
	p->began_ns = p->last_ns = stopwatch_ns();
}

static const char *phase_name(enum run_phase phase)
{
	static const char *const names[] = { "warm-up", "settling", "measuring",
					     "ending", "closing" };

	return names[phase];
}

void progress_show(struct progress *p, const struct run *run,
		   const struct driver *drivers)
{
	uint64_t now_ns = stopwatch_ns();
	struct progress_sums sums;
	double seconds;

	if (!p->wanted || now_ns - p->last_ns < STOPWATCH_S)
		return;
	sums = progress_sum(run, drivers);
	seconds = (double)(now_ns - p->last_ns) / (double)STOPWATCH_S;
	(void)fprintf(
		stderr,
		"%s%4llu s  %-9s  %8.0f/s  %llu done, %llu failed, "
		"%llu under way, %llu connections%s",
		p->terminal ? "\r\033[K" : "",
		(unsigned long long)((now_ns - p->began_ns) / STOPWATCH_S),
		phase_name(run_phase(run)),
		(double)(sums.done - p->last_done) / seconds,
		(unsigned long long)sums.done, (unsigned long long)sums.failed,
		(unsigned long long)sums.busy, (unsigned long long)sums.ready,
		p->terminal ? "" : "\n");
	p->shown = true;
	p->last_ns = now_ns;
	p->last_done = sums.done;
}

void progress_end(struct progress *p)
{
	if (p->shown && p->terminal)
		(void)fputs("\r\033[K", stderr);
}
