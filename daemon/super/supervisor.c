#include "super/supervisor.h"

#include "super/supervisor_inside.h"

#include "base/clock.h"
#include "base/must.h"
#include "ring/ring.h"
#include "super/ktls.h"
#include "super/lanes.h"
#include "super/lockfile.h"
#include "super/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define TICKET_ROTATE_MS 3600000
#define KILL_AFTER_MS    5000 /* beyond timeouts.drain */

enum log_format supervisor_log_format(const struct supervisor *s)
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

int supervisor_check(const struct supervisor_options *options)
{
	uint8_t storage[SUPERVISOR_ERRORS_BYTES];
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

/* Drain */

void supervisor_drain(struct supervisor *s)
{
	if (s->state == SUPERVISOR_DRAINING) {
		s->kill_ms = s->now_ms; /* asked twice: now */
		return;
	}
	s->state = SUPERVISOR_DRAINING;
	s->kill_ms = s->now_ms + KILL_AFTER_MS +
		     s->assets->config->timeouts.drain * 1000ull;
	LOG_PLAIN(LOG_NOTICE, "draining");
	children_drain(s);
}

static void kill_late(struct supervisor *s)
{
	if (s->state != SUPERVISOR_DRAINING || s->now_ms < s->kill_ms ||
	    !process_count(&s->processes))
		return;
	LOG_PLAIN(LOG_WARNING, "killing-late-children");
	children_kill(s);
	s->kill_ms = s->now_ms + KILL_AFTER_MS;
}

/* The loop */

static void on_signals(struct supervisor *s)
{
	struct signalfd_siginfo info;
	struct buf errors;

	while (read(s->signal_fd, &info, sizeof(info)) == sizeof(info)) {
		switch ((int)info.ssi_signo) {
		case SIGCHLD: children_reap(s); break;
		case SIGHUP: reload_run(s, &errors); break;
		case SIGTERM:
		case SIGINT: supervisor_drain(s); break;
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
	if (ticket_keys_rotate(&s->shared.common->ticket_keys))
		LOG_PLAIN(LOG_ERROR, "ticket-keys-not-rotated");
}

static void turn(struct supervisor *s)
{
	struct pollfd fds[3 + PROCESS_MAX + CONTROL_FDS] = {
		{ .fd = s->signal_fd, .events = POLLIN },
		{ .fd = s->serving_fds[0], .events = POLLIN },
		{ .fd = s->guard.fds[0], .events = POLLIN },
	};
	struct pollfd *children = fds + 3;
	struct pollfd *operators = children + PROCESS_MAX;
	nfds_t n = 3 + PROCESS_MAX;

	census_poll(&s->processes, children);
	if (s->has_control) {
		control_poll(&s->control, operators);
		n += CONTROL_FDS;
	}
	(void)log_flush();
	(void)poll(fds, n, wait_ms(s));
	s->now_ms = clock_ms();
	children_hear(s);
	on_signals(s);
	census_serve(&s->census, &s->processes, children);
	if (s->has_control)
		control_ready(&s->control, operators, s->now_ms);
	guard_turn(&s->guard, s->assets->config, s->now_ms);
	operator_serve(s);
	rotate_tickets(s);
	kill_late(s);
	if (s->state == SUPERVISOR_RUNNING)
		children_start_due(s);
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
		result = guard_open(&s->guard, config, errors);
	if (!result)
		result = lanes_open(config, &s->steer, errors);
	if (!result) {
		s->sockets.reach = lanes_reach(s->steer);
		result = sockets_bind(&s->sockets, config, s->workers, errors);
	}
	if (!result)
		result = lanes_feed(s->steer, config, &s->sockets);
	if (!result)
		result = guard_apply(&s->guard, config, &s->sockets);
	if (!result)
		result = operator_open(s, errors);
	return result;
}

/* What needs no configuration. */
static int open_own(struct supervisor *s)
{
	int result = shared_open(&s->shared);

	s->relay_doorbell = eventfd(0, EFD_CLOEXEC);
	s->signal_fd = take_signals();
	if (!result && (s->relay_doorbell < 0 || s->signal_fd < 0))
		result = -EMFILE;
	if (!result && pipe2(s->serving_fds, O_CLOEXEC | O_NONBLOCK))
		result = -errno;
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
	if (open_own(s)) {
		fprintf(stderr, "sluiced: no memory or descriptors to start\n");
		return -ENOMEM;
	}
	s->assets = assets_open(s->options->config_file,
				&s->shared.common->ticket_keys, &errors);
	result = -EINVAL;
	if (s->assets) {
		log_setup(s->assets->config->log_level,
			  supervisor_log_format(s), "supervisor");
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
	s->started_s = clock_unix_s();
	census_init(&s->census);
	(void)sandbox_no_dumps();
	if (start(s)) {
		assets_close(s->assets);
		free(s);
		return EXIT_FAILURE;
	}
	LOG(LOG_NOTICE, "serving",
	    log_str("hostname", s->assets->config->hostname),
	    log_u64("workers", s->workers));
	MUST(children_begin_generation(s));
	children_start_due(s);
	while (s->state == SUPERVISOR_RUNNING || process_count(&s->processes))
		turn(s);
	LOG_PLAIN(LOG_NOTICE, "stopped");
	(void)log_flush();
	operator_close(s);
	steer_close(s->steer);
	guard_close(&s->guard);
	lockfile_give(s->lock_fd);
	assets_close(s->assets);
	free(s);
	return EXIT_SUCCESS; /* I3 */
}
