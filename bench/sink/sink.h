#pragma once

/*
 * sink: what the threads of sluice-sink share: options, listening sockets,
 * credentials, the account, and the word to stop.
 */

#include "kit/account.h"
#include "sink/sink_options.h"
#include "tls/creds.h"

#include <stdatomic.h>

#define SINK_LISTENERS_MAX (3 * OPTION_LIST_MAX)

enum sink_service { SINK_SMTP, SINK_SMTPS, SINK_LMTP };

struct sink_listener {
	int fd;
	enum sink_service service;
};

struct sink {
	const struct sink_options *options;
	struct sink_listener listeners[SINK_LISTENERS_MAX];
	uint32_t listeners_n;
	struct creds *creds;        /* NULL: no TLS */
	FILE *account;              /* NULL: none is kept */
	_Atomic uint64_t accounted; /* messages, for the faults by number */
	_Atomic bool account_failed;
	_Atomic bool stop;
};

/* What a thread counted. */
struct sink_counts {
	uint64_t connections;
	uint64_t turned_away; /* for lack of a slot */
	uint64_t handshakes;
	uint64_t messages;
	uint64_t recipients;
	uint64_t bytes;
	uint64_t refused_recipients;
	uint64_t refused_messages;
	uint64_t dropped;
	uint64_t broken; /* connections that ended without QUIT */
	uint64_t hash;   /* sum of the messages', with an account */
};

/* The word of a service on the command line. */
const char *sink_service_name(enum sink_service service);
/* Adds up. */
void sink_counts_add(struct sink_counts *c, const struct sink_counts *other);
