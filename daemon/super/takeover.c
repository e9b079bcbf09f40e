/*
 * The side of the one that takes over. It is nobody until all its gateways
 * accept connections: only then it puts its BPF programs in the place of the
 * old one's, writes the pid file, answers the operator and says READY. Should
 * the old one die before, it leaves at once, as if it were one of its workers;
 * what it cannot do, it says, and leaves.
 */
#include "super/supervisor_inside.h"

#include "super/lockfile.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define PACKETS_PER_TURN 16
#define DEATHS_MAX       3 /* of a gateway that never served */

/* Refusal */

void takeover_refuse(struct supervisor *s, struct span lines)
{
	uint8_t storage[HANDOVER_BYTES];
	struct handover h = { .kind = HANDOVER_REFUSED };
	struct buf packet;
	const size_t room = sizeof(storage) - 64;

	h.text = span_head(lines, lines.len < room ? lines.len : room);
	buf_init(&packet, storage, sizeof(storage));
	handover_put(&packet, &h);
	(void)passing_send(s->takeover.fd, buf_span(&packet), NULL);
}

/* The lock is the old one's: nobody shall wait for us to be gone. */
static void give_up(struct supervisor *s, const char *why)
{
	takeover_refuse(s, span_str(why));
	if (s->lock_fd >= 0)
		(void)close(s->lock_fd);
	s->lock_fd = -1;
	supervisor_drain(s);
}

/* Ready */

static bool a_gateway_keeps_dying(const struct supervisor *s)
{
	for (uint32_t i = 0; i < PROCESS_MAX; i++) {
		const struct process *p = &s->processes.entries[i];

		if (p->state != PROCESS_FREE && p->kind == PROCESS_GATEWAY &&
		    p->restarts >= DEATHS_MAX)
			return true;
	}
	return false;
}

void takeover_step(struct supervisor *s)
{
	int result = 0;

	if (s->state != SUPERVISOR_ARRIVING)
		return;
	if (a_gateway_keeps_dying(s)) {
		give_up(s, "the new program's gateways die: see the log\n");
		return;
	}
	if (!children_serve(s))
		return;
	if (supervisor_feed(s)) {
		give_up(s, "the new program cannot steer: see the log\n");
		return;
	}
	if (s->lock_fd >= 0)
		result = lockfile_renew(s->lock_fd);
	if (result) {
		give_up(s, "the new program cannot write the pid file\n");
		return;
	}
	if (upgrade_say(s->takeover.fd, HANDOVER_READY))
		return; /* the old one died: heard of next */
	s->state = SUPERVISOR_RUNNING;
	s->settled = true;
	s->takeover.leaves_first = true;
	LOG(LOG_NOTICE, "took-over", log_u64("generation", s->generation));
}

/* After */

void takeover_say(struct supervisor *s, enum handover_kind kind)
{
	if (s->takeover.fd >= 0)
		(void)upgrade_say(s->takeover.fd, kind);
}

static void lose_predecessor(struct supervisor *s)
{
	(void)close(s->takeover.fd);
	s->takeover.fd = -1;
	if (s->state == SUPERVISOR_ARRIVING) {
		LOG(LOG_ERROR, "predecessor-died",
		    log_str("means", "we never served, and leave"));
		(void)log_flush();
		_exit(EXIT_FAILURE); /* our children hear of it by that */
	}
	LOG_PLAIN(LOG_NOTICE, "predecessor-left");
	shared_sweep(&s->shared); /* what a killed one left */
}

/* Said by one that has not retired, whatever we said: it waits for us. */
static void hear_drain(struct supervisor *s)
{
	s->settled = false;
	s->takeover.leaves_first = false;
	if (s->state != SUPERVISOR_DRAINING)
		supervisor_drain(s);
}

void takeover_hear(struct supervisor *s)
{
	for (int i = 0; i < PACKETS_PER_TURN && s->takeover.fd >= 0; i++) {
		uint8_t storage[HANDOVER_BYTES];
		struct passing with = { 0 };
		struct handover h;
		struct buf packet;
		int result;

		buf_init(&packet, storage, sizeof(storage));
		result = passing_receive(s->takeover.fd, &packet, &with);
		passing_close(&with);
		if (result == -EAGAIN || result == -EINTR)
			return;
		if (result) {
			lose_predecessor(s);
			return;
		}
		if (handover_parse(buf_span(&packet), &h) == HANDOVER_GOOD &&
		    h.kind == HANDOVER_DRAIN)
			hear_drain(s);
	}
}
