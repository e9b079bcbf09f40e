#include "super/child.h"

#include "base/must.h"
#include "gateway/worker.h"
#include "relay/runner.h"
#include "super/confine.h"
#include "super/forbid.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

/* Descriptors a worker needs besides its sessions. */
#define SPARE_DESCRIPTORS 512

/* Pipes of siblings must go, or the supervisor's death would not close them. */
static void close_what_is_not_ours(const struct child_world *world,
				   const struct process *p)
{
	for (uint32_t i = 0; i < PROCESS_MAX; i++)
		if (world->processes->entries[i].command_fd >= 0 &&
		    world->processes->entries[i].state != PROCESS_FREE)
			(void)close(world->processes->entries[i].command_fd);
	for (uint32_t i = 0; i < world->private_fds_n; i++)
		if (world->private_fds[i] >= 0)
			(void)close(world->private_fds[i]);
	if (world->control)
		control_close(world->control);
	sockets_close_but(world->sockets, p->kind == PROCESS_GATEWAY ?
						  p->index :
						  SOCKETS_NO_WORKER);
}

static int run_gateway(const struct child_world *world, const struct process *p,
		       int command_fd)
{
	const struct assets *a = world->assets;
	uint32_t slot = process_slot(world->processes, p);
	struct worker_options options;

	options = (struct worker_options){
		.config = a->config,
		.slot = slot,
		.users = a->users,
		.access = a->access,
		.segments_dir = a->segments_dir,
		.files_dir = a->files_dir,
		.command_fd = command_fd,
		.doorbell_fd = world->relay_doorbell,
		.serving_fd = world->serving_fd,
		.board = &world->shared->common->board[slot],
		.metrics = &world->shared->metrics->blocks[slot],
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
	return worker_run(&options);
}

static int run_relay(const struct child_world *world, const struct process *p,
		     int command_fd)
{
	const struct assets *a = world->assets;
	uint32_t slot = process_slot(world->processes, p);
	struct runner_options options = {
		.config = a->config,
		.segments_dir = a->segments_dir,
		.files_dir = a->files_dir,
		.journal_dir = a->journal_dir,
		.doorbell_fd = world->relay_doorbell,
		.command_fd = command_fd,
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

_Noreturn static void child_main(const struct child_world *world,
				 const struct process *p, int command_fd)
{
	const struct config *config = world->assets->config;
	sigset_t none;
	int result;

	log_setup(config->log_level, world->log_format, p->name);
	if (!shared_hold(world->shared, process_slot(world->processes, p),
			 world->owner))
		_exit(EXIT_FAILURE);
	close_what_is_not_ours(world, p);
	sandbox_raise_limits((uint64_t)config->limits.sessions +
			     config->limits.messages + SPARE_DESCRIPTORS);
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
		result = run_gateway(world, p, command_fd);
	} else {
		(void)close(world->serving_fd);
		result = run_relay(world, p, command_fd);
	}
	(void)log_flush();
	_exit(result);
}

int child_start(const struct child_world *world, struct process *p,
		uint64_t now_ms)
{
	int pipe_fds[2];
	int error;
	pid_t pid;

	if (pipe2(pipe_fds, O_CLOEXEC)) {
		error = -errno;
		p->start_ms = now_ms + 1000;
		return error;
	}
	(void)log_flush(); /* or the child would write our lines again */
	pid = fork();
	if (pid == 0) {
		(void)close(pipe_fds[1]);
		child_main(world, p, pipe_fds[0]);
	}
	error = -errno;
	(void)close(pipe_fds[0]);
	if (pid < 0) {
		(void)close(pipe_fds[1]);
		p->start_ms = now_ms + 1000;
		return error;
	}
	process_started(p, pid, pipe_fds[1], now_ms);
	return 0;
}
