#pragma once

/*
 * sink_options: how sluice-sink is to behave: the command line, read, completed
 * by defaults and checked. Nothing in it changes afterwards.
 */

#include "kit/option.h"

#define SINK_CONNECTIONS_MAX 100000
#define SINK_THREADS_MAX     64

/* A reply given to a share of what could have been accepted. */
struct sink_refusal {
	uint16_t code; /* 400 to 599 */
	double share;  /* 0 to 1 */
};

struct sink_refusals {
	struct sink_refusal at[OPTION_LIST_MAX];
	uint32_t n;
};

struct sink_options {
	struct option_list smtp;
	struct option_list smtps;
	struct option_list lmtp;
	const char *certificate;
	const char *key;
	bool auth;
	bool no_chunking;
	bool no_pipelining;
	bool no_8bitmime;
	bool no_smtputf8;
	uint64_t connections;
	uint64_t threads;

	struct sink_refusals refuse_recipient;
	struct sink_refusals refuse_message;
	double drop; /* share of messages */
	uint64_t delay_ms;
	uint64_t throttle; /* bytes a second; 0: none */
	uint64_t seed;

	const char *account;
	uint64_t lose; /* every so many-th message; 0: none */
	uint64_t twice;
	uint64_t change;

	const char *json;
	bool quiet;

	struct option_list recipient_texts; /* as given */
	struct option_list message_texts;
};

/* As load_options_parse. */
enum option_result sink_options_parse(struct sink_options *o,
				      struct option_table *t, int argc,
				      char *const argv[]);
