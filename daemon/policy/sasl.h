#pragma once

/*
 * sasl: the server's side of SASL exchanges that end in a name and a password:
 * PLAIN (RFC 4616) and LOGIN (as clients speak it; it has no RFC). Base64 in,
 * base64 challenges out. It never decides whether a password is right, and
 * never keeps one longer than its owner: sasl_wipe ends every exchange. A
 * mechanism with proofs instead of passwords becomes another case of
 * sasl_step and another result, not a plug-in.
 */

#include "base/secret.h"

#define SASL_MECHANISMS    "PLAIN LOGIN"
#define SASL_USER_MAX      256 /* the final NUL included */
#define SASL_CHALLENGE_MAX 16

enum sasl_result {
	SASL_CONTINUE,    /* send the challenge, step with the response */
	SASL_CREDENTIALS, /* user and password are there: check them */
	SASL_BAD_BASE64,  /* the response is not canonical base64 */
	SASL_REFUSED,     /* decoded, but not what the mechanism asks for */
};

enum sasl_state {
	SASL_OVER, /* nothing begun, or wiped */
	SASL_PLAIN_MESSAGE,
	SASL_LOGIN_USER,
	SASL_LOGIN_PASSWORD
};

struct sasl {
	enum sasl_state state;
	char user[SASL_USER_MAX]; /* valid after SASL_CREDENTIALS */
	struct secret password;   /* valid after SASL_CREDENTIALS */
};

/* Begins an exchange; the name in any case. False: no such mechanism. */
bool sasl_begin(struct sasl *s, struct span mechanism);

/*
 * Takes the client's response in base64; NULL when none came with the command,
 * which is not the same as an empty one. After SASL_CONTINUE *ret_challenge is
 * base64 of static storage, perhaps empty. All other results end the exchange.
 * A user name is at least one octet, none of them a control character.
 */
enum sasl_result sasl_step(struct sasl *s, const struct span *response,
			   struct span *ret_challenge);

/* Overwrites name and password. Harmless at any time. */
void sasl_wipe(struct sasl *s);
