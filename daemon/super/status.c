#include "super/status.h"

#include <stdio.h>

static enum expose_state state_of(const struct shared_slot *slot)
{
	switch ((enum process_state)atomic_load(&slot->state)) {
	case PROCESS_RUNNING: return EXPOSE_RUNNING;
	case PROCESS_WAITING: return EXPOSE_WAITING;
	case PROCESS_LEAVING: return EXPOSE_DRAINING;
	case PROCESS_FREE: break;
	}
	return EXPOSE_GONE;
}

struct expose_status status_describe(const struct shared *shared,
				     struct status_clock clock,
				     struct status_storage *storage)
{
	struct expose_status status = { .now_s = clock.now_s,
					.processes = storage->processes };

	for (uint32_t i = 0; i < PROCESS_MAX; i++) {
		const struct shared_slot *slot = &shared->common->slots[i];
		uint64_t age_ms = clock.now_ms - atomic_load(&slot->started_ms);

		/* A slot that was never used has no counts. */
		if (!atomic_load(&slot->used))
			continue;
		(void)snprintf(storage->names[i], sizeof(storage->names[i]),
			       "%s-%u",
			       process_kind_name(atomic_load(&slot->kind)),
			       atomic_load(&slot->index));
		storage->processes[status.processes_n++] =
			(struct expose_process){
				.name = storage->names[i],
				.pid = atomic_load(&slot->pid),
				.state = state_of(slot),
				.restarts = atomic_load(&slot->restarts),
				.started_s = clock.now_s - age_ms / 1000,
				.metrics = &shared->metrics->blocks[i],
				.tally = &shared->metrics->tallies[i],
			};
	}
	return status;
}
