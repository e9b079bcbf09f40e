#include "relay/site.h"

#include "base/must.h"
#include "relay/hop.h"
#include "relay/job.h"
#include "relay/runner.h"

#include <errno.h>
#include <stdlib.h>

/* Jobs that may wait beyond those on connections: enough to keep these busy. */
#define QUEUE_MAX 2

int site_init(struct site *s, uint32_t route, const char *hostname,
	      enum client_security security, const struct creds *creds)
{
	*s = (struct site){ .route = route,
			    .client = { hostname, security },
			    .creds = creds };
	s->backlog = malloc(SITE_BACKLOG * sizeof(*s->backlog));
	return s->backlog ? 0 : -ENOMEM;
}

static uint32_t connections_max(const struct runner *r, const struct site *s)
{
	return r->options->config->routes[s->route].connections;
}

/* A next hop that limits connections is not asked for more all the time. */
static bool may_connect(const struct runner *r, const struct site *s)
{
	if (r->state != RUNNER_SERVING)
		return false;
	if (s->hops_n && r->now_ms < s->no_more_until_ms)
		return false;
	return s->hops_n < connections_max(r, s);
}

bool site_has_room(const struct runner *r, const struct site *s)
{
	return s->idle || may_connect(r, s) ||
	       s->queue_n < QUEUE_MAX + s->hops_n;
}

void site_wait(struct runner *r, struct site *s, struct job *j)
{
	if (r->state != RUNNER_SERVING) {
		job_postpone(r, j, r->now_s); /* nobody would take it */
		return;
	}
	j->state = JOB_WAITING;
	j->queue_next = NULL;
	if (s->queue_last)
		s->queue_last->queue_next = j;
	else
		s->queue_first = j;
	s->queue_last = j;
	s->queue_n++;
}

static struct job *dequeue(struct site *s)
{
	struct job *j = s->queue_first;

	if (!j)
		return NULL;
	s->queue_first = j->queue_next;
	if (!s->queue_first)
		s->queue_last = NULL;
	s->queue_n--;
	return j;
}

static void take_idle(struct runner *r, struct site *s, struct job *j)
{
	struct hop *h = s->idle;

	s->idle = h->idle_next;
	h->idle = false;
	hop_take(r, h, j);
}

void site_take(struct runner *r, struct site *s, struct job *j)
{
	if (r->now_ms < s->rests_until_ms)
		job_end_route(r, j, &s->rest_verdict);
	else if (s->idle)
		take_idle(r, s, j);
	else if (!may_connect(r, s) || !hop_open(r, s, j))
		site_wait(r, s, j);
}

struct job *site_next_job(struct runner *r, struct site *s)
{
	return r->state == RUNNER_SERVING ? dequeue(s) : NULL;
}

uint64_t site_rest_ms(const struct runner *r)
{
	uint64_t first_ms = r->options->config->retry.first * 1000ull;

	/* Half: the retry that is due first must not find it resting. */
	return first_ms / 2 < SITE_REST_MS ? first_ms / 2 : SITE_REST_MS;
}

void site_rest(struct runner *r, struct site *s,
	       const struct client_verdict *verdict)
{
	struct job *j;

	s->rests_until_ms = r->now_ms + site_rest_ms(r);
	s->rest_verdict = *verdict;
	while ((j = dequeue(s)))
		job_end_route(r, j, verdict);
}

void site_hop_gone(struct runner *r, struct site *s)
{
	struct job *j;

	MUST(s->hops_n);
	s->hops_n--;
	j = site_next_job(r, s);
	if (j)
		site_take(r, s, j);
}

void site_drain(struct runner *r, struct site *s)
{
	struct job *j;

	while ((j = dequeue(s)))
		job_postpone(r, j, r->now_s);
}

bool site_remember(struct site *s, struct index_ref ref)
{
	uint32_t at = (s->backlog_first + s->backlog_n) % SITE_BACKLOG;

	if (s->backlog_n == SITE_BACKLOG)
		return false;
	s->backlog[at] = ref;
	s->backlog_n++;
	return true;
}

/* A reference may be stale: the operator may have removed the message. */
static bool open_remembered(struct runner *r, struct index_ref ref)
{
	const struct index_message *m = index_get(r->index, ref);

	return !m || m->state != INDEX_ACTIVE || job_open(r, ref);
}

/*
 * One for each connection at most: those opened now count only when they have
 * been loaded.
 */
void site_refill(struct runner *r, struct site *s)
{
	uint32_t most = connections_max(r, s);

	while (most-- && s->backlog_n && site_has_room(r, s)) {
		if (!open_remembered(r, s->backlog[s->backlog_first]))
			return;
		s->backlog_first = (s->backlog_first + 1) % SITE_BACKLOG;
		s->backlog_n--;
	}
}
