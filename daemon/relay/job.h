#pragma once

/*
 * job: one message being delivered, from the moment it is due until each of its
 * recipients has an outcome: it loads the envelope, splits it by route, serves
 * one route after the other, and ends with changes for the journal. It holds
 * the message's buffers; there are as many jobs as may be under way at once.
 */

#include "base/dots.h"
#include "relay/maildir.h"
#include "relay/schedule.h"
#include "ring/op.h"
#include "smtp/client.h"
#include "spool/entry.h"
#include "spool/index.h"

#define JOB_BLOCK_BYTES (128 * 1024)

struct runner;
struct ring_completion;

/*
 *   OPENING -> LOADING -> (OPENING_BODY ->) ROUTING -> ENDED
 *   ROUTING -> MAILDIR -> ROUTING
 *   ROUTING -> (WAITING ->) HOP -> ROUTING; any -> ENDED
 */
enum job_state {
	JOB_OPENING, /* the segment, where its descriptor was closed */
	JOB_LOADING,
	JOB_OPENING_BODY, /* of a large message */
	JOB_ROUTING,
	JOB_MAILDIR,
	JOB_WAITING, /* for a connection */
	JOB_HOP,     /* a connection delivers it */
	JOB_ENDED,
};

struct job_recipient {
	uint32_t path_at; /* forward-path, in the envelope */
	uint16_t path_len;
	uint16_t route;   /* ROUTE_NONE: cut to 16 bits */
	uint32_t behind;  /* where its parameters begin */
	uint8_t outcome;  /* enum schedule_outcome, of this attempt */
	bool done_before; /* in an earlier attempt */
	bool given;       /* in the transaction under way */
};

struct job {
	enum job_state state;
	uint32_t slot;
	uint32_t generation;
	struct index_ref ref;
	struct op op;
	char name[24];    /* of a file to open */
	uint16_t segment; /* slot in the index */
	int fd;           /* of it */
	bool fd_lent;     /* by its tail; else ours to close */
	int body_fd;
	uint64_t body_at;
	struct entry entry;
	struct dots dots;
	uint8_t *block;
	uint8_t *envelope;

	uint32_t route; /* being served */
	uint32_t next;  /* recipient to look at next */
	struct maildir maildir;

	/* While a connection delivers it. */
	struct client_message message;
	uint32_t next_given; /* recipient to give next */
	uint64_t block_at;   /* offset in the body of block[0] */
	uint32_t block_len;
	struct iovec iov;
	int read_error;         /* the message cannot be read; 0: it can */
	uint32_t hop_retries;   /* connections found dead when reused */
	bool must_copy;         /* its body's file knows no sendfile */
	bool urgent;            /* a next hop has taken it */
	bool released;          /* leaves without an outcome */
	struct job *queue_next; /* in the site's queue */
	struct hop *hop;

	struct client_verdict verdict; /* the worst of the route, to log */
	const char *tls;               /* version, or NULL */
	const char *records;           /* who made them, or NULL */
	const char *offload;           /* and why */
	const char *nic;               /* what of it the card did */

	bool touched;
	struct job *touched_next;
	uint32_t recipients_n;
	struct job_recipient recipients[INDEX_RECIPIENTS_MAX];
};

/* Its envelope, once loaded. */
static inline struct span job_envelope(const struct job *j)
{
	return entry_envelope(&j->entry);
}

static inline struct span job_path(const struct job *j,
				   const struct job_recipient *to)
{
	return span_of(job_envelope(j).p + to->path_at, to->path_len);
}

/* Begins to deliver a WAITING or ACTIVE message. False: no job is free. */
bool job_open(struct runner *r, struct index_ref ref);

void job_on_cqe(struct runner *r, const struct ring_completion *c);
void job_touch(struct runner *r, struct job *j);
/* Advances as far as possible; may end and free the job. */
void job_pump(struct runner *r, struct job *j);

/*
 * A message just read, whose envelope is at hand: when all its recipients
 * belong to routes that discard, it is done here and now.
 */
bool job_discard(struct runner *r, struct index_ref ref, const struct frame *f,
		 struct span envelope);

/* What a route brought, for the log and the counters. */
struct job_report {
	uint64_t id;
	uint64_t arrival_s;
	uint64_t bytes;
	uint32_t route;
	uint32_t delivered_n;
	uint32_t deferred_n;
	uint32_t refused_n;
	const char *tls;                      /* or NULL */
	const char *records;                  /* or NULL */
	const char *offload;                  /* or NULL */
	const char *nic;                      /* or NULL */
	const struct client_verdict *verdict; /* or NULL */
};
void job_report(struct runner *r, const struct job_report *report);

/* -- for the connection that delivers it -- */

void job_begin_transaction(struct job *j);
/* The next recipient of the route not yet given, or false. */
bool job_next_recipient(struct job *j, struct client_recipient *ret);
/* The outcome of the n-th recipient given in this transaction. */
void job_refuse_recipient(struct job *j, uint32_t n,
			  const struct client_verdict *v);
/*
 * Of all others given. True: more recipients of the route are left, for a
 * further transaction; false: the route is done, the job goes on by itself.
 */
bool job_end_transaction(struct runner *r, struct job *j,
			 const struct client_verdict *v);
/* The verdict for all recipients of the route that are still open. */
void job_end_route(struct runner *r, struct job *j,
		   const struct client_verdict *v);

/*
 * Stored bytes from that offset on, valid until the next call. Empty: they are
 * being read, and the connection is touched when they are there. -EIO or the
 * read's error in job's read_error: the body cannot be had.
 */
struct span job_body(struct runner *r, struct job *j, uint64_t at);

/*
 * Sends as many of `n` stored bytes, from that offset on, as a socket that does
 * not block takes: their number, or a negative errno. 0: the file has no more.
 * Bytes that are not in the page cache are waited for.
 */
int64_t job_send_body(const struct job *j, int fd, uint64_t at, uint64_t n);

/* -- between the files of this module -- */

/* Leaves without a decision; the message stays ACTIVE, somebody's to open. */
void job_release(struct runner *r, struct job *j);
/* The same, and the message waits until then; nothing is counted. */
void job_postpone(struct runner *r, struct job *j, uint64_t due_s);
void job_settle(struct runner *r, struct job *j);
/* A block was read for the connection. */
void job_pump_read(struct runner *r, struct job *j);
/* The one operation of the job. */
void job_fly(struct runner *r, struct job *j, const struct io *io);
void job_set_outcome(struct job *j, struct job_recipient *to,
		     const struct client_verdict *v);
