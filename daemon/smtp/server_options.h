#pragma once

/*
 * server_options: what a listener's sessions allow, read from the configuration
 * by the layer above, and the sizes of the storage that a pump must bring.
 */

#include "base/span.h"

/* Longest command lines, CRLF included (RFC 5321 4.5.3.1.4, RFC 4954 4). */
#define SMTP_LINE_MAX      2048
#define SMTP_AUTH_LINE_MAX 12288

/*
 * Storage the pump must bring: `in` has to be able to hold a whole line, `out`
 * at least two of what one step may write, `body` our own header fields.
 */
#define SMTP_INPUT_MIN       SMTP_AUTH_LINE_MAX
#define SMTP_OUTPUT_STEP_MAX 2048
#define SMTP_OUTPUT_MIN      (2 * SMTP_OUTPUT_STEP_MAX)
#define SMTP_BODY_MIN        2048

enum smtp_bare_lf { SMTP_BARE_LF_REFUSE, SMTP_BARE_LF_NORMALISE };

/* Lives as long as the servers that use it. Sizes in bytes. */
struct smtp_server_options {
	const char *hostname;
	const char *auth_mechanisms; /* "PLAIN LOGIN"; NULL or "": no AUTH */
	bool require_auth;
	bool starttls; /* offered before TLS */
	enum smtp_bare_lf bare_lf;
	uint64_t message_max;
	uint32_t header_max;
	uint32_t text_line_max;
	uint32_t recipients_max; /* per message */
	uint32_t messages_max;   /* per session; 0: no limit */
	uint32_t hops_max;
	uint32_t errors_max;        /* per session, then 421 */
	uint32_t idle_commands_max; /* without progress, then 421 */
};
