#include "smtp/server_state.h"

#include "base/must.h"

/*
 *                      GREETING
 *                          |
 *   STARTING_TLS* <---> READING ----> SKIPPING ----> READING
 *                          |
 *       +------------------+--------------------+--------------+
 *       |                  |                    |              |
 *   AUTHENTICATING*   CHECKING_MAIL*        OPENING*       RECEIVING
 *       |    ^        CHECKING_RCPT*            |        (further chunk)
 *       |    |             |                 TRACING           |
 *       |  AUTH_READING    |                    |              |
 *       v    ^             v                    v              |
 *     REPLYING ------> READING             RECEIVING <---------+
 *       ^                  ^                |  ^   |
 *       |                  |      STORING* -+--+   +--> READING
 *       |                  |                |           (chunk, or refused)
 *       +-- COMMITTING* <--|----------------+
 *                |         |
 *                +---> REFUSING
 *
 * Those with a star wait for an answer. All but COMMITTING may go to CLOSING.
 */

#define TO(state) (1U << SMTP_##state)

static const uint32_t server_state_edges[] = {
	[SMTP_GREETING] = TO(READING) | TO(CLOSING),
	[SMTP_READING] = TO(STARTING_TLS) | TO(AUTHENTICATING) |
			 TO(CHECKING_MAIL) | TO(CHECKING_RCPT) | TO(OPENING) |
			 TO(RECEIVING) | TO(SKIPPING) | TO(CLOSING),
	[SMTP_STARTING_TLS] = TO(READING) | TO(CLOSING),
	[SMTP_AUTH_READING] = TO(AUTHENTICATING) | TO(READING) | TO(CLOSING),
	[SMTP_AUTHENTICATING] = TO(REPLYING) | TO(CLOSING),
	[SMTP_CHECKING_MAIL] = TO(REPLYING) | TO(CLOSING),
	[SMTP_CHECKING_RCPT] = TO(REPLYING) | TO(CLOSING),
	[SMTP_OPENING] = TO(TRACING) | TO(RECEIVING) | TO(REPLYING) |
			 TO(CLOSING),
	[SMTP_TRACING] = TO(RECEIVING) | TO(CLOSING),
	[SMTP_RECEIVING] = TO(STORING) | TO(COMMITTING) | TO(READING) |
			   TO(CLOSING),
	[SMTP_STORING] = TO(RECEIVING) | TO(CLOSING),
	[SMTP_SKIPPING] = TO(READING) | TO(CLOSING),
	[SMTP_COMMITTING] = TO(REPLYING) | TO(REFUSING),
	[SMTP_REPLYING] = TO(READING) | TO(AUTH_READING) | TO(CLOSING),
	[SMTP_REFUSING] = TO(READING) | TO(CLOSING),
	[SMTP_CLOSING] = TO(CLOSING),
};

void server_state_set(struct smtp_server *s, enum smtp_state next)
{
	MUST(server_state_edges[s->state] & (1U << next));
	s->state = next;
}

bool server_state_asks(enum smtp_state state)
{
	return (TO(STARTING_TLS) | TO(AUTHENTICATING) | TO(CHECKING_MAIL) |
		TO(CHECKING_RCPT) | TO(OPENING) | TO(STORING) |
		TO(COMMITTING)) &
	       (1U << state);
}
