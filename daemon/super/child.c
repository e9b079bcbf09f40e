#include "super/child.h"

#include "base/must.h"
#include "config/lane.h"
#include "gateway/worker.h"
#include "relay/runner.h"
#include "super/confine.h"
#include "super/forbid.h"
#include "super/nic.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* Descriptors a worker needs besides its sessions. */
#define SPARE_DESCRIPTORS 512

/* Both ends of what a child and the supervisor talk over; [0] is the child's. */
struct lines {
	int command[2];
	int census[2]; /* -1: no configuration needs it */
};

/* Pipes of siblings must go, or the supervisor's death would not close them. */
static void close_what_is_not_ours(const struct child_world *world,
				   const struct process *p)
{
	for (uint32_t i = 0; i < PROCESS_MAX; i++) {
		const struct process *sibling = &world->processes->entries[i];

		if (sibling->state == PROCESS_FREE)
			continue;
		if (sibling->command_fd >= 0)
			(void)close(sibling->command_fd);
		if (sibling->census_fd >= 0)
			(void)close(sibling->census_fd);
	}
	for (uint32_t i = 0; i < world->private_fds_n; i++)
		if (world->private_fds[i] >= 0)
			(void)close(world->private_fds[i]);
	if (world->control)
		control_close(world->control);
	steer_close(world->steer);
	guard_close(world->guard);
	if (world->guard->fds[0] >= 0)
		(void)close(world->guard->fds[0]);
	sockets_close_but(world->sockets, p->kind == PROCESS_GATEWAY ?
						  p->index :
						  SOCKETS_NO_WORKER);
}

/* Threads that the worker starts later stay there, too. */
static void bind_to_cpu(const struct config *config, uint32_t worker)
{
	uint32_t number = lane_of_worker(config, worker);
	const struct config_lane *lane = &config->lanes[number];
	cpu_set_t cpus;
	uint32_t place;

	if (!config->lanes_n || !lane->cpus_n)
		return;
	place = (worker - lane_first_worker(config, number)) % lane->cpus_n;
	CPU_ZERO(&cpus);
	CPU_SET(lane->cpus[place], &cpus);
	if (sched_setaffinity(0, sizeof(cpus), &cpus))
		LOG(LOG_WARNING, "not-bound-to-processor", log_errno(-errno),
		    log_u64("processor", lane->cpus[place]));
}

static int run_gateway(const struct child_world *world, const struct process *p,
		       const struct lines *lines)
{
	const struct assets *a = world->assets;
	const uint32_t lane = lane_of_worker(a->config, p->index);
	uint32_t slot = process_slot(world->processes, p);
	struct worker_options options;

	options = (struct worker_options){
		.config = a->config,
		.slot = slot,
		.lane = lane_name(a->config, lane),
		.limits = lane_limits(a->config, lane),
		.load = world->load,
		.is_shielded = world->guard->fds[1] >= 0,
		.offence_fd = world->guard->fds[1],
		.users = a->users,
		.access = a->access,
		.segments_dir = a->segments_dir,
		.files_dir = a->files_dir,
		.command_fd = lines->command[0],
		.census_fd = lines->census[0],
		.doorbell_fd = world->relay_doorbell,
		.serving_fd = world->serving_fd,
		.board = &world->shared->common->board[slot],
		.metrics = &world->shared->metrics->blocks[slot],
		.tally = &world->shared->metrics->tallies[slot],
	};
	for (uint32_t i = 0; i < world->sockets->n; i++) {
		const struct sockets_entry *e = &world->sockets->entries[i];

		if (options.sockets_n == WORKER_LISTENERS_MAX)
			return EXIT_FAILURE;
		options.sockets[options.sockets_n++] = (struct worker_socket){
			.fd = e->fd,
			.config = &a->config->listeners[e->listener],
			.creds = a->listener_creds[e->listener],
		};
	}
	bind_to_cpu(a->config, p->index);
	return worker_run(&options);
}

static int run_relay(const struct child_world *world, const struct process *p,
		     const struct lines *lines)
{
	const struct assets *a = world->assets;
	uint32_t slot = process_slot(world->processes, p);
	struct runner_options options = {
		.config = a->config,
		.segments_dir = a->segments_dir,
		.files_dir = a->files_dir,
		.journal_dir = a->journal_dir,
		.doorbell_fd = world->relay_doorbell,
		.command_fd = lines->command[0],
		.census_fd = lines->census[0],
		.board = world->shared->common->board,
		.board_n = PROCESS_MAX,
		.metrics = &world->shared->metrics->blocks[slot],
	};

	for (uint32_t i = 0; i < CONFIG_ROUTES_MAX; i++)
		options.routes[i] = (struct runner_route){
			.tmp_dir = a->maildirs[i].tmp_dir,
			.new_dir = a->maildirs[i].new_dir,
			.creds = a->route_creds[i],
		};
	return runner_run(&options);
}

/*
 * What a worker may reach of the file system: the spool, and for the relay the
 * Maildirs and what names of next hops are resolved with.
 */
static int confine(const struct assets *a, enum process_kind kind)
{
	static const char *const resolving[] = {
		"/etc",
		"/lib",
		"/usr/lib",
		"/run/systemd/resolve",
	};
	int writable[3 + 2 * CONFIG_ROUTES_MAX] = {
		a->segments_dir,
		a->files_dir,
		a->journal_dir,
	};
	struct confine_rules rules = { .writable = writable, .writable_n = 3 };

	if (kind == PROCESS_GATEWAY) {
		rules.no_connect = true;
		return confine_apply(&rules);
	}
	for (uint32_t i = 0; i < CONFIG_ROUTES_MAX; i++) {
		writable[rules.writable_n++] = a->maildirs[i].tmp_dir;
		writable[rules.writable_n++] = a->maildirs[i].new_dir;
	}
	rules.readable = resolving;
	rules.readable_n = sizeof(resolving) / sizeof(resolving[0]);
	return confine_apply(&rules);
}

static void report_sandbox(int error)
{
	LOG(LOG_ERROR, "sandbox", log_errno(error),
	    log_str("cure", "run as root with `user` set, or as that user"));
	(void)log_flush();
}

_Noreturn static void child_main(struct child_world *world,
				 const struct process *p,
				 const struct lines *lines)
{
	const struct config *config = world->assets->config;
	struct config_limits limits =
		lane_limits(config, p->kind == PROCESS_GATEWAY ?
					    lane_of_worker(config, p->index) :
					    CONFIG_LANES_MAX);
	sigset_t none;
	int result;

	log_setup(config->log_level, world->log_format, p->name);
	if (!shared_hold(world->shared, process_slot(world->processes, p),
			 world->owner))
		_exit(EXIT_FAILURE);
	if (p->kind == PROCESS_GATEWAY)
		world->load = steer_load(world->steer, p->index);
	close_what_is_not_ours(world, p);
	sandbox_raise_limits((uint64_t)limits.sessions + limits.messages +
			     SPARE_DESCRIPTORS);
	result = sandbox_enter(world->assets->user);
	if (result) {
		report_sandbox(result);
		_exit(EXIT_FAILURE);
	}
	result = confine(world->assets, p->kind);
	if (result)
		LOG(LOG_NOTICE, "not-confined", log_errno(result),
		    log_str("cure", "enable Landlock (lsm=landlock,...)"));
	result = forbid_apply();
	if (result)
		LOG(LOG_NOTICE, "no-seccomp", log_errno(result),
		    log_str("cure", "use a kernel with CONFIG_SECCOMP_FILTER"));
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	if (p->kind == PROCESS_GATEWAY) {
		result = run_gateway(world, p, lines);
	} else {
		(void)close(world->serving_fd);
		result = run_relay(world, p, lines);
	}
	(void)log_flush();
	_exit(result);
}

static void hang_up(const int ends[2])
{
	for (int i = 0; i < 2; i++)
		if (ends[i] >= 0)
			(void)close(ends[i]);
}

static int open_lines(const struct config *config, struct lines *ret)
{
	struct lines l = { .census = { -1, -1 } };
	int error;

	if (pipe2(l.command, O_CLOEXEC))
		return -errno;
	if (nic_is_wanted(config) &&
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, l.census)) {
		error = -errno;
		hang_up(l.command);
		return error;
	}
	*ret = l;
	return 0;
}

int child_start(struct child_world *world, struct process *p, uint64_t now_ms)
{
	struct lines lines = { { -1, -1 }, { -1, -1 } };
	int error = open_lines(world->assets->config, &lines);
	pid_t pid;

	if (error) {
		p->start_ms = now_ms + 1000;
		return error;
	}
	(void)log_flush(); /* or the child would write our lines again */
	pid = fork();
	if (pid == 0) {
		(void)close(lines.command[1]);
		if (lines.census[1] >= 0)
			(void)close(lines.census[1]);
		child_main(world, p, &lines);
	}
	error = -errno;
	if (pid < 0) {
		hang_up(lines.command);
		hang_up(lines.census);
		p->start_ms = now_ms + 1000;
		return error;
	}
	(void)close(lines.command[0]);
	if (lines.census[0] >= 0)
		(void)close(lines.census[0]);
	process_started(p, pid, lines.command[1], now_ms);
	p->census_fd = lines.census[1];
	return 0;
}
