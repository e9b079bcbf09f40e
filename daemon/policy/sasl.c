#include "policy/sasl.h"

#include "policy/base64.h"

#include <string.h>

/* Two names, two NULs and a password, as PLAIN packs them. */
#define DECODED_MAX (2 * SASL_USER_MAX + SECRET_MAX + 2)

/* "Username:" and "Password:", as every client of LOGIN expects them. */
static const struct span sasl_ask_user = SPAN("VXNlcm5hbWU6");
static const struct span sasl_ask_password = SPAN("UGFzc3dvcmQ6");

static bool sasl_set_user(struct sasl *s, struct span user)
{
	if (!user.len || user.len >= sizeof(s->user))
		return false;
	for (size_t i = 0; i < user.len; i++)
		if (user.p[i] < ' ' || user.p[i] == 0x7f)
			return false;
	memcpy(s->user, user.p, user.len);
	s->user[user.len] = 0;
	return true;
}

/* crypt_r takes a C string: a password with a NUL would be cut short there. */
static bool sasl_set_password(struct sasl *s, struct span password)
{
	return password.len && span_find(password, 0) == password.len &&
	       secret_set(&s->password, password);
}

/*
 * [authzid] NUL authcid NUL passwd (RFC 4616 2). Acting for somebody else is
 * not offered, so an authzid has to name the same user.
 */
static enum sasl_result sasl_plain(struct sasl *s, struct span message)
{
	size_t first = span_find(message, 0);
	struct span authzid = span_head(message, first);
	struct span authcid, rest;
	size_t second;

	if (first == message.len)
		return SASL_REFUSED;
	rest = span_tail(message, first + 1);
	second = span_find(rest, 0);
	if (second == rest.len)
		return SASL_REFUSED;
	authcid = span_head(rest, second);
	if (authzid.len && !span_equal(authzid, authcid))
		return SASL_REFUSED;
	if (!sasl_set_user(s, authcid) ||
	    !sasl_set_password(s, span_tail(rest, second + 1)))
		return SASL_REFUSED;
	return SASL_CREDENTIALS;
}

static enum sasl_result sasl_login_user(struct sasl *s, struct span user,
					struct span *ret_challenge)
{
	if (!sasl_set_user(s, user))
		return SASL_REFUSED;
	s->state = SASL_LOGIN_PASSWORD;
	*ret_challenge = sasl_ask_password;
	return SASL_CONTINUE;
}

static enum sasl_result sasl_decoded(struct sasl *s, struct span message,
				     struct span *ret_challenge)
{
	switch (s->state) {
	case SASL_PLAIN_MESSAGE: return sasl_plain(s, message);
	case SASL_LOGIN_USER: return sasl_login_user(s, message, ret_challenge);
	case SASL_LOGIN_PASSWORD:
		return sasl_set_password(s, message) ? SASL_CREDENTIALS :
						       SASL_REFUSED;
	case SASL_OVER: break;
	}
	return SASL_REFUSED;
}

/* No response came with the command: the server speaks first. */
static enum sasl_result sasl_ask(const struct sasl *s,
				 struct span *ret_challenge)
{
	if (s->state == SASL_OVER)
		return SASL_REFUSED;
	*ret_challenge = s->state == SASL_LOGIN_USER ? sasl_ask_user : SPAN("");
	return SASL_CONTINUE;
}

bool sasl_begin(struct sasl *s, struct span mechanism)
{
	sasl_wipe(s);
	if (span_equal_nocase(mechanism, SPAN("PLAIN")))
		s->state = SASL_PLAIN_MESSAGE;
	else if (span_equal_nocase(mechanism, SPAN("LOGIN")))
		s->state = SASL_LOGIN_USER;
	return s->state != SASL_OVER;
}

enum sasl_result sasl_step(struct sasl *s, const struct span *response,
			   struct span *ret_challenge)
{
	uint8_t storage[DECODED_MAX];
	enum sasl_result result;
	struct buf decoded;

	if (!response)
		return sasl_ask(s, ret_challenge);
	buf_init(&decoded, storage, sizeof(storage));
	if (!base64_decode(*response, &decoded))
		result = SASL_BAD_BASE64;
	else if (decoded.overflowed)
		result = SASL_REFUSED;
	else
		result = sasl_decoded(s, buf_span(&decoded), ret_challenge);
	explicit_bzero(storage, sizeof(storage));
	if (result == SASL_BAD_BASE64 || result == SASL_REFUSED)
		sasl_wipe(s);
	else if (result == SASL_CREDENTIALS)
		s->state = SASL_OVER;
	return result;
}

void sasl_wipe(struct sasl *s)
{
	explicit_bzero(s, sizeof(*s));
}
