#include "super/status.h"

static enum expose_state state_of(const struct process *p)
{
	switch (p->state) {
	case PROCESS_RUNNING: return EXPOSE_RUNNING;
	case PROCESS_WAITING: return EXPOSE_WAITING;
	case PROCESS_LEAVING: return EXPOSE_DRAINING;
	case PROCESS_FREE: break;
	}
	return EXPOSE_GONE;
}

struct expose_status status_describe(const struct process_table *processes,
				     const struct shared *shared,
				     struct status_clock clock,
				     struct expose_process *storage)
{
	struct expose_status status = { .now_s = clock.now_s,
					.processes = storage };

	for (uint32_t i = 0; i < PROCESS_MAX; i++) {
		const struct process *p = &processes->entries[i];

		/* A slot that was never used has no name and no counts. */
		if (!p->name[0])
			continue;
		storage[status.processes_n++] = (struct expose_process){
			.name = p->name,
			.pid = p->pid,
			.state = state_of(p),
			.restarts = p->restarts,
			.started_s = clock.now_s -
				     (clock.now_ms - p->started_ms) / 1000,
			.metrics = &shared->metrics[i],
		};
	}
	return status;
}
