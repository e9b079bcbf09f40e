#pragma once

/*
 * session_smtp: the part of a session that carries out what the SMTP core
 * (smtp/server.h) asks: it feeds it clear bytes, seals its replies, opens,
 * stores and commits messages, and gives back the answers.
 */

#include "smtp/reply.h"

#include <stdbool.h>

struct session;
struct worker;

/* One step of the core and its action; true: step again at once. */
bool session_smtp_step(struct worker *w, struct session *s);

/* Answers of the spool. Each touches the session. */
void session_smtp_stored(struct worker *w, struct session *s,
			 enum reply verdict);
void session_smtp_commit_ended(struct worker *w, struct session *s,
			       enum reply verdict);

/* Sets the time limit of what the client does now (RFC 5321 4.5.3.2). */
void session_smtp_deadline(struct worker *w, struct session *s);

/* Adds what the core counted to the metrics. */
void session_smtp_count(struct worker *w, struct session *s);
