/*
 * I1  `assets` is the set of the newest generation; processes of older ones are
 *     LEAVING and are never started again.
 * I2  A reload changes nothing until everything of the new set has been loaded
 *     and bound; a mistake leaves what runs untouched.
 * I3  The supervisor leaves only when no child is left, so whoever starts it
 *     again finds the spool free.
 */
#include "super/supervisor.h"

#include "base/must.h"
#include "base/version.h"
#include "control/control.h"
#include "gateway/worker.h"
#include "super/child.h"
#include "super/ktls.h"
#include "super/lockfile.h"
#include "super/status.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ERRORS_BYTES     16384
#define TICKET_ROTATE_MS 3600000
#define KILL_AFTER_MS    5000 /* beyond timeouts.drain */
#define OLD_GENERATIONS  3    /* still finishing; older ones are drained */

enum supervisor_state { SUPERVISOR_RUNNING, SUPERVISOR_DRAINING };

struct supervisor {
	const struct supervisor_options *options;
	enum supervisor_state state;
	uint32_t generation;
	uint32_t workers;
	uint64_t now_ms;
	uint64_t rotate_ms;
	uint64_t kill_ms; /* when children that still drain are killed */
	struct assets *assets;
	struct shared *shared;
	struct sockets sockets;
	struct process_table processes;
	int signal_fd;
	int relay_doorbell;
	int lock_fd;
	bool has_control;
	struct control control;
	uint64_t started_s; /* Unix time */
	struct expose_process described[PROCESS_MAX];
	uint8_t errors[ERRORS_BYTES];
};

static uint64_t clock_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static enum log_format log_format(const struct supervisor *s)
{
	return s->options->log_format_given ? s->options->log_format :
					      s->assets->config->log_format;
}

/* One line per mistake, as a person reads them at a terminal. */
static void print_errors(const struct buf *errors)
{
	struct span text = buf_span(errors);

	(void)fwrite(text.p, 1, text.len, stderr);
}

/* The same, as events of a daemon that goes on. */
static void log_errors(enum log_level level, const char *event,
		       const struct buf *errors)
{
	struct span rest = buf_span(errors);

	while (rest.len) {
		size_t n = span_find(rest, '\n');

		LOG(level, event, log_span("mistake", span_head(rest, n)));
		rest = span_tail(rest, n < rest.len ? n + 1 : n);
	}
}

int supervisor_check(const struct supervisor_options *options)
{
	uint8_t storage[ERRORS_BYTES];
	struct ticket_keys keys = { 0 };
	struct buf errors;
	struct assets *a;

	buf_init(&errors, storage, sizeof(storage));
	a = assets_open(options->config_file, &keys, &errors);
	print_errors(&errors);
	if (!a)
		return EXIT_FAILURE;
	assets_close(a);
	printf("%s: ok\n", options->config_file);
	return EXIT_SUCCESS;
}

/* Children */

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
		.log_format = log_format(s),
	};
}

static void start_due(struct supervisor *s)
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

static bool begin_generation(struct supervisor *s)
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

static void reap(struct supervisor *s)
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
		/* The relay looks for what a dead worker left behind. */
		(void)!write(s->relay_doorbell, &one, sizeof(one));
	}
}

/* Reload */

/* Those of more than OLD_GENERATIONS ago finish with 421 now. */
static void dismiss_older(struct supervisor *s)
{
	for (uint32_t i = 0; i < PROCESS_MAX; i++) {
		struct process *p = &s->processes.entries[i];

		if (p->state == PROCESS_LEAVING &&
		    p->generation + OLD_GENERATIONS < s->generation)
			process_dismiss(p, WORKER_COMMAND_DRAIN);
	}
}

static void retire_generation(struct supervisor *s)
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

static struct assets *load(struct supervisor *s, struct buf *errors)
{
	struct assets *a = assets_open(s->options->config_file,
				       &s->shared->ticket_keys, errors);

	if (!a)
		return NULL;
	if (s->assets && config_diff(s->assets->config, a->config, errors)) {
		assets_close(a);
		return NULL;
	}
	if (ktls_prepare(a->config, errors) ||
	    assets_open_directories(a, errors) ||
	    sockets_bind(&s->sockets, a->config, s->workers, errors)) {
		assets_close(a);
		return NULL;
	}
	return a;
}

/* False with at least a line in `errors`; what ran before runs on. */
static bool reload(struct supervisor *s, struct buf *errors)
{
	struct assets *fresh;

	if (s->state != SUPERVISOR_RUNNING) {
		buf_put_str(errors, "draining: too late to reload\n");
		return false;
	}
	if (process_count(&s->processes) + s->workers + 1 > PROCESS_MAX) {
		buf_put_str(errors, "older generations still have sessions: "
				    "wait, or restart\n");
		return false;
	}
	fresh = load(s, errors); /* I2 */
	if (!fresh)
		return false;
	retire_generation(s);
	assets_close(s->assets);
	s->assets = fresh;
	MUST(begin_generation(s)); /* room was made sure of */
	dismiss_older(s);
	sockets_prune(&s->sockets);
	log_setup(fresh->config->log_level, log_format(s), "supervisor");
	return true;
}

/* On SIGHUP or by the operator's tool; the mistakes are left in s->errors. */
static bool reload_logged(struct supervisor *s, struct buf *errors)
{
	bool done;

	buf_init(errors, s->errors, sizeof(s->errors));
	done = reload(s, errors);
	log_errors(done ? LOG_WARNING : LOG_ERROR,
		   done ? "reload-warning" : "reload-refused", errors);
	if (done)
		LOG(LOG_NOTICE, "reloaded",
		    log_u64("generation", s->generation));
	return done;
}

/* Drain */

static void signal_all(struct supervisor *s, int signal)
{
	for (uint32_t i = 0; i < PROCESS_MAX; i++)
		if (s->processes.entries[i].pid > 0)
			(void)kill(s->processes.entries[i].pid, signal);
}

static void begin_drain(struct supervisor *s)
{
	if (s->state == SUPERVISOR_DRAINING) {
		s->kill_ms = s->now_ms; /* asked twice: now */
		return;
	}
	s->state = SUPERVISOR_DRAINING;
	s->kill_ms = s->now_ms + KILL_AFTER_MS +
		     s->assets->config->timeouts.drain * 1000ull;
	LOG_PLAIN(LOG_NOTICE, "draining");
	for (uint32_t i = 0; i < PROCESS_MAX; i++)
		if (s->processes.entries[i].state != PROCESS_FREE)
			process_dismiss(&s->processes.entries[i],
					WORKER_COMMAND_DRAIN);
}

static void kill_late(struct supervisor *s)
{
	if (s->state != SUPERVISOR_DRAINING || s->now_ms < s->kill_ms ||
	    !process_count(&s->processes))
		return;
	LOG_PLAIN(LOG_WARNING, "killing-late-children");
	signal_all(s, SIGKILL);
	s->kill_ms = s->now_ms + KILL_AFTER_MS;
}

/* The operator's tool */

static uint64_t unix_time_s(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec;
}

static struct expose_status describe(struct supervisor *s)
{
	struct status_clock clock = { s->now_ms, unix_time_s() };
	struct expose_status status =
		status_describe(&s->processes, s->shared, clock, s->described);

	status.version = SLUICE_VERSION;
	status.generation = s->generation;
	status.started_s = s->started_s;
	return status;
}

static void serve_request(struct supervisor *s,
			  const struct control_request *request)
{
	struct expose_status status = describe(s);
	struct buf errors;

	switch (request->verb) {
	case CONTROL_STATUS: expose_text(&status, request->answer); break;
	case CONTROL_STATUS_JSON: expose_json(&status, request->answer); break;
	case CONTROL_METRICS: expose_metrics(&status, request->answer); break;
	case CONTROL_RELOAD:
		if (!reload_logged(s, &errors)) {
			buf_put_byte(&errors, '\0');
			control_refuse(request, (const char *)errors.p);
		}
		break;
	case CONTROL_STOP: begin_drain(s); break;
	case CONTROL_LOG_LEVEL:
		log_setup(request->log_level, log_format(s), "supervisor");
		break;
	}
}

static void serve_requests(struct supervisor *s)
{
	struct control_request request;

	while (s->has_control && control_next(&s->control, &request)) {
		serve_request(s, &request);
		control_answer(&s->control, &request, s->now_ms);
	}
}

static int open_control(struct supervisor *s, struct buf *errors)
{
	const struct config *config = s->assets->config;
	int result;

	if (!config->control)
		return 0;
	result = control_open(&s->control, config->control, s->assets->user.uid,
			      s->assets->user.gid);
	if (result)
		buf_printf(errors, "%s: control socket %s: %s\n", config->file,
			   config->control, strerrordesc_np(-result));
	s->has_control = !result;
	return result;
}

/* The loop */

static void on_signals(struct supervisor *s)
{
	struct signalfd_siginfo info;
	struct buf errors;

	while (read(s->signal_fd, &info, sizeof(info)) == sizeof(info)) {
		switch ((int)info.ssi_signo) {
		case SIGCHLD: reap(s); break;
		case SIGHUP: reload_logged(s, &errors); break;
		case SIGTERM:
		case SIGINT: begin_drain(s); break;
		default: break;
		}
	}
}

static int wait_ms(const struct supervisor *s)
{
	uint64_t most = s->rotate_ms > s->now_ms ? s->rotate_ms - s->now_ms : 0;
	uint32_t start = process_wait_ms(&s->processes, s->now_ms);
	int control = s->has_control ?
			      control_timeout_ms(&s->control, s->now_ms) :
			      -1;

	if (s->state == SUPERVISOR_DRAINING)
		most = s->kill_ms > s->now_ms ? s->kill_ms - s->now_ms : 0;
	else if (start < most)
		most = start;
	if (control >= 0 && (uint64_t)control < most)
		most = (uint64_t)control;
	return (int)(most < 60000 ? most : 60000);
}

static void rotate_tickets(struct supervisor *s)
{
	if (s->now_ms < s->rotate_ms)
		return;
	s->rotate_ms = s->now_ms + TICKET_ROTATE_MS;
	if (ticket_keys_rotate(&s->shared->ticket_keys))
		LOG_PLAIN(LOG_ERROR, "ticket-keys-not-rotated");
}

static void turn(struct supervisor *s)
{
	struct pollfd fds[1 + CONTROL_FDS] = { { .fd = s->signal_fd,
						 .events = POLLIN } };
	nfds_t n = 1;

	if (s->has_control) {
		control_poll(&s->control, fds + 1);
		n += CONTROL_FDS;
	}
	(void)log_flush();
	(void)poll(fds, n, wait_ms(s));
	s->now_ms = clock_ms();
	on_signals(s);
	if (s->has_control)
		control_ready(&s->control, fds + 1, s->now_ms);
	serve_requests(s);
	rotate_tickets(s);
	kill_late(s);
	if (s->state == SUPERVISOR_RUNNING)
		start_due(s);
}

/* Start */

static int take_lock(struct supervisor *s)
{
	const char *path = s->assets->config->pid_file;
	pid_t owner = 0;
	int fd;

	s->lock_fd = -1;
	if (!path)
		return 0;
	fd = lockfile_take(path, &owner);
	if (fd >= 0) {
		s->lock_fd = fd;
		return 0;
	}
	if (fd == -EEXIST)
		fprintf(stderr,
			"sluiced: already running as process %d, which holds "
			"%s: stop it first\n",
			(int)owner, path);
	else
		fprintf(stderr, "sluiced: cannot write the pid file %s: %s\n",
			path, strerrordesc_np(-fd));
	return fd;
}

static int take_signals(void)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGCHLD);
	(void)sigaddset(&set, SIGHUP);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)signal(SIGPIPE, SIG_IGN);
	if (sigprocmask(SIG_BLOCK, &set, NULL))
		return -errno;
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* Workers cannot do without: better said now than by each of them. */
static int probe_ring(void)
{
	struct ring ring;
	int result = ring_init(&ring, 8);

	if (result)
		fprintf(stderr, "sluiced: %s: %s\n", strerrordesc_np(-result),
			ring_explain(result));
	else
		ring_fini(&ring);
	return result;
}

/* What the configuration asks of this machine; `errors` says what fails. */
static int prepare(struct supervisor *s, struct buf *errors)
{
	const struct config *config = s->assets->config;
	int result = take_lock(s);

	s->workers = assets_workers(config);
	if (!result)
		result = ktls_prepare(config, errors);
	if (!result)
		result = assets_open_directories(s->assets, errors);
	if (!result)
		result = sockets_bind(&s->sockets, config, s->workers, errors);
	if (!result)
		result = open_control(s, errors);
	return result;
}

/* Everything that can fail before the first fork; prints why. */
static int start(struct supervisor *s)
{
	struct buf errors;
	int result = probe_ring();

	if (result)
		return result;
	buf_init(&errors, s->errors, sizeof(s->errors));
	s->shared = shared_open();
	s->relay_doorbell = eventfd(0, EFD_CLOEXEC);
	s->signal_fd = take_signals();
	if (!s->shared || s->relay_doorbell < 0 || s->signal_fd < 0) {
		fprintf(stderr, "sluiced: no memory or descriptors to start\n");
		return -ENOMEM;
	}
	s->assets = assets_open(s->options->config_file,
				&s->shared->ticket_keys, &errors);
	result = -EINVAL;
	if (s->assets) {
		log_setup(s->assets->config->log_level, log_format(s),
			  "supervisor");
		result = prepare(s, &errors);
	}
	print_errors(&errors); /* mistakes, or warnings */
	return result;
}

int supervisor_run(const struct supervisor_options *options)
{
	struct supervisor *s = calloc(1, sizeof(*s));

	if (!s)
		return EXIT_FAILURE;
	s->options = options;
	s->now_ms = clock_ms();
	s->rotate_ms = s->now_ms + TICKET_ROTATE_MS;
	s->started_s = unix_time_s();
	(void)sandbox_no_dumps();
	if (start(s)) {
		assets_close(s->assets);
		free(s);
		return EXIT_FAILURE;
	}
	LOG(LOG_NOTICE, "serving",
	    log_str("hostname", s->assets->config->hostname),
	    log_u64("workers", s->workers));
	MUST(begin_generation(s));
	start_due(s);
	while (s->state == SUPERVISOR_RUNNING || process_count(&s->processes))
		turn(s);
	LOG_PLAIN(LOG_NOTICE, "stopped");
	(void)log_flush();
	if (s->has_control) {
		control_remove(&s->control);
		control_close(&s->control);
	}
	lockfile_give(s->lock_fd);
	assets_close(s->assets);
	free(s);
	return EXIT_SUCCESS; /* I3 */
}
