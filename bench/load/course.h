#pragma once

/*
 * course: what happens in a run, in order: warm-up, waiting until all is quiet,
 * measuring, waiting again, closing; and what came of it. It is the main
 * thread's part: it sleeps, reads the server's cost and shows progress.
 */

#include "load/compare.h"
#include "load/cost.h"
#include "load/counters.h"
#include "load/driver.h"

struct outcome {
	const struct run *run;
	struct tally tally;        /* of all threads */
	uint64_t warm_up_messages; /* acknowledged, and not in `tally` */
	double seconds;            /* measured */
	bool interrupted;
	int result; /* negative errno: a thread could not run */
	struct cost_reading before;
	struct cost_reading after;
	const char *counters_missing; /* why there are no counts */
	struct counters_reading counted;
	uint64_t client_cpu_us;
	bool settled;
	double settle_s;
	double held_s; /* idle mode */
	uint64_t opened;
};

/*
 * Carries the run out with drivers that are open; *ret is complete when it
 * returns. Signals that end it are to be blocked in all threads.
 */
void course_run(struct run *run, struct driver *drivers, struct outcome *ret);
