#pragma once

/*
 * session_auth: the part of a session that authenticates: it runs the SASL
 * exchange in a job of the verifier and asks the cache, then a helper thread,
 * whether the credentials are right. Name and password live in the job alone
 * and are wiped with it.
 */

#include "gateway/verifier.h"

struct session;
struct worker;

/* The core wants a step of the exchange (SMTP_AUTH_STEP). */
void session_auth_step(struct worker *w, struct session *s);

/* A helper has answered; the caller gives the job back. Touches the session. */
void session_auth_verified(struct worker *w, struct session *s,
			   const struct verifier_job *job);

/* Ends an exchange that no helper works on. */
void session_auth_drop(struct worker *w, struct session *s);
