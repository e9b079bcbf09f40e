/*
 * Forks are rare and always of the newest assets; a death is logged, the dead
 * one's gauges and its slot on the board are cleared, and the relay's doorbell
 * is rung, because it looks for what a dead worker left behind.
 */
#include "super/supervisor_inside.h"

#include "gateway/worker.h"
#include "super/child.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#define OLD_GENERATIONS 3 /* still finishing; older ones are drained */

static struct child_world world_of(struct supervisor *s)
{
	return (struct child_world){
		.assets = s->assets,
		.sockets = &s->sockets,
		.processes = &s->processes,
		.shared = s->shared,
		.relay_doorbell = s->relay_doorbell,
		.private_fds = { s->signal_fd, s->lock_fd },
		.private_fds_n = 2,
		.control = s->has_control ? &s->control : NULL,
		.log_format = supervisor_log_format(s),
	};
}

void children_start_due(struct supervisor *s)
{
	struct child_world world = world_of(s);

	for (uint32_t i = 0; i < PROCESS_MAX; i++) {
		struct process *p = &s->processes.entries[i];
		int result;

		if (p->state != PROCESS_WAITING || p->start_ms > s->now_ms)
			continue;
		result = child_start(&world, p, s->now_ms);
		if (result)
			LOG(LOG_ERROR, "fork", log_str("child", p->name),
			    log_errno(result));
		else
			LOG(LOG_NOTICE, "started", log_str("child", p->name),
			    log_u64("pid", (uint64_t)p->pid),
			    log_u64("generation", p->generation),
			    log_u64("restarts", p->restarts));
	}
}

bool children_begin_generation(struct supervisor *s)
{
	s->generation++;
	for (uint32_t i = 0; i < s->workers; i++)
		if (!process_begin(&s->processes, PROCESS_GATEWAY, i,
				   s->generation))
			return false;
	return process_begin(&s->processes, PROCESS_RELAY, 0, s->generation);
}

static void log_death(const struct process *p, int status)
{
	bool wanted = p->state == PROCESS_LEAVING && WIFEXITED(status) &&
		      WEXITSTATUS(status) == 0;

	LOG(wanted ? LOG_NOTICE : LOG_ERROR, wanted ? "left" : "died",
	    log_str("child", p->name), log_u64("pid", (uint64_t)p->pid),
	    log_str("how", WIFSIGNALED(status) ? "signal" : "exit"),
	    log_u64("status", WIFSIGNALED(status) ?
				      (uint64_t)WTERMSIG(status) :
				      (uint64_t)WEXITSTATUS(status)));
}

void children_reap(struct supervisor *s)
{
	const uint64_t one = 1;
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		struct process *p = process_find(&s->processes, pid);

		if (!p)
			continue;
		log_death(p, status);
		shared_forget(s->shared, process_slot(&s->processes, p));
		process_died(p, s->now_ms);
		(void)!write(s->relay_doorbell, &one, sizeof(one));
	}
}

/* Those of more than OLD_GENERATIONS ago finish with 421 now. */
void children_dismiss_older(struct supervisor *s)
{
	for (uint32_t i = 0; i < PROCESS_MAX; i++) {
		struct process *p = &s->processes.entries[i];

		if (p->state == PROCESS_LEAVING &&
		    p->generation + OLD_GENERATIONS < s->generation)
			process_dismiss(p, WORKER_COMMAND_DRAIN);
	}
}

void children_retire(struct supervisor *s)
{
	for (uint32_t i = 0; i < PROCESS_MAX; i++) {
		struct process *p = &s->processes.entries[i];

		if (p->state == PROCESS_FREE || p->state == PROCESS_LEAVING)
			continue;
		/* The relay has no sessions to finish: the next waits for it. */
		process_dismiss(p, p->kind == PROCESS_RELAY ?
					   WORKER_COMMAND_DRAIN :
					   WORKER_COMMAND_RETIRE);
	}
}

void children_drain(struct supervisor *s)
{
	for (uint32_t i = 0; i < PROCESS_MAX; i++)
		if (s->processes.entries[i].state != PROCESS_FREE)
			process_dismiss(&s->processes.entries[i],
					WORKER_COMMAND_DRAIN);
}

void children_kill(struct supervisor *s)
{
	for (uint32_t i = 0; i < PROCESS_MAX; i++)
		if (s->processes.entries[i].pid > 0)
			(void)kill(s->processes.entries[i].pid, SIGKILL);
}
