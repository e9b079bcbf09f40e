#include "tls/wire.h"

#include "base/must.h"
#include "tls/secrets.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/ssl.h>

/* OpenSSL wants a BIO_METHOD made at run time; it outlives every session. */
static BIO_METHOD *method;

static int on_read(BIO *bio, char *to, size_t size, size_t *ret_n)
{
	struct wire *w = BIO_get_data(bio);
	size_t n;

	BIO_clear_retry_flags(bio);
	MUST(w);
	n = w->stop_at_control && w->met_control ? 0 : w->in->len;
	if (!n) {
		BIO_set_retry_read(bio);
		return -1;
	}
	if (n > size)
		n = size;
	memcpy(to, w->in->p, n);
	*w->in = span_tail(*w->in, n);
	*ret_n = n;
	return 1;
}

static int on_write(BIO *bio, const char *from, size_t len, size_t *ret_n)
{
	struct wire *w = BIO_get_data(bio);
	size_t n;

	BIO_clear_retry_flags(bio);
	MUST(w);
	n = buf_room(w->out);
	if (!n) {
		BIO_set_retry_write(bio);
		return -1;
	}
	if (n > len)
		n = len;
	buf_put(w->out, span_of((const uint8_t *)from, n));
	*ret_n = n;
	return 1;
}

/* There is nothing to flush; everything else is not for us. */
static long on_control(BIO *bio, int command, long number, void *pointer)
{
	(void)bio;
	(void)number;
	(void)pointer;
	return command == BIO_CTRL_FLUSH;
}

/*
 * In TLS 1.2 the record header tells the type; in TLS 1.3 the header of every
 * protected record says "data" and the true type is inside.
 */
static void on_message(int sent, int version, int kind, const void *bytes,
		       size_t len, SSL *ssl, void *unused)
{
	struct wire *w = BIO_get_data(SSL_get_rbio(ssl));
	const uint8_t *type = bytes;

	(void)version;
	(void)unused;
	secrets_on_message(ssl, sent, kind, span_of(bytes, len));
	if (sent || !w || !len)
		return;
	if (kind != SSL3_RT_HEADER && kind != SSL3_RT_INNER_CONTENT_TYPE)
		return;
	if (*type != SSL3_RT_APPLICATION_DATA)
		w->met_control = true;
}

int wire_setup(void)
{
	BIO_METHOD *made;

	if (method)
		return 0;
	made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "wire");
	if (!made)
		return -ENOMEM;
	if (!BIO_meth_set_read_ex(made, on_read) ||
	    !BIO_meth_set_write_ex(made, on_write) ||
	    !BIO_meth_set_ctrl(made, on_control)) {
		BIO_meth_free(made);
		return -ENOMEM;
	}
	method = made;
	return 0;
}

int wire_attach(struct ssl_st *ssl)
{
	BIO *bio;

	MUST(method);
	bio = BIO_new(method);
	if (!bio)
		return -ENOMEM;
	BIO_set_init(bio, 1);
	SSL_set_bio(ssl, bio, bio);
	/* Now, not after the handshake: newer OpenSSL looks only when it makes
	 * a record layer whether anybody listens. */
	SSL_set_msg_callback(ssl, on_message);
	return 0;
}

void wire_lend(struct ssl_st *ssl, struct wire *w)
{
	BIO_set_data(SSL_get_rbio(ssl), w);
}

void wire_take_back(struct ssl_st *ssl)
{
	BIO_set_data(SSL_get_rbio(ssl), NULL);
}
