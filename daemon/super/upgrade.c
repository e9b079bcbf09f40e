/*
 * The side of the one that is taken over from. Until the new program has said
 * that it is ready, nothing here changes: whatever goes wrong, we go on.
 *
 *   NONE --started--> WAITING --READY--> DONE
 *    ^                   |
 *    |                   | REFUSED, too late, we drain
 *    |                   v
 *    +------gone------ ENDING
 */
#include "super/supervisor_inside.h"

#include "super/lockfile.h"
#include "super/notify.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#define PACKETS_PER_TURN 16
/* Less than the patience of whoever asks over the control socket. */
#define UPGRADE_PATIENCE_MS 25000
/* For a new program to leave when we must: its workers end by themselves. */
#define LEAVE_PATIENCE_MS 5000

static void set_state(struct upgrade *u, enum upgrade_state state)
{
	u->state = state;
}

int upgrade_send(int fd, const struct handover *h, const struct passing *with)
{
	uint8_t storage[HANDOVER_BYTES];
	struct buf packet;

	buf_init(&packet, storage, sizeof(storage));
	handover_put(&packet, h);
	return packet.overflowed ? -EMSGSIZE :
				   passing_send(fd, buf_span(&packet), with);
}

int upgrade_say(int fd, enum handover_kind kind)
{
	struct handover h = { .kind = kind };

	return upgrade_send(fd, &h, NULL);
}

/* Start */

static int start_program(struct supervisor *s, const char *path)
{
	char name[] = "sluiced", config[] = "-c", take_over[] = "--take-over";
	char log[] = "--log", json[] = "json", text[] = "text";
	char file[PATH_MAX], fd[12];
	char *arguments[] = { name, config, file, take_over,
			      fd,   NULL,   NULL, NULL };
	int pair[2];
	int result;

	(void)snprintf(file, sizeof(file), "%s", s->options->config_file);
	(void)snprintf(fd, sizeof(fd), "%d", PROGRAM_FD);
	if (s->options->log_format_given) {
		arguments[5] = log;
		arguments[6] = s->options->log_format == LOG_JSON ? json : text;
	}
	result = passing_open(pair);
	if (result)
		return result;
	s->upgrade.program = (struct program){ .path = path,
					       .arguments = arguments,
					       .fd = pair[1] };
	(void)log_flush();
	result = program_start(&s->upgrade.program);
	(void)close(pair[1]);
	if (result)
		(void)close(pair[0]);
	else
		s->upgrade.fd = pair[0];
	return result;
}

static void leave_pair(struct upgrade *u)
{
	(void)close(u->fd);
	u->fd = -1;
	if (u->program.pidfd >= 0)
		(void)close(u->program.pidfd);
	u->program.pidfd = -1;
}

/* A failure before it is ready. */
static void end(struct supervisor *s, const char *why)
{
	struct upgrade *u = &s->upgrade;

	if (u->state != UPGRADE_WAITING)
		return;
	buf_put_str(&u->lines, why);
	set_state(u, UPGRADE_ENDING);
	/* It may have closed its end, and is gone before it hears this. */
	(void)upgrade_say(u->fd, HANDOVER_DRAIN);
}

static bool may_begin(struct supervisor *s, const char *path,
		      struct buf *errors)
{
	if (s->state != SUPERVISOR_RUNNING) {
		buf_put_str(errors, "draining: too late to upgrade\n");
		return false;
	}
	if (s->upgrade.state != UPGRADE_NONE) {
		buf_put_str(errors, "an upgrade is under way\n");
		return false;
	}
	if (getpid() == 1) {
		buf_put_str(errors, "the first process of a container cannot "
				    "leave it to another: replace the "
				    "container\n");
		return false;
	}
	return program_check(path, errors);
}

static bool begin(struct supervisor *s, const char *path, struct buf *errors)
{
	int result;

	if (!may_begin(s, path, errors))
		return false;
	result = start_program(s, path);
	if (result) {
		buf_printf(errors, "%s: cannot be started: %s\n", path,
			   strerrordesc_np(-result));
		return false;
	}
	result = welcome_say(s);
	buf_init(&s->upgrade.lines, s->upgrade.storage,
		 sizeof(s->upgrade.storage));
	s->upgrade.deadline_ms = s->now_ms + UPGRADE_PATIENCE_MS;
	set_state(&s->upgrade, UPGRADE_WAITING);
	if (result && result != -EPIPE && result != -ECONNRESET)
		end(s, "the handover could not be sent\n");
	/* Else it has left already, as we shall hear. */
	return true;
}

bool upgrade_begin(struct supervisor *s, const char *path, struct buf *errors)
{
	bool begun;

	if (!path)
		path = s->program;
	buf_init(errors, s->errors, sizeof(s->errors) - 1);
	begun = begin(s, path, errors);
	if (!begun)
		supervisor_log_lines(LOG_ERROR, "upgrade-refused", errors);
	else
		LOG(LOG_NOTICE, "upgrading", log_str("program", path),
		    log_u64("pid", (uint64_t)s->upgrade.program.pid));
	return begun;
}

/* Failure */

void upgrade_hurry(struct supervisor *s)
{
	uint64_t most_ms = s->now_ms + LEAVE_PATIENCE_MS;

	end(s, "draining: too late to upgrade\n");
	if (s->upgrade.deadline_ms > most_ms)
		s->upgrade.deadline_ms = most_ms;
}

static void hear_refused(struct supervisor *s, struct span text)
{
	buf_put(&s->upgrade.lines, text);
	end(s, "");
}

/* Steering and the shield may do already as the new one says. */
static void take_back(struct supervisor *s)
{
	for (uint32_t i = 0; i < s->sockets.n; i++) {
		struct sockets_entry *e = &s->sockets.entries[i];

		e->steered = e->shielded = false;
		if (!shield_works(s->guard.shield))
			(void)shield_detach(e->fd);
	}
	(void)supervisor_feed(s);
}

/* It is gone. Should it have come as far as the pid file, that is ours again. */
static void fail(struct supervisor *s)
{
	struct upgrade *u = &s->upgrade;

	if (u->state == UPGRADE_WAITING)
		buf_put_str(&u->lines, "the new program left, or died, before "
				       "it was ready\n");
	leave_pair(u);
	set_state(u, UPGRADE_NONE);
	take_back(s);
	if (s->lock_fd >= 0)
		(void)lockfile_renew(s->lock_fd);
	supervisor_log_lines(LOG_ERROR, "upgrade-failed", &u->lines);
	operator_upgraded(s, false);
	shared_sweep(&s->shared);
}

void upgrade_expire(struct supervisor *s)
{
	struct upgrade *u = &s->upgrade;

	if ((u->state != UPGRADE_WAITING && u->state != UPGRADE_ENDING) ||
	    s->now_ms < u->deadline_ms)
		return;
	end(s, "the new program was not ready in time: killed\n");
	program_kill(&u->program);
	u->deadline_ms = s->now_ms + UPGRADE_PATIENCE_MS;
}

/* Success */

/*
 * From here on the new one serves. What waits in the queues of our sockets is
 * its, too; our copies stay open until we leave, and are of no consequence.
 */
static void retire(struct supervisor *s)
{
	char main_pid[32];

	(void)snprintf(main_pid, sizeof(main_pid), "MAINPID=%d",
		       (int)s->upgrade.program.pid);
	notify_send(main_pid);
	set_state(&s->upgrade, UPGRADE_DONE);
	LOG(LOG_NOTICE, "retired",
	    log_u64("successor", (uint64_t)s->upgrade.program.pid));
	s->state = SUPERVISOR_RETIRED;
	s->generation++;
	steer_let_go(s->steer);
	children_retire_older(s);
	children_dismiss_older(s);
	operator_upgraded(s, true);
	operator_retire(s);
	if (s->lock_fd >= 0)
		(void)close(s->lock_fd);
	s->lock_fd = -1;
}

/* It leaves after us, and never before: it is dead. */
static void lose_successor(struct supervisor *s)
{
	leave_pair(&s->upgrade);
	if (s->state != SUPERVISOR_RETIRED)
		return;
	LOG_PLAIN(LOG_WARNING, "successor-died");
	supervisor_drain(s);
}

static void hear(struct supervisor *s, const struct handover *h)
{
	switch (h->kind) {
	case HANDOVER_READY:
		if (s->upgrade.state == UPGRADE_WAITING &&
		    s->state == SUPERVISOR_RUNNING)
			retire(s);
		break;
	case HANDOVER_REFUSED: hear_refused(s, h->text); break;
	case HANDOVER_AGED:
		if (s->upgrade.state != UPGRADE_DONE)
			break;
		s->generation++;
		children_dismiss_older(s);
		break;
	case HANDOVER_DRAIN:
		if (s->upgrade.state == UPGRADE_DONE &&
		    s->state != SUPERVISOR_DRAINING)
			supervisor_drain(s);
		break;
	case HANDOVER_WELCOME:
	case HANDOVER_SOCKETS: break;
	}
}

/* Packets until there are none; false: the other end is gone. */
static bool hear_one(struct supervisor *s, bool *ret_more)
{
	uint8_t storage[HANDOVER_BYTES];
	struct passing with = { 0 };
	struct handover h;
	struct buf packet;
	int result;

	buf_init(&packet, storage, sizeof(storage));
	result = passing_receive(s->upgrade.fd, &packet, &with);
	passing_close(&with); /* nobody hands us any */
	/* One that leaves what we sent unread resets: its last words follow. */
	*ret_more = !result || result == -ECONNRESET;
	if (result == -EAGAIN || result == -EINTR || result == -ECONNRESET)
		return true;
	if (result == -ENODATA)
		return false;
	if (!result && handover_parse(buf_span(&packet), &h) == HANDOVER_GOOD)
		hear(s, &h);
	else
		end(s, "the new program talks nonsense\n");
	return true;
}

void upgrade_hear(struct supervisor *s)
{
	bool more = true;

	for (int i = 0; i < PACKETS_PER_TURN && more && s->upgrade.fd >= 0;
	     i++) {
		if (hear_one(s, &more))
			continue;
		if (s->upgrade.state == UPGRADE_DONE)
			lose_successor(s);
		else
			fail(s);
	}
}
