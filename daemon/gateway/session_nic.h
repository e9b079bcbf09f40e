#pragma once

/*
 * session_nic: whether the network card makes a session's records. Where the
 * listener's `nic` is off it costs nothing; else the supervisor, whom alone the
 * kernel tells, is asked once, when the keys are in, and what it answers is
 * counted. Where the card is required, nothing is received before the answer,
 * and a session whose mail the card does not open is told so and ends.
 */

#include "ring/op.h"

struct session;
struct worker;

/* The kernel has the session's keys. */
void session_nic_ask(struct worker *w, struct session *s);

/* Draws the conclusion when the answer is there; may end the session. */
void session_nic_settle(struct worker *w, struct session *s);

/* For the log: "off", or what diag_describe says. */
const char *session_nic_describe(const struct worker *w,
				 const struct session *s);

/* True while nothing may be received. */
bool session_nic_waits(const struct worker *w, const struct session *s);

/* Starts to read the next answer; takes the one that has come. */
void session_nic_arm(struct worker *w);
void session_nic_hear(struct worker *w);
