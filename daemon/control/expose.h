#pragma once

/*
 * expose: shows the state of the daemon to people and programs: as text, as
 * JSON, and its counters in the text format of Prometheus. It reads what the
 * supervisor describes and the counters that the processes share; it keeps
 * nothing and asks nobody.
 */

#include "base/buf.h"
#include "base/metric.h"
#include "base/tally.h"

#include <stdio.h>
#include <sys/types.h>

enum expose_state {
	EXPOSE_STARTING,
	EXPOSE_RUNNING,
	EXPOSE_DRAINING, /* finishes its sessions, takes no new ones */
	EXPOSE_WAITING,  /* died; waits to be started again */
	EXPOSE_GONE,
};

struct expose_process {
	const char *name; /* "gateway-0", "relay-0" */
	pid_t pid;        /* 0: not running */
	enum expose_state state;
	uint32_t restarts;
	uint64_t started_s; /* Unix time */
	const struct metric_block *metrics;
	const struct tally *tally; /* NULL: it has no listeners */
};

struct expose_status {
	const char *version;
	uint64_t generation; /* rises with each upgrade and reload */
	uint64_t started_s;  /* of the daemon, Unix time */
	uint64_t now_s;
	const struct expose_process *processes;
	uint32_t processes_n;
};

/* Each appends one document; sticky overflow when it does not fit. */
void expose_text(const struct expose_status *status, struct buf *out);
void expose_json(const struct expose_status *status, struct buf *out);
void expose_metrics(const struct expose_status *status, struct buf *out);

/* Reference of all counters: an mdoc list for the manual. */
void expose_print_metrics(FILE *out);
