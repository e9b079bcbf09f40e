#include "tls/handshake.h"

#include "base/must.h"
#include "tls/resumption.h"
#include "tls/secrets.h"
#include "tls/wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

/*
 * OpenSSL keeps errors in a queue per thread, not per connection: it is emptied
 * before each call, so that no other session's error is read as ours, and after
 * it, so that ours is nobody's.
 */

static bool is_address(const char *name)
{
	struct in6_addr any;

	return inet_pton(AF_INET, name, &any) == 1 ||
	       inet_pton(AF_INET6, name, &any) == 1;
}

/* RFC 6066 3 allows no address in SNI; a certificate has them apart, too. */
static int expect_name(SSL *ssl, const char *name)
{
	X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
	char copy[TLSEXT_MAXLEN_host_name + 1]; /* the macro casts const away */
	size_t len = strlen(name);

	if (is_address(name))
		return X509_VERIFY_PARAM_set1_ip_asc(param, name) ? 0 : -ENOMEM;
	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS |
				       X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
	if (!len || len >= sizeof(copy))
		return -EINVAL;
	memcpy(copy, name, len + 1);
	return SSL_set_tlsext_host_name(ssl, copy) && SSL_set1_host(ssl, copy) ?
		       0 :
		       -ENOMEM;
}

int handshake_open(struct handshake *h, const struct creds *creds,
		   const char *name)
{
	int status;

	ERR_clear_error();
	*h = (struct handshake){ .ssl = SSL_new(creds_context(creds)) };
	if (!h->ssl)
		return -ENOMEM;
	h->server = SSL_is_server(h->ssl);
	MUST(h->server == !name);
	if (h->server)
		SSL_set_accept_state(h->ssl);
	else
		SSL_set_connect_state(h->ssl);
	status = wire_attach(h->ssl);
	if (!status && name)
		status = expect_name(h->ssl, name);
	if (!status && !h->server && creds_resumption(creds))
		resumption_offer(creds_resumption(creds), h->ssl);
	ERR_clear_error();
	if (status < 0)
		handshake_fini(h);
	return status;
}

int handshake_keep_secrets(struct handshake *h)
{
	MUST(h->ssl && !h->begun && !h->secrets);
	h->secrets = secrets_open(h->ssl);
	return h->secrets ? 0 : -ENOMEM;
}

static bool starts_with_any(struct span s, const char *const words[], size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (span_starts_nocase(s, span_str(words[i])))
			return true;
	return false;
}

/*
 * Looks at the peer's first bytes before OpenSSL does: a scanner gets an answer
 * that costs nothing, an operator the reason why his client cannot connect.
 * NULL: may be TLS. Rarely a first segment is so short that a word is cut off;
 * then the answer is less exact, but as quick.
 */
static const char *judge_first_bytes(struct span in)
{
	static const char *const smtp[] = { "EHLO", "HELO",     "LHLO",
					    "MAIL", "STARTTLS", "QUIT",
					    "NOOP", "RSET",     "AUTH" };
	static const char *const http[] = { "GET ",  "POST ",    "HEAD ",
					    "PUT ",  "OPTIONS ", "CONNECT ",
					    "PRI * " };
	uint8_t first = in.p[0];

	if (first == SSL3_RT_HANDSHAKE || first == SSL3_RT_ALERT)
		return NULL;
	if (starts_with_any(in, smtp, sizeof(smtp) / sizeof(*smtp)))
		return "not TLS: an SMTP command in clear";
	if (starts_with_any(in, http, sizeof(http) / sizeof(*http)))
		return "not TLS: an HTTP request in clear";
	if (first >= '2' && first <= '5' && in.len > 3 &&
	    (in.p[3] == ' ' || in.p[3] == '-'))
		return "not TLS: an SMTP reply in clear";
	if (first == '\r' || first == '\n' || (first >= ' ' && first < 0x7f))
		return "not TLS: text in clear";
	return "not TLS: no TLS record";
}

/* Alerts that operators meet (RFC 8446 6.2), in words of one length. */
static const char *peer_alert(int alert)
{
	switch (alert) {
	case SSL_AD_CLOSE_NOTIFY: return "the peer gave up";
	case SSL_AD_HANDSHAKE_FAILURE:
		return "the peer refused: no common parameters";
	case SSL_AD_NO_CERTIFICATE: return "the peer refused: no certificate";
	case SSL_AD_BAD_CERTIFICATE: return "the peer refused: bad certificate";
	case SSL_AD_UNSUPPORTED_CERTIFICATE:
		return "the peer refused: unsupported certificate";
	case SSL_AD_CERTIFICATE_REVOKED:
		return "the peer refused: certificate revoked";
	case SSL_AD_CERTIFICATE_EXPIRED:
		return "the peer refused: certificate expired";
	case SSL_AD_CERTIFICATE_UNKNOWN:
		return "the peer refused: certificate not accepted";
	case SSL_AD_ILLEGAL_PARAMETER:
		return "the peer refused: illegal parameter";
	case SSL_AD_UNKNOWN_CA: return "the peer refused: unknown CA";
	case SSL_AD_DECRYPT_ERROR: return "the peer refused: bad signature";
	case SSL_AD_PROTOCOL_VERSION:
		return "the peer refused: protocol version";
	case SSL_AD_INSUFFICIENT_SECURITY:
		return "the peer refused: insufficient security";
	case SSL_AD_USER_CANCELLED: return "the peer gave up";
	case SSL_AD_UNRECOGNIZED_NAME: return "the peer refused: unknown name";
	default: return "the peer refused, with a rare alert";
	}
}

/* The reason of what just failed, from OpenSSL's error queue. */
static const char *failure_of(const SSL *ssl)
{
	unsigned long error = ERR_peek_error();
	int reason = ERR_GET_REASON(error);
	const char *text;

	if (ERR_GET_LIB(error) == ERR_LIB_SSL &&
	    reason >= SSL_AD_REASON_OFFSET &&
	    reason < SSL_AD_REASON_OFFSET + 256)
		return peer_alert(reason - SSL_AD_REASON_OFFSET);
	if (ERR_GET_LIB(error) == ERR_LIB_SSL &&
	    reason == SSL_R_CERTIFICATE_VERIFY_FAILED)
		return X509_verify_cert_error_string(
			SSL_get_verify_result(ssl));
	text = error ? ERR_reason_error_string(error) : NULL;
	return text ? text : "handshake failed";
}

static enum handshake_result advance(struct handshake *h, struct wire *w)
{
	enum handshake_result result;
	int status;

	ERR_clear_error();
	wire_lend(h->ssl, w);
	status = SSL_do_handshake(h->ssl);
	wire_take_back(h->ssl);
	switch (SSL_get_error(h->ssl, status)) {
	case SSL_ERROR_NONE: result = HANDSHAKE_DONE; break;
	case SSL_ERROR_WANT_READ: result = HANDSHAKE_NEED_INPUT; break;
	case SSL_ERROR_WANT_WRITE: result = HANDSHAKE_NEED_OUTPUT; break;
	default:
		h->failure = failure_of(h->ssl);
		result = HANDSHAKE_FAILED;
		break;
	}
	ERR_clear_error();
	return result;
}

enum handshake_result handshake_step(struct handshake *h, struct span *in,
				     struct buf *out)
{
	struct wire w = { .in = in, .out = out };

	MUST(h->ssl);
	if (!h->failure && !h->begun && in->len) {
		h->begun = true;
		h->failure = judge_first_bytes(*in);
	}
	return h->failure ? HANDSHAKE_FAILED : advance(h, &w);
}

struct handshake_facts handshake_facts(const struct handshake *h)
{
	const SSL_CIPHER *cipher;

	MUST(h->ssl && SSL_is_init_finished(h->ssl));
	cipher = SSL_get_current_cipher(h->ssl);
	return (struct handshake_facts){
		.version = SSL_get_version(h->ssl),
		.cipher = SSL_CIPHER_standard_name(cipher),
		.resumed = SSL_session_reused(h->ssl),
		.bits = (uint16_t)SSL_CIPHER_get_bits(cipher, NULL),
	};
}

const char *handshake_reason(const struct handshake *h)
{
	return h->failure ? h->failure : "broken off";
}

void handshake_fini(struct handshake *h)
{
	secrets_close(h->secrets, h->ssl);
	SSL_free(h->ssl);
	h->secrets = NULL;
	h->ssl = NULL;
}
