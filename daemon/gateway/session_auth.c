#include "gateway/session_auth.h"

#include "gateway/fairness.h"
#include "gateway/session.h"
#include "gateway/session_smtp.h"
#include "gateway/offence.h"
#include "gateway/worker.h"

/*
 * Jobs are few and an exchange holds one: a client does not get the time of a
 * command for each of its answers.
 */
#define AUTH_LIMIT_MS 30000

/* What is read already holds the credentials in base64. */
static void wipe_input(struct buf *in)
{
	if (!in->p)
		return;
	explicit_bzero(in->p, in->start);
	explicit_bzero(in->p + in->end, in->cap - in->end);
}

static void end_auth(struct worker *w, struct session *s, enum reply verdict)
{
	struct span user = s->job ? span_str(s->job->sasl.user) :
				    span_of(NULL, 0);
	enum reply limit = REPLY_OK;

	if (verdict == REPLY_AUTH_OK) {
		worker_count(w, METRIC_AUTH_OK);
		limit = fairness_login(w, s, user);
	} else {
		worker_count(w, METRIC_AUTH_FAILED);
		if (verdict == REPLY_AUTH_FAILED)
			offence_tell(w, s, OFFENCE_AUTH);
	}
	if (limit == REPLY_OK)
		smtp_server_auth_done(&s->smtp, verdict, user);
	else
		smtp_server_end(&s->smtp, limit);
	wipe_input(&s->in);
}

void session_auth_drop(struct worker *w, struct session *s)
{
	if (s->job)
		verifier_give(w->verifier, s->job);
	s->job = NULL;
}

/* Name and password are there: the cache knows them, or a helper looks. */
static void check_credentials(struct worker *w, struct session *s)
{
	struct verifier_job *job = s->job;

	if (authcache_knows(&w->authcache, span_str(job->sasl.user),
			    secret_span(&job->sasl.password), w->now_ms)) {
		worker_count(w, METRIC_AUTH_CACHED);
		end_auth(w, s, REPLY_AUTH_OK);
		session_auth_drop(w, s);
		return;
	}
	job->session = s->slot;
	job->generation = s->generation;
	s->asked = SESSION_ASKED_VERIFIER;
	verifier_submit(w->verifier, job);
}

void session_auth_step(struct worker *w, struct session *s)
{
	const struct smtp_auth *auth = &s->smtp.auth;
	const struct span *response = auth->has_response ? &auth->response :
							   NULL;
	struct span challenge = { 0 };

	if (auth->mechanism.len) {
		session_auth_drop(w, s);
		s->job = verifier_take(w->verifier);
	}
	if (!s->job) {
		worker_count(w, METRIC_AUTH_BUSY);
		smtp_server_auth_done(&s->smtp, REPLY_AUTH_TEMPORARY,
				      span_of(NULL, 0));
		return;
	}
	if (auth->mechanism.len &&
	    !sasl_begin(&s->job->sasl, auth->mechanism)) {
		end_auth(w, s, REPLY_AUTH_MECHANISM);
		session_auth_drop(w, s);
		return;
	}
	switch (sasl_step(&s->job->sasl, response, &challenge)) {
	case SASL_CONTINUE:
		session_set_deadline(w, s, AUTH_LIMIT_MS);
		smtp_server_auth_continue(&s->smtp, challenge);
		return;
	case SASL_CREDENTIALS: check_credentials(w, s); return;
	case SASL_BAD_BASE64: end_auth(w, s, REPLY_AUTH_BAD_BASE64); break;
	case SASL_REFUSED: end_auth(w, s, REPLY_AUTH_FAILED); break;
	}
	session_auth_drop(w, s);
}

void session_auth_verified(struct worker *w, struct session *s,
			   const struct verifier_job *job)
{
	MUST(s->asked == SESSION_ASKED_VERIFIER && s->job == job);
	s->asked = SESSION_ASKED_NOTHING;
	switch (job->verdict) {
	case VERIFIER_RIGHT:
		authcache_remember(&w->authcache, span_str(job->sasl.user),
				   secret_span(&job->sasl.password), w->now_ms);
		end_auth(w, s, REPLY_AUTH_OK);
		break;
	case VERIFIER_WRONG: end_auth(w, s, REPLY_AUTH_FAILED); break;
	case VERIFIER_BROKEN: end_auth(w, s, REPLY_AUTH_TEMPORARY); break;
	}
	s->job = NULL; /* the worker gives it back */
	session_smtp_deadline(w, s);
	worker_touch(w, s);
}
