#pragma once

/*
 * progress: the line that is shown while a run goes on, once a second, on a
 * terminal or when it was asked for; and the sums over threads it shows.
 */

#include "load/driver.h"

struct progress_sums {
	uint64_t done;
	uint64_t failed;
	uint64_t busy;
	uint64_t ready;
	uint64_t refused; /* connections that never got ready */
};

struct progress {
	bool wanted;
	bool shown; /* a line stands on the terminal */
	bool terminal;
	uint64_t last_ns;
	uint64_t last_done;
	uint64_t began_ns;
};

struct progress_sums progress_sum(const struct run *run,
				  const struct driver *drivers);

void progress_init(struct progress *p, const struct load_options *o);
/* Shows the line, if it is time. */
void progress_show(struct progress *p, const struct run *run,
		   const struct driver *drivers);
/* Clears the terminal's line. */
void progress_end(struct progress *p);
