#include "tls/record_user.h"

#include "base/must.h"
#include "tls/secrets.h"
#include "tls/wire.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

/*
 * I1 A record is sealed only when `out` has room for all of it, so none is
 *    ever half-written inside OpenSSL, which would tie us to repeat the call
 *    with the same bytes. Hence the sizes below, and partial writes
 *    (SSL_MODE_ENABLE_PARTIAL_WRITE): one call makes one record.
 * I2 What OpenSSL writes by itself is whole, too: reading handles one message
 *    without data at a time (the wire stops there, and SSL_MODE_AUTO_RETRY is
 *    off) and only when its answer has room; a KeyUpdate that is due with our
 *    next bytes is counted among them.
 * I3 OpenSSL's error queue is empty before each call, and after one that
 *    failed.
 */

#define HEADER_BYTES      5
#define TAG_BYTES         16
#define TLS13_TYPE_BYTES  1 /* RFC 8446 5.2 */
#define TLS12_NONCE_BYTES 8 /* RFC 5288 3; ChaCha20 has none */
#define KEY_UPDATE_BYTES  5 /* RFC 8446 4.6.3, with its header */
#define ALERT_BYTES       2

/* What a record takes beside its data. */
static size_t overhead(const SSL *ssl)
{
	bool tls13 = SSL_version(ssl) == TLS1_3_VERSION;

	return HEADER_BYTES + TAG_BYTES +
	       (tls13 ? TLS13_TYPE_BYTES : TLS12_NONCE_BYTES);
}

/* Room for what OpenSSL sends ahead of our next bytes (I2). */
static size_t owed(const SSL *ssl)
{
	return SSL_get_key_update_type(ssl) == SSL_KEY_UPDATE_NONE ?
		       0 :
		       KEY_UPDATE_BYTES + overhead(ssl);
}

/* Most data in one record; a client may have asked for less (RFC 6066 4). */
static size_t fragment_max(const SSL *ssl)
{
	unsigned int wish =
		SSL_SESSION_get_max_fragment_length(SSL_get0_session(ssl));

	switch (wish) {
	case TLSEXT_max_fragment_length_512: return 512;
	case TLSEXT_max_fragment_length_1024: return 1024;
	case TLSEXT_max_fragment_length_2048: return 2048;
	case TLSEXT_max_fragment_length_4096: return 4096;
	default: return SSL3_RT_MAX_PLAIN_LENGTH;
	}
}

void record_user_take(struct record *r, struct handshake *h)
{
	MUST(SSL_is_init_finished(h->ssl));
	*r = (struct record){ .backend = RECORD_USER,
			      .offload = OFFLOAD_UNTRIED,
			      .ssl = h->ssl,
			      .secrets = h->secrets };
	/* Each SSL has lists of our certificates, for handshakes to come; there
	 * are none (SSL_OP_NO_RENEGOTIATION). */
	SSL_certs_clear(h->ssl);
}

static enum record_result fail(struct record *r)
{
	ERR_clear_error(); /* I3 */
	r->failed = true;
	return RECORD_FAILED;
}

/* I3: a look costs a fraction of clearing what is empty, as it nearly always
 * is. */
static void lend(struct record *r, struct wire *w)
{
	if (ERR_peek_error())
		ERR_clear_error();
	wire_lend(r->ssl, w);
}

/* One call of SSL_read_ex: data of one record, one record without, or both. */
static int read_some(struct record *r, struct span *in, struct buf *plain,
		     struct buf *out)
{
	struct wire w = { .in = in, .out = out, .stop_at_control = true };
	size_t room, n = 0;
	uint8_t *to = buf_reserve(plain, &room);
	int ok, error;

	lend(r, &w);
	ok = SSL_read_ex(r->ssl, to, room, &n);
	wire_take_back(r->ssl);
	error = SSL_get_error(r->ssl, ok);
	buf_produced(plain, n);
	r->control_n = (uint16_t)(r->control_n + w.met_control);
	return error;
}

static bool can_read(const struct record *r, const struct span *in,
		     const struct buf *plain, const struct buf *out)
{
	return buf_room(plain) && buf_room(out) >= RECORD_ANSWER_MAX /* I2 */ &&
	       (in->len || SSL_pending(r->ssl));
}

enum record_result record_user_open(struct record *r, struct span *in,
				    struct buf *plain, struct buf *out)
{
	if (r->failed)
		return RECORD_FAILED;
	while (can_read(r, in, plain, out)) {
		int error = read_some(r, in, plain, out);

		if (error == SSL_ERROR_ZERO_RETURN)
			break;
		if ((error != SSL_ERROR_NONE && error != SSL_ERROR_WANT_READ) ||
		    r->control_n > RECORD_CONTROL_MAX)
			return fail(r);
	}
	if (!(SSL_get_shutdown(r->ssl) & SSL_RECEIVED_SHUTDOWN))
		return RECORD_OK;
	*in = span_tail(*in, in->len); /* RFC 8446 6.1: to be ignored */
	return RECORD_CLOSED;
}

/* OpenSSL may hold one record, whole or in part. */
uint64_t record_user_wire_min(uint64_t plain_len)
{
	return plain_len > SSL3_RT_MAX_PACKET_SIZE ?
		       plain_len - SSL3_RT_MAX_PACKET_SIZE :
		       0;
}

bool record_user_pending(const struct record *r)
{
	return !r->failed && SSL_pending(r->ssl) > 0;
}

/*
 * Seals one record's worth; there is room for it (I1). Should OpenSSL have more
 * to say than we counted, whatever a peer made it do, the connection is given
 * up: a record cut in two could not be mended, and is not worth a worker.
 */
static bool write_one(struct record *r, struct span *plain, size_t n,
		      struct buf *out)
{
	struct span nothing = { 0 };
	struct wire w = { .in = &nothing, .out = out };
	size_t done = 0;
	int ok;

	lend(r, &w);
	ok = SSL_write_ex(r->ssl, plain->p, n, &done);
	wire_take_back(r->ssl);
	*plain = span_tail(*plain, done);
	return ok;
}

enum record_result record_user_seal(struct record *r, struct span *plain,
				    struct buf *out)
{
	const size_t extra = overhead(r->ssl);

	if (r->failed)
		return RECORD_FAILED;
	if (SSL_get_shutdown(r->ssl) & SSL_SENT_SHUTDOWN)
		return RECORD_CLOSED;
	while (plain->len) {
		size_t room = buf_room(out);
		size_t spent = extra + owed(r->ssl);
		size_t n = plain->len;

		if (room <= spent)
			break;
		if (n > room - spent)
			n = room - spent;
		if (!write_one(r, plain, n, out))
			return fail(r);
	}
	return RECORD_OK;
}

size_t record_user_sealed_max(const struct record *r, size_t plain_len)
{
	size_t fragment = fragment_max(r->ssl);
	size_t records = (plain_len + fragment - 1) / fragment;

	return owed(r->ssl) + plain_len + records * overhead(r->ssl);
}

void record_user_shutdown(struct record *r, struct buf *out)
{
	struct span nothing = { 0 };
	struct wire w = { .in = &nothing, .out = out };

	if (r->failed ||
	    buf_room(out) < owed(r->ssl) + ALERT_BYTES + overhead(r->ssl))
		return;
	lend(r, &w);
	(void)SSL_shutdown(r->ssl);
	wire_take_back(r->ssl);
	ERR_clear_error(); /* I3 */
}

/*
 * SSL_has_pending alone does not see a header whose record is all to come; the
 * state of the reader ("RH": a header is next) does.
 */
bool record_user_at_boundary(const struct record *r)
{
	return !r->failed && SSL_is_init_finished(r->ssl) &&
	       !SSL_has_pending(r->ssl) && !SSL_get_shutdown(r->ssl) &&
	       !strcmp(SSL_rstate_string(r->ssl), "RH") && !owed(r->ssl);
}

bool record_user_has_short_records(const struct record *r)
{
	return fragment_max(r->ssl) < SSL3_RT_MAX_PLAIN_LENGTH;
}

void record_user_forget_secrets(struct record *r)
{
	secrets_close(r->secrets, r->ssl);
	r->secrets = NULL;
}

void record_user_fini(struct record *r)
{
	record_user_forget_secrets(r);
	SSL_free(r->ssl);
	r->ssl = NULL;
}
