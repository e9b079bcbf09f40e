#pragma once

/*
 * site: one SMTP next hop: its connections, the jobs that wait for one, and
 * whether it rests because it could not be reached. A connection is kept for
 * further messages; there are never more than the route's `connections`.
 */

#include "smtp/client.h"
#include "spool/index.h"

#define SITE_REST_MS 30000 /* at most, see site_rest_ms */
#define SITE_IDLE_MS 5000  /* a connection without work is closed */

#define SITE_BACKLOG 65536 /* messages known to wait for this next hop */

struct runner;
struct job;
struct hop;
struct creds;

struct site {
	uint32_t route;
	uint32_t hops_n;
	uint32_t sessions_n;     /* of these, that have greeted us */
	struct hop *idle;        /* list of connections without work */
	struct job *queue_first; /* wait for a connection */
	struct job *queue_last;
	uint32_t queue_n;
	struct index_ref *backlog; /* a ring */
	uint32_t backlog_first;
	uint32_t backlog_n;
	uint64_t rests_until_ms;            /* nothing is tried */
	uint64_t no_more_until_ms;          /* no further connection is */
	struct client_verdict rest_verdict; /* why it rests */
	struct client_options client;
	const struct creds *creds;
};

/*
 * Memory for the backlog lives as long as the process. -ENOMEM. `hostname` is
 * the caller's and stays.
 */
int site_init(struct site *s, uint32_t route, const char *hostname,
	      enum client_security security, const struct creds *creds);

/* False: enough jobs wait already; the message goes into the backlog. */
bool site_has_room(const struct runner *r, const struct site *s);

/* Gives the job a connection, a place in the queue, or the resting verdict. */
void site_take(struct runner *r, struct site *s, struct job *j);

/* The job waits for one of the connections there are; not while draining. */
void site_wait(struct runner *r, struct site *s, struct job *j);

/* A connection has nothing to do: the next job of the queue, or NULL. */
struct job *site_next_job(struct runner *r, struct site *s);

/*
 * No connection could be made: jobs in the queue get the verdict, and so do
 * those that come while it rests: for SITE_REST_MS, or as long as a first retry
 * waits if that is less.
 */
void site_rest(struct runner *r, struct site *s,
	       const struct client_verdict *verdict);

/* A connection is gone; another may be opened for those in the queue. */
void site_hop_gone(struct runner *r, struct site *s);

/*
 * Remembers a message whose route is known, so that it need not be loaded again
 * before there is room. False: the backlog is full.
 */
bool site_remember(struct site *s, struct index_ref ref);
/* Opens jobs for remembered messages while there is room. */
void site_refill(struct runner *r, struct site *s);

/* How long it is left alone after a connection that brought no session. */
uint64_t site_rest_ms(const struct runner *r);

/* Draining: whoever waits for a connection goes back into the queue. */
void site_drain(struct runner *r, struct site *s);
