#pragma once

/*
 * tally: what one thread of the load counted and timed; tallies add up. The
 * table of failures is bounded: what is rarer than its rows goes into the last.
 */

#include "load/histogram.h"
#include "smtp/client_verdict.h"
#include "tls/handshake.h"

#define TALLY_FAILURES_MAX 32

/* Names of the report's rows, and what each means. */
#define TALLY_LATENCY_TABLE(X)                              \
	X(CONNECT, "connect", "to connected")               \
	X(BANNER, "banner", "connect to greeting")          \
	X(HANDSHAKE, "handshake", "TLS handshake")          \
	X(READY, "ready", "connect to logged in")           \
	X(TRANSACTION, "transaction", "MAIL to last reply") \
	X(MESSAGE, "message", "due to last reply")

enum tally_latency {
#define TALLY_LATENCY_ENUM(name, key, help) TALLY_##name,
	TALLY_LATENCY_TABLE(TALLY_LATENCY_ENUM)
#undef TALLY_LATENCY_ENUM
		TALLY_LATENCIES
};

enum tally_stage {
	TALLY_STAGE_CONNECT,
	TALLY_STAGE_TLS,
	TALLY_STAGE_GREETING,
	TALLY_STAGE_AUTH,
	TALLY_STAGE_RECIPIENT,
	TALLY_STAGE_MESSAGE,
	TALLY_STAGE_SESSION,
	TALLY_STAGES
};

struct tally_failure {
	enum tally_stage stage;
	uint16_t code; /* 0: no reply */
	char reason[CLIENT_REPLY_TEXT_MAX + 1];
	uint64_t n;
};

struct tally {
	struct histogram latency[TALLY_LATENCIES];
	uint64_t messages; /* acknowledged */
	uint64_t recipients;
	uint64_t bytes;
	uint64_t connections; /* that got as far as a session */
	uint64_t handshakes_full;
	uint64_t handshakes_resumed;
	uint64_t by_bdat; /* messages that went by BDAT */
	uint64_t pipelined;
	uint64_t failed;
	uint64_t due; /* open loop */
	uint64_t dropped;
	uint64_t backlog_max;
	uint64_t late_max_ns; /* longest that a message was due and not begun */
	uint64_t last_ns;     /* when the last one ended */
	struct handshake_facts tls; /* of the last handshake */
	struct tally_failure failures[TALLY_FAILURES_MAX];
	uint32_t failures_n;
};

void tally_clear(struct tally *t);
void tally_add(struct tally *t, const struct tally *other);

void tally_time(struct tally *t, enum tally_latency which, uint64_t ns);
void tally_fail(struct tally *t, enum tally_stage stage,
		const struct client_verdict *why);

const char *tally_stage_name(enum tally_stage stage);
const char *tally_latency_key(enum tally_latency which);
const char *tally_latency_help(enum tally_latency which);
