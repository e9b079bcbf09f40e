#pragma once

/*
 * control: the local socket on which sluicectl talks to the supervisor. It owns
 * the listening socket and up to CONTROL_CLIENTS connections, all non-blocking
 * and driven by the supervisor's poll loop, never longer than
 * CONTROL_PATIENCE_MS each. One connection carries one request, a line, and
 * one answer: "ok" or "error TEXT" on a line of its own, then text until the
 * end. Only root and the daemon's own user and group are heard. It decides
 * nothing: what a request does is up to the supervisor.
 */

#include "base/buf.h"
#include "base/log.h"
#include "base/slab.h"

#include <poll.h>
#include <sys/types.h>
#include <sys/un.h>

#define CONTROL_CLIENTS     4
#define CONTROL_FDS         (1 + CONTROL_CLIENTS)
#define CONTROL_LINE_MAX    1024
#define CONTROL_ANSWER_MAX  (512 * 1024)
#define CONTROL_PATIENCE_MS 2000

/* Where the daemon is looked for unless told otherwise. */
#define CONTROL_PATH "/run/sluice/control"

enum control_verb {
	CONTROL_STATUS,      /* "status" */
	CONTROL_STATUS_JSON, /* "status json" */
	CONTROL_METRICS,     /* "metrics" */
	CONTROL_LISTENERS,   /* "listeners" */
	CONTROL_RELOAD,      /* "reload" */
	CONTROL_UPGRADE,     /* "upgrade", "upgrade PATH" */
	CONTROL_STOP,        /* "stop": drain and leave */
	CONTROL_LOG_LEVEL,   /* "log-level LEVEL" */
	CONTROL_LANE,        /* "lane WORDS" */
	CONTROL_SHIELD,      /* "shield WORDS" */
};

struct control_request {
	enum control_verb verb;
	enum log_level log_level; /* of CONTROL_LOG_LEVEL */
	struct span words;        /* of these three; until it is answered */
	bool trusted;             /* the peer is root or the user that we are */
	uint32_t client;
	struct buf *answer; /* append to it, then call control_answer */
};

enum control_state {
	CONTROL_FREE,
	CONTROL_READING,   /* until a whole line is there */
	CONTROL_ASKED,     /* waits for control_next */
	CONTROL_TAKEN,     /* waits for control_answer */
	CONTROL_ANSWERING, /* until all is sent */
};

struct control_client {
	enum control_state state;
	int fd;
	uint64_t deadline_ms;
	struct control_request request;
	struct buf in;
	struct buf out; /* over an object of `answers` */
	uint8_t line[CONTROL_LINE_MAX];
};

struct control {
	int fd;
	uid_t uid;
	gid_t gid;
	struct sockaddr_un address;
	struct slab answers;
	struct control_client clients[CONTROL_CLIENTS];
};

/*
 * Binds `path` for the given user's and group's members. A socket that a dead
 * daemon left is replaced. -EADDRINUSE: a living daemon has it;
 * -ENAMETOOLONG; else what the system said.
 */
int control_open(struct control *c, const char *path, uid_t uid, gid_t gid);
/* The same, of a socket that another daemon bound there; `fd` is ours then. */
int control_adopt(struct control *c, const char *path, uid_t uid, gid_t gid,
		  int fd);
/* Removes the socket from the file system: only the last daemon does. */
void control_remove(const struct control *c);
/* Closes all descriptors, also in a child after fork. */
void control_close(struct control *c);

/* Fills all entries; those without a descriptor have fd -1. */
void control_poll(const struct control *c, struct pollfd fds[CONTROL_FDS]);
/* Milliseconds until control_ready wants to be called anyway, or -1. */
int control_timeout_ms(const struct control *c, uint64_t now_ms);
/* Accepts, reads, sends and ends what took too long. */
void control_ready(struct control *c, const struct pollfd fds[CONTROL_FDS],
		   uint64_t now_ms);

/* The next request that nobody has answered; false: none. */
bool control_next(struct control *c, struct control_request *ret);
/* Replaces the answer by "error TEXT". */
void control_refuse(const struct control_request *request, const char *text);
/* Sends the answer; an overflowed one becomes an error. */
void control_answer(struct control *c, const struct control_request *request,
		    uint64_t now_ms);
