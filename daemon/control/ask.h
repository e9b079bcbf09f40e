#pragma once

/*
 * ask: the client's side of the control socket: one request, one answer. It
 * blocks, for at most ASK_PATIENCE_S between two pieces; it is for tools.
 */

#include "base/buf.h"

#define ASK_PATIENCE_S 30

/*
 * Sends `request`, a line without its end, and appends the text of the answer.
 * -EREMOTEIO: the daemon refused, `answer` says why; -EPROTO: what listens
 * there is no daemon of ours; -ENOENT, -ECONNREFUSED: nobody listens;
 * -EAGAIN: it took too long; else what the system said.
 */
int ask_daemon(const char *path, const char *request, struct buf *answer);
