#pragma once

/*
 * session_receive: how a session receives: into a small buffer while commands
 * come, into a large one while a body does, and of a chunk whose length is told
 * as much as fills the buffer before anybody looks at it. None of it makes a
 * session wait: without a large buffer it takes a small one, and what a slow
 * peer has sent is looked at after a second.
 */

#include "ring/ring.h"

struct session;
struct worker;

/* A completion: records a fact and touches the session. */
void session_receive_on_cqe(struct worker *w, const struct ring_completion *c);

/* Folds what was received into the session. May kill it. */
void session_receive_harvest(struct worker *w, struct session *s);

/* Starts a receive, if one is wanted and none flies. */
void session_receive_arm(struct worker *w, struct session *s);

/*
 * The session's time is up. True: it was the time for filling a buffer; what
 * has come will be looked at, and the peer's own time runs from now on.
 */
bool session_receive_hurry(struct worker *w, struct session *s);
