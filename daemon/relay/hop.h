#pragma once

/*
 * hop: one connection to an SMTP next hop, from resolving its name to closing
 * it, as a pump: harvest what completed, step the pure cores, arm what is
 * wanted and idle. It knows neither how records are made (tls/record.h) nor how
 * SMTP works (smtp/client.h), and reads bodies through its job.
 */

#include "base/wheel.h"
#include "relay/resolver.h"
#include "ring/loan.h"
#include "ring/op.h"
#include "ring/ring.h"
#include "smtp/client.h"
#include "tls/diag.h"
#include "tls/handshake.h"
#include "tls/record.h"

#define HOP_IN_BYTES     (4 * CLIENT_REPLY_LINE_MAX)
#define HOP_SAY_BYTES    (2 * CLIENT_COMMAND_MAX)
#define HOP_OUT_BYTES    (72 * 1024)
#define HOP_ANSWER_BYTES 512 /* the record layer's own words */

struct runner;
struct job;
struct site;

/*
 *   RESOLVING -> CONNECTING -> (HANDSHAKE ->) OPEN -> FLUSHING -> DEAD
 *                CONNECTING -> CONNECTING: the next address
 *                OPEN -> HANDSHAKE -> OPEN: STARTTLS
 */
enum hop_state {
	HOP_RESOLVING,
	HOP_CONNECTING,
	HOP_HANDSHAKE,
	HOP_OPEN,
	HOP_FLUSHING, /* the last bytes are on their way out */
	HOP_DEAD,     /* freed when nothing is in flight */
};

enum hop_offload {
	HOP_OFFLOAD_SETTLED, /* nothing to do: no TLS yet, or it is decided */
	HOP_OFFLOAD_WANTED,  /* not tried: nothing is received before */
	HOP_OFFLOAD_LATER,   /* tried in the middle of a record */
};

/* Who makes the records, the kernel's software or the card: see hop_nic.h. */
enum hop_nic { HOP_NIC_NOT_ASKED, HOP_NIC_ASKED, HOP_NIC_KNOWN };

struct hop {
	enum hop_state state;
	uint32_t slot;
	uint32_t generation;
	int fd;
	struct site *site; /* NULL: the slot is free */
	struct job *job;   /* being delivered, or that waits to be */
	bool job_begun;    /* its message was given to the client */
	bool idle;         /* in the site's list */
	bool greeted;      /* counted in the site's sessions */
	struct hop *idle_next;
	uint32_t messages_n;

	struct op connect;
	struct op recv;
	struct op send;
	struct op room; /* until a full socket takes bytes again */
	struct wheel_timer timer;
	struct resolver_answer addresses;
	uint32_t address; /* being tried */

	struct handshake handshake;
	struct record record;
	enum hop_offload offload;
	enum hop_nic nic;
	struct diag_makers makers;
	struct record_control heard; /* the kernel's while `recv` flies */
	struct record_control said;  /* the same with `send` */
	bool hears_control;          /* `recv` is for a control record */
	bool says_control;           /* `send` is of one */
	struct client client;
	const char *tls_version;

	struct loan wire;    /* bytes as received, not opened yet */
	bool peer_closed;    /* nothing more will be heard */
	bool broken;         /* nothing more can be said */
	bool shut;           /* our close_notify was sealed, or is due */
	bool full;           /* the socket took no more of a body */
	bool asked;          /* the resolver */
	bool cancelled;      /* what flew when it died */
	bool progressed;     /* since the deadline was set */
	uint8_t timed_state; /* the client's when the deadline was set */
	struct buf in;       /* clear bytes */
	struct buf say;      /* the client's, clear */
	struct buf answers;  /* the record layer's, sealed */
	struct buf out;      /* as sent; the kernel's while `send` flies */

	bool touched;
	struct hop *touched_next;
	uint8_t in_bytes[HOP_IN_BYTES];
	uint8_t say_bytes[HOP_SAY_BYTES];
	uint8_t answer_bytes[HOP_ANSWER_BYTES];
	uint8_t out_bytes[HOP_OUT_BYTES];
};

/* Begins a connection for that job. False: no hop is free. */
bool hop_open(struct runner *r, struct site *site, struct job *j);

/* An idle connection takes that job. */
void hop_take(struct runner *r, struct hop *h, struct job *j);

void hop_on_cqe(struct runner *r, const struct ring_completion *c);
void hop_on_resolved(struct runner *r, const struct resolver_answer *a);
void hop_on_timeout(struct runner *r, struct hop *h);
void hop_touch(struct runner *r, struct hop *h);
/* Advances as far as possible; may end and free the hop. */
void hop_pump(struct runner *r, struct hop *h);
/* Ends all connections on which no message is under way. */
void hop_drain(struct runner *r);
struct hop *hop_of_timer(struct wheel_timer *t);
