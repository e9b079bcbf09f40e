#include "super/supervisor.h"

#include "super/supervisor_inside.h"

#include "base/clock.h"
#include "ring/ring.h"
#include "super/ktls.h"
#include "super/lanes.h"
#include "super/lockfile.h"
#include "super/notify.h"
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
#define WAIT_MOST_MS     60000
#define OWN_FDS          5 /* polled, the control socket's apart */

enum log_format supervisor_log_format(const struct supervisor *s)
{
	return s->options->log_format_given ? s->options->log_format :
					      s->assets->config->log_format;
}

void supervisor_log_lines(enum log_level level, const char *event,
			  const struct buf *lines)
{
	struct span rest = buf_span(lines);

	while (rest.len) {
		size_t n = span_find(rest, '\n');

		LOG(level, event, log_span("mistake", span_head(rest, n)));
		rest = span_tail(rest, n < rest.len ? n + 1 : n);
	}
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

/*
 * A predecessor with sessions left is told, too, and so is a successor that is
 * not ready: nobody who starts us again shall meet them.
 */
void supervisor_drain(struct supervisor *s)
{
	takeover_say(s, HANDOVER_DRAIN);
	upgrade_hurry(s);
	if (s->state == SUPERVISOR_DRAINING) {
		s->kill_ms = s->now_ms; /* asked twice: now */
		return;
	}
	s->state = SUPERVISOR_DRAINING;
	s->kill_ms = s->now_ms + KILL_AFTER_MS +
		     s->assets->config->timeouts.drain * 1000ull;
	LOG_PLAIN(LOG_NOTICE, "draining");
	if (s->settled)
		notify_send("STOPPING=1");
	children_drain(s);
}

static void kill_late(struct supervisor *s)
{
	if (s->state != SUPERVISOR_DRAINING || s->now_ms < s->kill_ms)
		return;
	s->kill_ms = s->now_ms + KILL_AFTER_MS;
	if (!process_count(&s->processes))
		return;
	LOG_PLAIN(LOG_WARNING, "killing-late-children");
	children_kill(s);
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
		case SIGUSR2: (void)upgrade_begin(s, NULL, &errors); break;
		case SIGTERM:
		case SIGINT: supervisor_drain(s); break;
		default: break;
		}
	}
}

static uint64_t until(const struct supervisor *s, uint64_t then_ms)
{
	return then_ms > s->now_ms ? then_ms - s->now_ms : 0;
}

static bool upgrade_is_pending(const struct supervisor *s)
{
	return s->upgrade.state == UPGRADE_WAITING ||
	       s->upgrade.state == UPGRADE_ENDING;
}

static int wait_ms(const struct supervisor *s)
{
	uint64_t most = until(s, s->rotate_ms);
	uint32_t start = process_wait_ms(&s->processes, s->now_ms);
	int control = s->has_control ?
			      control_timeout_ms(&s->control, s->now_ms) :
			      -1;

	/* Only the one that runs rotates keys. */
	if (s->state == SUPERVISOR_DRAINING)
		most = until(s, s->kill_ms);
	else if (s->state != SUPERVISOR_RUNNING)
		most = WAIT_MOST_MS;
	if (s->state != SUPERVISOR_DRAINING && start < most)
		most = start;
	if (upgrade_is_pending(s) && until(s, s->upgrade.deadline_ms) < most)
		most = until(s, s->upgrade.deadline_ms);
	if (control >= 0 && (uint64_t)control < most)
		most = (uint64_t)control;
	return (int)(most < WAIT_MOST_MS ? most : WAIT_MOST_MS);
}

static void rotate_tickets(struct supervisor *s)
{
	if (s->state != SUPERVISOR_RUNNING || s->now_ms < s->rotate_ms)
		return;
	s->rotate_ms = s->now_ms + TICKET_ROTATE_MS;
	if (ticket_keys_rotate(&s->shared.common->ticket_keys))
		LOG_PLAIN(LOG_ERROR, "ticket-keys-not-rotated");
}

static void notify_when_serving(struct supervisor *s)
{
	if (s->notified || s->state != SUPERVISOR_RUNNING || !children_serve(s))
		return;
	s->notified = true;
	notify_send("READY=1");
	LOG_PLAIN(LOG_NOTICE, "ready");
}

/* What has happened, the control socket apart. */
static void take_note(struct supervisor *s)
{
	s->now_ms = clock_ms();
	children_hear(s);
	on_signals(s);
	upgrade_hear(s);
	takeover_hear(s);
	takeover_step(s);
	notify_when_serving(s);
}

static void turn(struct supervisor *s)
{
	struct pollfd fds[OWN_FDS + PROCESS_MAX + CONTROL_FDS] = {
		{ .fd = s->signal_fd, .events = POLLIN },
		{ .fd = s->serving_fds[0], .events = POLLIN },
		{ .fd = s->upgrade.fd, .events = POLLIN },
		{ .fd = s->takeover.fd, .events = POLLIN },
		{ .fd = s->guard.fds[0], .events = POLLIN },
	};
	struct pollfd *children = fds + OWN_FDS;
	struct pollfd *operators = children + PROCESS_MAX;
	bool heard = s->has_control && s->state != SUPERVISOR_ARRIVING;
	nfds_t n = OWN_FDS + PROCESS_MAX;

	census_poll(&s->processes, children);
	if (heard) {
		control_poll(&s->control, operators);
		n += CONTROL_FDS;
	}
	(void)log_flush();
	(void)poll(fds, n, wait_ms(s));
	take_note(s);
	census_serve(&s->census, &s->processes, children);
	if (heard && s->has_control)
		control_ready(&s->control, operators, s->now_ms);
	guard_turn(&s->guard, s->assets->config, s->now_ms);
	operator_serve(s);
	rotate_tickets(s);
	children_expire(s);
	upgrade_expire(s);
	kill_late(s);
	if (s->state == SUPERVISOR_RUNNING || s->state == SUPERVISOR_ARRIVING)
		children_start_due(s);
}

/* Start */

static int take_lock(struct supervisor *s, struct buf *errors)
{
	const char *path = s->assets->config->pid_file;
	pid_t owner = 0;
	int fd;

	if (!path || s->lock_fd >= 0)
		return 0;
	fd = lockfile_take(path, &owner);
	if (fd >= 0) {
		s->lock_fd = fd;
		return 0;
	}
	if (fd == -EEXIST)
		buf_printf(errors,
			   "sluiced: already running as process %d, which "
			   "holds %s: stop it first\n",
			   (int)owner, path);
	else
		buf_printf(errors,
			   "sluiced: cannot write the pid file %s: %s\n", path,
			   strerrordesc_np(-fd));
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
	(void)sigaddset(&set, SIGUSR2);
	(void)signal(SIGPIPE, SIG_IGN);
	if (sigprocmask(SIG_BLOCK, &set, NULL))
		return -errno;
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* Workers cannot do without: better said now than by each of them. */
static int probe_ring(struct buf *errors)
{
	struct ring ring;
	int result = ring_init(&ring, 8);

	if (result)
		buf_printf(errors, "sluiced: %s: %s\n",
			   strerrordesc_np(-result), ring_explain(result));
	else
		ring_fini(&ring);
	return result;
}

int supervisor_feed(struct supervisor *s)
{
	const struct config *config = s->assets->config;
	int result = lanes_feed(s->steer, config, &s->sockets);
	int shielded = guard_apply(&s->guard, config, &s->sockets);

	return result ? result : shielded;
}

/* What the configuration asks of this machine; `errors` says what fails. */
static int prepare(struct supervisor *s, struct buf *errors)
{
	const struct config *config = s->assets->config;
	const bool takes_over = s->takeover.fd >= 0;
	int result = take_lock(s, errors);

	if (!s->workers)
		s->workers = assets_workers(config);
	if (!result)
		result = ktls_prepare(config, errors);
	if (!result)
		result = assets_open_directories(s->assets, errors);
	if (!result)
		result = guard_open(&s->guard, config, &s->takeover.shield,
				    errors);
	if (!result)
		result = lanes_open(config, &s->takeover.steer, &s->steer,
				    errors);
	if (!result) {
		s->sockets.reach = lanes_reach(s->steer);
		s->sockets.patient = !takes_over;
		result = sockets_bind(&s->sockets, config, s->workers, errors);
		s->sockets.patient = false;
	}
	/* What the old one feeds is fed by us once we are ready. */
	if (!result && !takes_over)
		result = supervisor_feed(s);
	if (!result)
		result = operator_open(s, errors);
	return result;
}

/* What needs no configuration, and what a predecessor has already. */
static int open_own(struct supervisor *s, struct buf *errors)
{
	int result = program_find(s->options->called, s->program);

	s->signal_fd = take_signals();
	if (!result &&
	    (s->signal_fd < 0 || pipe2(s->serving_fds, O_CLOEXEC | O_NONBLOCK)))
		result = -errno;
	if (!result && s->takeover.fd < 0) {
		result = shared_open(&s->shared);
		s->relay_doorbell = eventfd(0, EFD_CLOEXEC);
		if (!result && s->relay_doorbell < 0)
			result = -errno;
	}
	if (result)
		buf_printf(errors,
			   "sluiced: no memory or descriptors to start: %s\n",
			   strerrordesc_np(-result));
	return result;
}

/* Everything that can fail before the first fork. */
static int start(struct supervisor *s, struct buf *errors)
{
	const bool takes_over = s->takeover.fd >= 0;
	int result;

	if (takes_over && !welcome_receive(s, errors))
		return -EPROTO;
	result = probe_ring(errors);
	if (!result)
		result = open_own(s, errors);
	if (result)
		return result;
	s->assets = assets_open(s->options->config_file,
				&s->shared.common->ticket_keys, errors);
	if (!s->assets)
		return -EINVAL;
	if (takes_over && !welcome_allows(s, s->assets->config, errors))
		return -EINVAL;
	log_setup(s->assets->config->log_level, supervisor_log_format(s),
		  "supervisor");
	return prepare(s, errors);
}

static bool begin_generation(struct supervisor *s, struct buf *errors)
{
	if (children_begin_generation(s))
		return true;
	buf_put_str(errors, "older generations still have sessions: wait, or "
			    "restart\n");
	return false;
}

/* What was wrong goes to whoever asked for us; that may be nobody but stderr. */
static bool begin(struct supervisor *s)
{
	struct buf errors;
	bool begun;

	buf_init(&errors, s->errors, sizeof(s->errors));
	begun = !start(s, &errors) && begin_generation(s, &errors);
	(void)log_flush(); /* what led to the errors stands before them */
	if (!begun && s->takeover.fd >= 0)
		takeover_refuse(s, buf_span(&errors));
	else
		print_errors(&errors); /* mistakes, or warnings */
	return begun;
}

static struct supervisor *supervisor_new(const struct supervisor_options *o)
{
	struct supervisor *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->options = o;
	s->now_ms = clock_ms();
	s->rotate_ms = s->now_ms + TICKET_ROTATE_MS;
	s->started_s = clock_unix_s();
	census_init(&s->census);
	s->lock_fd = -1;
	s->upgrade.fd = s->upgrade.program.pidfd = -1;
	s->takeover.fd = o->take_over;
	s->takeover.control_fd = -1;
	s->state = o->take_over < 0 ? SUPERVISOR_RUNNING : SUPERVISOR_ARRIVING;
	s->settled = o->take_over < 0;
	return s;
}

/* I3; who never served is waited for, and must not wait. */
static bool goes_on(const struct supervisor *s)
{
	bool waits = s->takeover.fd >= 0 && s->takeover.leaves_first;

	return s->state == SUPERVISOR_RUNNING ||
	       s->state == SUPERVISOR_ARRIVING ||
	       process_count(&s->processes) || waits || upgrade_is_pending(s);
}

static void leave_places(struct supervisor *s)
{
	operator_close(s);
	if (s->settled)
		lockfile_give(s->lock_fd);
}

int supervisor_run(const struct supervisor_options *options)
{
	struct supervisor *s = supervisor_new(options);

	if (!s)
		return EXIT_FAILURE;
	(void)sandbox_no_dumps();
	if (!begin(s)) {
		assets_close(s->assets);
		free(s);
		return EXIT_FAILURE;
	}
	sockets_prune(&s->sockets); /* of what was taken over, too much */
	LOG(LOG_NOTICE, "serving",
	    log_str("hostname", s->assets->config->hostname),
	    log_u64("workers", s->workers));
	children_start_due(s);
	while (goes_on(s))
		turn(s);
	LOG_PLAIN(LOG_NOTICE, "stopped");
	(void)log_flush();
	leave_places(s);
	steer_close(s->steer);
	guard_close(&s->guard);
	assets_close(s->assets);
	free(s);
	return EXIT_SUCCESS;
}
