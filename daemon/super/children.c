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

#define OLD_GENERATIONS 3 /* may take their time; older ones may not */

static struct child_world world_of(struct supervisor *s)
{
	return (struct child_world){
		.assets = s->assets,
		.sockets = &s->sockets,
		.steer = s->steer,
		.guard = &s->guard,
		.processes = &s->processes,
		.shared = &s->shared,
		.owner = getpid(),
		.relay_doorbell = s->relay_doorbell,
		.serving_fd = s->serving_fds[1],
		.private_fds = { s->signal_fd, s->lock_fd, s->serving_fds[0],
				 s->census.netlink, s->upgrade.fd,
				 s->upgrade.program.pidfd, s->takeover.fd },
		.private_fds_n = 7,
		.control = s->has_control ? &s->control : NULL,
		.log_format = supervisor_log_format(s),
	};
}

/* A worker that is not started again at once gets no connections until then. */
static void pass_over(struct supervisor *s, const struct process *p, bool down)
{
	struct steer_load *load;

	if (p->kind != PROCESS_GATEWAY || p->state == PROCESS_FREE)
		return;
	load = steer_load(s->steer, p->index);
	if (load && down)
		atomic_store(&load->sessions, 0);
	(void)steer_set_down(s->steer, p->index, down);
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
		shared_show(&s->shared, i, p);
		pass_over(s, p, result != 0);
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

static bool begin(struct supervisor *s, enum process_kind kind, uint32_t index)
{
	struct process_role role = { kind, index, s->generation };
	uint32_t slot;

	if (shared_claim(&s->shared, getpid(), &slot))
		return false;
	shared_show(&s->shared, slot, process_begin(&s->processes, slot, role));
	return true;
}

/* After each change of its state: others see it, and a free slot is given. */
static void show(struct supervisor *s, const struct process *p)
{
	uint32_t slot = process_slot(&s->processes, p);

	shared_show(&s->shared, slot, p);
	if (p->state == PROCESS_FREE)
		shared_release(&s->shared, slot);
}

static void dismiss(struct supervisor *s, struct process *p, char command)
{
	process_dismiss(p, command);
	p->leave_ms = 0;
	show(s, p);
}

bool children_begin_generation(struct supervisor *s)
{
	bool begun = true;

	shared_sweep(&s->shared);
	s->generation++;
	for (uint32_t i = 0; i < s->workers && begun; i++)
		begun = begin(s, PROCESS_GATEWAY, i);
	if (begun && begin(s, PROCESS_RELAY, 0))
		return true;
	for (uint32_t i = 0; i < PROCESS_MAX; i++) {
		struct process *p = &s->processes.entries[i];

		if (p->state == PROCESS_WAITING &&
		    p->generation == s->generation)
			dismiss(s, p, WORKER_COMMAND_DRAIN);
	}
	s->generation--;
	return false;
}

void children_hear(struct supervisor *s)
{
	pid_t pid;

	/* A word is written whole; one of a dead child's finds nobody. */
	while (read(s->serving_fds[0], &pid, sizeof(pid)) == sizeof(pid)) {
		struct process *p = process_find(&s->processes, pid);

		if (p)
			p->serving = true;
	}
}

bool children_serve(const struct supervisor *s)
{
	for (uint32_t i = 0; i < PROCESS_MAX; i++) {
		const struct process *p = &s->processes.entries[i];

		if (p->state != PROCESS_FREE && p->kind == PROCESS_GATEWAY &&
		    p->generation == s->generation && !p->serving)
			return false;
	}
	return true;
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
		shared_forget(&s->shared, process_slot(&s->processes, p));
		process_died(p, s->now_ms);
		pass_over(s, p, p->start_ms > s->now_ms);
		show(s, p);
		(void)!write(s->relay_doorbell, &one, sizeof(one));
	}
}

/*
 * Those of more than OLD_GENERATIONS ago have as long to end as when we drain,
 * and are told then: upgrades in quick succession shall break no session.
 */
void children_dismiss_older(struct supervisor *s)
{
	uint64_t most_ms =
		s->now_ms + s->assets->config->timeouts.drain * 1000ull;

	for (uint32_t i = 0; i < PROCESS_MAX; i++) {
		struct process *p = &s->processes.entries[i];

		if (p->state == PROCESS_LEAVING && p->leave_ms > most_ms &&
		    p->generation + OLD_GENERATIONS < s->generation)
			p->leave_ms = most_ms;
	}
	takeover_say(s, HANDOVER_AGED); /* its children are older still */
}

void children_expire(struct supervisor *s)
{
	for (uint32_t i = 0; i < PROCESS_MAX; i++) {
		struct process *p = &s->processes.entries[i];

		if (p->state != PROCESS_LEAVING || !p->leave_ms ||
		    s->now_ms < p->leave_ms)
			continue;
		LOG(LOG_NOTICE, "out-of-time", log_str("child", p->name),
		    log_u64("pid", (uint64_t)p->pid));
		dismiss(s, p, WORKER_COMMAND_DRAIN);
	}
}

void children_retire_older(struct supervisor *s)
{
	for (uint32_t i = 0; i < PROCESS_MAX; i++) {
		struct process *p = &s->processes.entries[i];

		if (p->state == PROCESS_FREE || p->state == PROCESS_LEAVING ||
		    p->generation == s->generation)
			continue;
		if (p->kind == PROCESS_RELAY) {
			/* No sessions to finish, and the next waits for it. */
			dismiss(s, p, WORKER_COMMAND_DRAIN);
			continue;
		}
		dismiss(s, p, WORKER_COMMAND_RETIRE);
		p->leave_ms = s->now_ms +
			      s->assets->config->timeouts.retire * 1000ull;
	}
}

void children_drain(struct supervisor *s)
{
	for (uint32_t i = 0; i < PROCESS_MAX; i++)
		if (s->processes.entries[i].state != PROCESS_FREE)
			dismiss(s, &s->processes.entries[i],
				WORKER_COMMAND_DRAIN);
}

void children_kill(struct supervisor *s)
{
	for (uint32_t i = 0; i < PROCESS_MAX; i++)
		if (s->processes.entries[i].pid > 0)
			(void)kill(s->processes.entries[i].pid, SIGKILL);
}
