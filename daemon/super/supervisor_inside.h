#pragma once

/*
 * supervisor_inside: what the parts of the supervisor share: its state and who
 * does what. supervisor.c starts, loops and drains; children.c forks and reaps;
 * reload.c makes a new generation; upgrade.c hands over to a successor, another
 * program, and takeover.c takes over from a predecessor; welcome.c is what passes
 * between these two; operator.c answers the control socket. Not for anybody else.
 *
 * I1  `assets` is the set of the newest generation; processes of older ones are
 *     LEAVING and are never started again.
 * I2  A reload changes nothing until everything of the new set has been loaded
 *     and bound; a mistake leaves what runs untouched.
 * I3  The supervisor leaves only when no child is left, and its predecessor has
 *     left, so whoever starts it again finds the spool free.
 * I4  Pid file and control socket are those of one supervisor at a time, the
 *     one that is `settled`.
 */

#include "control/control.h"
#include "steer/steer.h"
#include "super/assets.h"
#include "super/guard.h"
#include "super/census.h"
#include "super/handover.h"
#include "super/passing.h"
#include "super/process.h"
#include "super/program.h"
#include "super/shared.h"
#include "super/sockets.h"
#include "super/status.h"
#include "super/supervisor.h"
#include "super/welcome.h"

#define SUPERVISOR_ERRORS_BYTES 16384

/*
 *   ARRIVING --all gateways accept--> RUNNING --successor is ready--> RETIRED
 *        \______________________________|________________________________|
 *                                       v
 *                                   DRAINING
 */
enum supervisor_state {
	SUPERVISOR_ARRIVING, /* takes over */
	SUPERVISOR_RUNNING,
	SUPERVISOR_RETIRED, /* waits for its children to finish */
	SUPERVISOR_DRAINING,
};

enum upgrade_state {
	UPGRADE_NONE,
	UPGRADE_WAITING, /* for the new program to be ready */
	UPGRADE_ENDING,  /* for it to be gone: it failed */
	UPGRADE_DONE,    /* it serves */
};

/* Our successor. */
struct upgrade {
	enum upgrade_state state;
	int fd; /* -1: there is none */
	struct program program;
	uint64_t deadline_ms;
	bool asked; /* by `request`, which waits for its answer */
	struct control_request request;
	struct buf lines; /* why it failed */
	uint8_t storage[HANDOVER_BYTES];
};

/* Our predecessor. */
struct takeover {
	int fd; /* -1: there is none, or no more */
	int control_fd;
	uint32_t sockets_n;
	struct steer_passed steer;
	struct pins_passed shield;
	bool leaves_first;   /* it has retired: we wait for it */
	struct terms *terms; /* what must be as it was */
	struct buf packet;
	uint8_t storage[HANDOVER_BYTES];
};

struct supervisor {
	const struct supervisor_options *options;
	enum supervisor_state state;
	uint32_t generation;
	uint32_t workers;
	uint64_t now_ms;
	uint64_t rotate_ms;
	uint64_t kill_ms; /* when children that still drain are killed */
	struct assets *assets;
	struct shared shared;
	struct sockets sockets;
	struct steer *steer;
	struct guard guard;
	struct process_table processes;
	struct census census;
	int signal_fd;
	int serving_fds[2]; /* children say on it that they serve */
	int relay_doorbell;
	int lock_fd;
	bool has_control;
	struct control control;
	bool settled;  /* I4 */
	bool notified; /* that all gateways accept */
	char program[PATH_MAX];
	struct upgrade upgrade;
	struct takeover takeover;
	uint64_t started_s; /* Unix time */
	struct status_storage described;
	uint8_t errors[SUPERVISOR_ERRORS_BYTES];
};

/* The format of --log, or else the configuration's. */
enum log_format supervisor_log_format(const struct supervisor *s);

/* Each line as an event of a daemon that goes on. */
void supervisor_log_lines(enum log_level level, const char *event,
			  const struct buf *lines);

/*
 * Steering and shield do as the configuration says, by our programs. Negative
 * errno, logged.
 */
int supervisor_feed(struct supervisor *s);

/* Tells the children, and leaves when they have; told again: at once. */
void supervisor_drain(struct supervisor *s);

/*
 * Puts a new generation of processes on the table; false: no room, and nothing
 * has changed.
 */
bool children_begin_generation(struct supervisor *s);
/* Takes note of those that say that they serve. */
void children_hear(struct supervisor *s);
/* Do all gateways of the newest generation accept connections? */
bool children_serve(const struct supervisor *s);
/* Starts those whose time has come. */
void children_start_due(struct supervisor *s);
/* Takes note of those that died. */
void children_reap(struct supervisor *s);
/*
 * What serves now, the newest generation apart, takes nothing new and finishes
 * what it has.
 */
void children_retire_older(struct supervisor *s);
/* Those of generations long ago have little time left. */
void children_dismiss_older(struct supervisor *s);
/* Retired ones that had their time finish with 421 now. */
void children_expire(struct supervisor *s);
void children_drain(struct supervisor *s);
void children_kill(struct supervisor *s);

/*
 * Loads the configuration anew, on SIGHUP or by the operator's tool, and logs
 * what came of it. False: refused, with the mistakes in `errors` (over
 * s->errors), and what ran before runs on.
 */
bool reload_run(struct supervisor *s, struct buf *errors);

/*
 * Starts `path`, or NULL: what we were started from, as our successor. False:
 * refused, with the reason in `errors` (over s->errors). What comes of it is
 * told by operator_upgraded.
 */
bool upgrade_begin(struct supervisor *s, const char *path, struct buf *errors);
/* We drain: one that is not ready is told to leave, and soon killed. */
void upgrade_hurry(struct supervisor *s);
/* Hears what the successor says, or that it is gone. */
void upgrade_hear(struct supervisor *s);
/* Kills the one that takes too long. */
void upgrade_expire(struct supervisor *s);
int upgrade_say(int fd, enum handover_kind kind);
int upgrade_send(int fd, const struct handover *h, const struct passing *with);

/* Said before we leave without having served. */
void takeover_refuse(struct supervisor *s, struct span lines);
/* Serves, once all gateways do. */
void takeover_step(struct supervisor *s);
void takeover_hear(struct supervisor *s);
void takeover_say(struct supervisor *s, enum handover_kind kind);

/* The control socket: opened at start, served by each turn of the loop. */
int operator_open(struct supervisor *s, struct buf *errors);
void operator_serve(struct supervisor *s);
/* What came of an upgrade: whoever asked for it is answered. */
void operator_upgraded(struct supervisor *s, bool done);
/* The successor hears the operator now. */
void operator_retire(struct supervisor *s);
void operator_close(struct supervisor *s);
/* "list", "assign PREFIX LANE", ... (operator_lane.c). */
void operator_lane(struct supervisor *s, const struct control_request *r);
/* "list", "add PREFIX", ... (operator_shield.c). */
void operator_shield(struct supervisor *s, const struct control_request *r);
/* For both: the answer becomes an error; a prefix, or an error. */
__attribute__((format(printf, 2, 3))) void
operator_refuse(const struct control_request *r, const char *format, ...);
bool operator_prefix(const struct control_request *r, struct span text,
		     struct prefix *ret);
