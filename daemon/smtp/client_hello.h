#pragma once

/*
 * client_hello: what a next hop says it can do, from the lines of its answer to
 * EHLO (RFC 5321 4.1.1.1). Unknown keywords are skipped, malformed ones count
 * as not offered. It holds for the connection's present state: it is cleared
 * before each EHLO, so nothing said before TLS survives it (RFC 3207 4.2).
 */

#include "base/span.h"

struct client_hello {
	bool pipelining;         /* RFC 2920 */
	bool size;               /* RFC 1870 */
	bool eight_bit;          /* 8BITMIME, RFC 6152 */
	bool smtputf8;           /* RFC 6531 */
	bool chunking;           /* BDAT, RFC 3030 */
	bool starttls;           /* RFC 3207 */
	bool auth_plain;         /* RFC 4954, RFC 4616 */
	bool dsn;                /* RFC 3461 */
	bool enhanced;           /* ENHANCEDSTATUSCODES, RFC 2034 */
	uint64_t size_max;       /* 0: no limit told */
	uint64_t mail_max;       /* LIMITS, RFC 9422: messages; 0: none told */
	uint64_t recipients_max; /* of one message; 0: none told */
};

/* Reads one line behind the first: keyword and parameters, without the code. */
void client_hello_line(struct client_hello *h, struct span line);
