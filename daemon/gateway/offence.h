#pragma once

/*
 * offence: what a worker tells the supervisor about clients that fail, for the
 * shield. A report is written whole or not at all, and never waited for: what
 * the pipe has no room for is counted and lost.
 */

#include "base/prefix.h"

struct session;
struct worker;

enum offence_kind { OFFENCE_AUTH, OFFENCE_HANDSHAKE };

struct offence_report {
	struct prefix source; /* one address */
	uint8_t kind;         /* enum offence_kind */
};

void offence_tell(struct worker *w, const struct session *s,
		  enum offence_kind kind);
