#include "tls/record_kernel.h"

#include "base/must.h"
#include "tls/secrets.h"

#include <errno.h>
#include <openssl/ssl.h>

/*
 * The kernel carries data; every other record it leaves to us, and reading
 * stops before it until it is fetched by itself.
 *
 * I1 After a KeyUpdate the kernel must not be made to read with the old keys:
 *    a record that it cannot decrypt kills the socket both ways, and not even
 *    an alert can be sent. So either the new keys go in before the next read,
 *    or there is none (RECORD_LAST).
 * I2 Between a KeyUpdate of ours and the new sending keys nothing is sent: it
 *    is a control record that the caller sends alone, and `flying` until then.
 * I3 At most one control record is due; an alert, which is the last word,
 *    replaces an answer to KeyUpdate.
 */

#define KEY_UPDATE_BYTES 5 /* RFC 8446 4.6.3, with its head */

enum { ALERT_WARNING = 1, ALERT_FATAL = 2 };

void record_kernel_take(struct record *r, int fd, enum keys_cipher cipher,
			bool can_rekey)
{
	struct secrets *secrets = r->secrets;
	const bool tls13 = SSL_version(r->ssl) == TLS1_3_VERSION;

	r->backend = RECORD_KERNEL;
	r->kernel = (struct record_kernel){
		.fd = fd,
		.cipher = cipher,
		.messages = { .server = SSL_is_server(r->ssl), .tls13 = tls13 },
	};
	if (!can_rekey || !tls13) {
		secrets_close(secrets, r->ssl);
		r->secrets = NULL;
	}
	SSL_set_quiet_shutdown(r->ssl, 1);
	SSL_free(r->ssl);
	r->ssl = NULL;
}

void record_kernel_fini(struct record *r)
{
	secrets_close(r->secrets, NULL);
	r->secrets = NULL;
}

enum record_result record_kernel_open(struct record *r, struct span *in,
				      struct buf *plain)
{
	if (r->failed)
		return RECORD_FAILED;
	return record_pass(in, plain);
}

enum record_result record_kernel_seal(struct record *r, struct span *plain,
				      struct buf *out)
{
	if (r->failed)
		return RECORD_FAILED;
	return r->kernel.shut ? RECORD_CLOSED : record_pass(plain, out);
}

bool record_kernel_passes_input(const struct record *r)
{
	const struct record_kernel *k = &r->kernel;

	return !r->failed && !k->wants_control && !k->closed && !k->last;
}

bool record_kernel_passes_bytes(const struct record *r)
{
	const struct record_kernel *k = &r->kernel;

	return !r->failed && !k->shut && k->due == RECORD_DUE_NONE &&
	       k->flying == RECORD_DUE_NONE; /* I2 */
}

static void say(struct record *r, uint8_t level, uint8_t alert)
{
	struct record_kernel *k = &r->kernel;

	if (k->shut)
		return;
	k->shut = true;
	k->due = RECORD_DUE_ALERT; /* I3 */
	k->alert[0] = level;
	k->alert[1] = alert;
}

void record_kernel_shutdown(struct record *r)
{
	if (!r->failed)
		say(r, ALERT_WARNING, SSL_AD_CLOSE_NOTIFY);
}

/* The peer broke the rules and is told which. */
static enum record_result refuse(struct record *r, uint8_t alert)
{
	say(r, ALERT_FATAL, alert);
	r->failed = true;
	return RECORD_FAILED;
}

/* The connection is beyond words. */
static enum record_result die(struct record *r)
{
	r->failed = true;
	r->kernel.shut = true;
	r->kernel.due = RECORD_DUE_NONE;
	return RECORD_FAILED;
}

/*
 * EIO: the next record is not data. What else the kernel finds in records makes
 * the socket useless, so nothing is due any more.
 */
enum record_result record_kernel_receive_failed(struct record *r, int error)
{
	if (r->failed) /* said once: a caller that reads on must not go on */
		return RECORD_LOST;
	switch (-error) {
	case EIO:
		/* Told again of the one that was to be fetched: no record. */
		if (r->kernel.wants_control)
			break;
		r->kernel.wants_control = true;
		return RECORD_OK;
	case EBADMSG:     /* cannot be decrypted */
	case EINVAL:      /* another version or no type */
	case EMSGSIZE:    /* longer than records may be */
	case EKEYEXPIRED: /* behind a KeyUpdate that we did not follow */
		return die(r);
	default: break;
	}
	(void)die(r);
	return RECORD_LOST;
}

/* Alerts */

static enum record_result open_alert(struct record *r, struct span alert)
{
	uint8_t level, what;

	if (alert.len != 2)
		return refuse(r, SSL_AD_DECODE_ERROR);
	level = alert.p[0];
	what = alert.p[1];
	if (what == SSL_AD_CLOSE_NOTIFY) {
		r->kernel.closed = true;
		return RECORD_CLOSED;
	}
	/* RFC 8446 6: but for these two the level means nothing any more. */
	if (what == SSL_AD_USER_CANCELLED ||
	    (!r->kernel.messages.tls13 && level == ALERT_WARNING))
		return RECORD_OK;
	return die(r);
}

/* Handshake messages */

static struct keys_secret *secret_of(struct record *r, bool sending)
{
	return r->kernel.messages.server == sending ? &r->secrets->server :
						      &r->secrets->client;
}

/* The next keys of one direction; zero or a negative errno. */
static int change_keys(struct record *r, bool sending)
{
	struct keys_secret *secret = secret_of(r, sending);
	struct keys keys;
	int status = -EIO;

	if (keys_next_secret(secret) &&
	    keys_from_secret(secret, r->kernel.cipher, &keys)) {
		status = sending ? offload_rekey_tx(r->kernel.fd, &keys) :
				   offload_rekey_rx(r->kernel.fd, &keys);
		keys_wipe(&keys);
	}
	return status;
}

static enum record_result follow_key_update(struct record *r, bool asked)
{
	struct record_kernel *k = &r->kernel;

	if (!r->secrets || change_keys(r, false)) {
		k->last = true; /* I1 */
		return RECORD_LAST;
	}
	/* Should the answer to one that came before be flying still, it is
	 * older than this one and another is due. */
	if (asked && !k->shut)
		k->due = RECORD_DUE_KEY_UPDATE;
	return RECORD_OK;
}

static bool too_many(struct record *r)
{
	return r->control_n++ >= RECORD_CONTROL_MAX;
}

static enum record_result act(struct record *r, enum posthandshake_event event)
{
	switch (event) {
	case POSTHANDSHAKE_NOTHING:
	case POSTHANDSHAKE_TICKET: return RECORD_OK;
	case POSTHANDSHAKE_KEY_UPDATE: return follow_key_update(r, false);
	case POSTHANDSHAKE_KEY_UPDATE_REQUESTED:
		return follow_key_update(r, true);
	case POSTHANDSHAKE_UNEXPECTED:
		return refuse(r, SSL_AD_UNEXPECTED_MESSAGE);
	case POSTHANDSHAKE_MALFORMED: return refuse(r, SSL_AD_DECODE_ERROR);
	case POSTHANDSHAKE_ILLEGAL: return refuse(r, SSL_AD_ILLEGAL_PARAMETER);
	}
	MUST_NOT_REACH("an event without an answer");
}

static enum record_result open_handshake(struct record *r, struct span in)
{
	enum record_result result = RECORD_OK;

	if (!in.len) /* RFC 8446 5.1 */
		return refuse(r, SSL_AD_UNEXPECTED_MESSAGE);
	while (in.len && result == RECORD_OK) {
		enum posthandshake_event event =
			posthandshake_next(&r->kernel.messages, &in);

		if (event != POSTHANDSHAKE_NOTHING && too_many(r))
			return refuse(r, SSL_AD_UNEXPECTED_MESSAGE);
		result = act(r, event);
	}
	return result;
}

static enum record_result open_by_type(struct record *r, uint8_t type,
				       struct span payload)
{
	if (!type) { /* no record at all: the peer is gone */
		(void)die(r);
		return RECORD_LOST;
	}
	switch (type) {
	case SSL3_RT_HANDSHAKE: return open_handshake(r, payload);
	case SSL3_RT_ALERT:
		return too_many(r) ? refuse(r, SSL_AD_UNEXPECTED_MESSAGE) :
				     open_alert(r, payload);
	default: return refuse(r, SSL_AD_UNEXPECTED_MESSAGE);
	}
}

enum record_result
record_kernel_open_control(struct record *r, struct record_control *c, size_t n)
{
	struct record_kernel *k = &r->kernel;

	MUST(n <= sizeof(c->payload));
	k->wants_control = false;
	if (r->failed)
		return RECORD_FAILED;
	MUST(!k->last && !k->closed); /* I1: it was told not to read */
	return open_by_type(r, record_control_type(c), span_of(c->payload, n));
}

/* Sending */

bool record_kernel_take_control(struct record *r, struct record_control *c)
{
	static const uint8_t update[KEY_UPDATE_BYTES] = {
		SSL3_MT_KEY_UPDATE, 0, 0, 1, SSL_KEY_UPDATE_NOT_REQUESTED
	};
	struct record_kernel *k = &r->kernel;

	MUST(k->flying == RECORD_DUE_NONE);
	switch (k->due) {
	case RECORD_DUE_NONE: return false;
	case RECORD_DUE_KEY_UPDATE:
		record_control_send(c, SSL3_RT_HANDSHAKE,
				    span_of(update, sizeof(update)));
		break;
	case RECORD_DUE_ALERT:
		record_control_send(c, SSL3_RT_ALERT,
				    span_of(k->alert, sizeof(k->alert)));
		break;
	}
	k->flying = k->due;
	k->due = RECORD_DUE_NONE;
	return true;
}

enum record_result record_kernel_control_sent(struct record *r)
{
	enum record_due sent = r->kernel.flying;

	MUST(sent != RECORD_DUE_NONE);
	r->kernel.flying = RECORD_DUE_NONE;
	if (sent == RECORD_DUE_KEY_UPDATE && change_keys(r, true)) /* I2 */
		return die(r);
	return RECORD_OK;
}
