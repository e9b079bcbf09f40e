#include "tls/resumption.h"

#include <openssl/ssl.h>
#include <stdlib.h>

struct resumption {
	uint32_t max;
	uint32_t n;
	uint32_t next; /* where the next one goes: the oldest is overwritten */
	SSL_SESSION *sessions[];
};

/* OpenSSL's contract: 1 keeps the reference that was given. */
static int on_session(SSL *ssl, SSL_SESSION *session)
{
	struct resumption *r = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));

	if (r->n == r->max)
		SSL_SESSION_free(r->sessions[r->next]);
	else
		r->n++;
	r->sessions[r->next] = session;
	r->next = (r->next + 1) % r->max;
	return 1;
}

struct resumption *resumption_open(struct ssl_ctx_st *ctx, uint32_t max)
{
	struct resumption *r =
		calloc(1, sizeof(*r) + max * sizeof(SSL_SESSION *));

	if (!r)
		return NULL;
	r->max = max;
	SSL_CTX_set_app_data(ctx, r);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT |
						    SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(ctx, on_session);
	return r;
}

void resumption_close(struct resumption *r)
{
	if (!r)
		return;
	for (; r->n; r->n--) {
		r->next = (r->next + r->max - 1) % r->max;
		SSL_SESSION_free(r->sessions[r->next]);
	}
	free(r);
}

/* The newest, which is the caller's. OpenSSL makes a session of TLS 1.3 that was
 * used unfit for another use: of the last one a copy is used. */
static SSL_SESSION *take_newest(struct resumption *r)
{
	uint32_t newest = (r->next + r->max - 1) % r->max;

	if (r->n == 1)
		return SSL_SESSION_dup(r->sessions[newest]);
	r->next = newest;
	r->n--;
	return r->sessions[newest];
}

void resumption_offer(struct resumption *r, struct ssl_st *ssl)
{
	SSL_SESSION *session = r->n ? take_newest(r) : NULL;

	if (session)
		(void)SSL_set_session(ssl, session);
	SSL_SESSION_free(session);
}
