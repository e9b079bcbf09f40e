#include "tls/creds.h"

#include "base/must.h"
#include "tls/certificate.h"
#include "tls/context.h"
#include "tls/resumption.h"
#include "tls/secrets.h"
#include "tls/sni.h"
#include "tls/wire.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>

/*
 * One SSL_CTX serves each combination of certificates that some name needs: at
 * most one certificate per key type, between which OpenSSL chooses by what the
 * client can verify. Handshakes begin with the first, default one; the
 * servername callback changes over to the one for the name asked for.
 */

/* Indexes into the certificates by type; -1: none. */
struct choice {
	int at[CERTIFICATE_TYPES];
};

struct creds {
	SSL_CTX **contexts; /* [0] is the default */
	struct choice *choices;
	uint32_t contexts_n;
	struct sni names;              /* -> index into contexts */
	struct resumption *resumption; /* of a client */
};

static int out_of_memory(struct creds_error *error)
{
	(void)snprintf(error->text, sizeof(error->text), "out of memory");
	return -ENOMEM;
}

static int on_servername(SSL *ssl, int *alert, void *arg)
{
	const struct creds *c = arg;
	const char *asked = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	uint32_t at;

	(void)alert;
	/* Whoever asks for no name of ours gets the default certificate and
	 * judges by himself, as RFC 6066 recommends to clients. */
	if (!asked || !sni_find(&c->names, asked, &at))
		return SSL_TLSEXT_ERR_NOACK;
	SSL_set_SSL_CTX(ssl, c->contexts[at]);
	secrets_follow(ssl);
	return SSL_TLSEXT_ERR_OK;
}

static SSL_CTX *new_server_context(struct creds *c,
				   const struct creds_server_options *options)
{
	SSL_CTX *ctx = context_new_server(options);

	if (!ctx)
		return NULL;
	SSL_CTX_set_tlsext_servername_callback(ctx, on_servername);
	SSL_CTX_set_tlsext_servername_arg(ctx, c);
	return ctx;
}

/* What a server is being made from. */
struct making {
	struct creds *creds;
	const struct creds_certificate *pems;
	struct certificate *certificates;
	size_t n;
	const struct creds_server_options *options;
	struct creds_error *error;
};

/* The first certificate of each type that may serve `name`. */
static struct choice choose(const struct making *m, const char *name)
{
	struct choice choice = { { -1, -1 } };

	for (size_t i = 0; i < m->n; i++) {
		int *at = &choice.at[m->certificates[i].type];

		if (*at < 0 && certificate_covers(&m->certificates[i], name))
			*at = (int)i;
	}
	return choice;
}

/* The first certificate, with its partner of the other type. */
static struct choice choose_default(const struct making *m)
{
	const struct certificate *first = &m->certificates[0];
	struct choice choice = { { -1, -1 } };
	char name[CERTIFICATE_NAME_MAX + 1];

	for (int i = 0; i < certificate_names_n(first); i++)
		if (certificate_name(first, i, name)) {
			choice = choose(m, name);
			break;
		}
	choice.at[first->type] = 0;
	return choice;
}

static int load(const struct making *m, SSL_CTX *ctx, int at)
{
	const struct certificate *certificate = &m->certificates[at];
	unsigned long error;

	ERR_clear_error();
	if (SSL_CTX_use_cert_and_key(ctx, certificate->leaf, certificate->key,
				     certificate->above, 1))
		return 0;
	error = ERR_peek_error();
	ERR_clear_error();
	return certificate_refuse(m->error, m->pems[at].name,
				  "OpenSSL refuses it (%s): request a new one",
				  ERR_reason_error_string(error));
}

/* Finds or makes the context for a choice of certificates. */
static int context_for(const struct making *m, const struct choice *choice,
		       uint32_t *ret_at)
{
	struct creds *c = m->creds;
	SSL_CTX *ctx;
	int status = 0;

	for (*ret_at = 0; *ret_at < c->contexts_n; ++*ret_at)
		if (!memcmp(&c->choices[*ret_at], choice, sizeof(*choice)))
			return 0;
	ctx = new_server_context(c, m->options);
	if (!ctx)
		return out_of_memory(m->error);
	c->choices[c->contexts_n] = *choice;
	c->contexts[c->contexts_n++] = ctx;
	for (int type = 0; type < CERTIFICATE_TYPES && !status; type++)
		if (choice->at[type] >= 0)
			status = load(m, ctx, choice->at[type]);
	return status;
}

static int add_names_of(const struct making *m,
			const struct certificate *certificate)
{
	struct creds *c = m->creds;
	char name[CERTIFICATE_NAME_MAX + 1];
	int status = 0;

	for (int i = 0; i < certificate_names_n(certificate) && !status; i++) {
		struct choice choice;
		uint32_t at;

		if (!certificate_name(certificate, i, name) ||
		    sni_has(&c->names, name))
			continue;
		choice = choose(m, name);
		status = context_for(m, &choice, &at);
		if (!status)
			sni_add(&c->names, name, at);
	}
	return status;
}

/* Room for a context of every name, and the default. */
static int reserve(const struct making *m)
{
	struct creds *c = m->creds;
	size_t names = 0;

	for (size_t i = 0; i < m->n; i++)
		names += (size_t)certificate_names_n(&m->certificates[i]);
	c->contexts = calloc(names + 1, sizeof(SSL_CTX *));
	c->choices = calloc(names + 1, sizeof(*c->choices));
	if (!c->contexts || !c->choices || sni_init(&c->names, names) < 0)
		return out_of_memory(m->error);
	return 0;
}

static int make_server(const struct making *m)
{
	struct choice choice;
	uint32_t at;
	int status = 0;

	for (size_t i = 0; i < m->n && !status; i++)
		status = certificate_read(&m->certificates[i], &m->pems[i],
					  m->error);
	if (!status)
		status = reserve(m);
	if (status < 0)
		return status;
	choice = choose_default(m);
	status = context_for(m, &choice, &at);
	for (size_t i = 0; i < m->n && !status; i++)
		status = add_names_of(m, &m->certificates[i]);
	sni_sort(&m->creds->names);
	return status;
}

int creds_open_server(const struct creds_certificate *certificates, size_t n,
		      const struct creds_server_options *options,
		      struct creds **ret, struct creds_error *error)
{
	struct making m = {
		.creds = calloc(1, sizeof(*m.creds)),
		.pems = certificates,
		.certificates = calloc(n ? n : 1, sizeof(*m.certificates)),
		.n = n,
		.options = options,
		.error = error,
	};
	int status;

	MUST(n);
	*error = (struct creds_error){ 0 };
	if (!m.creds || !m.certificates || wire_setup() < 0) {
		status = out_of_memory(error);
	} else {
		status = make_server(&m);
	}
	for (size_t i = 0; m.certificates && i < n; i++)
		certificate_fini(&m.certificates[i]);
	free(m.certificates);
	if (status < 0) {
		creds_close(m.creds);
		return status;
	}
	*ret = m.creds;
	return 0;
}

static int set_trust(SSL_CTX *ctx, const char *file, struct creds_error *error)
{
	if (context_trust(ctx, file))
		return 0;
	if (file)
		(void)snprintf(error->text, sizeof(error->text),
			       "no CA certificates in %s: it must be readable "
			       "and PEM, BEGIN CERTIFICATE",
			       file);
	else
		(void)snprintf(error->text, sizeof(error->text),
			       "the system has no CA certificates: install "
			       "ca-certificates or name a CA file");
	return -EINVAL;
}

static int set_client(struct creds *c,
		      const struct creds_client_options *options,
		      struct creds_error *error)
{
	SSL_CTX *ctx = c->contexts[0];

	if (!context_limit(ctx, options->version, options->cipher)) {
		(void)snprintf(error->text, sizeof(error->text),
			       "no such cipher for the versions of TLS: %s",
			       options->cipher ? options->cipher : "any");
		return -EINVAL;
	}
	if (options->sessions_n) {
		c->resumption = resumption_open(ctx, options->sessions_n);
		if (!c->resumption)
			return out_of_memory(error);
	}
	return options->verify ? set_trust(ctx, options->ca_file, error) : 0;
}

int creds_open_client(const struct creds_client_options *options,
		      struct creds **ret, struct creds_error *error)
{
	struct creds *c = calloc(1, sizeof(*c));
	int status;

	*error = (struct creds_error){ 0 };
	if (c)
		c->contexts = calloc(1, sizeof(SSL_CTX *));
	if (c && c->contexts && wire_setup() == 0)
		c->contexts[0] = context_new_client(options);
	if (!c || !c->contexts || !c->contexts[0]) {
		creds_close(c);
		return out_of_memory(error);
	}
	c->contexts_n = 1;
	status = set_client(c, options, error);
	if (status < 0) {
		creds_close(c);
		return status;
	}
	*ret = c;
	return 0;
}

void creds_close(struct creds *c)
{
	if (!c)
		return;
	for (uint32_t i = 0; i < c->contexts_n; i++)
		SSL_CTX_free(c->contexts[i]);
	resumption_close(c->resumption);
	sni_fini(&c->names);
	free(c->contexts);
	free(c->choices);
	free(c);
}

struct ssl_ctx_st *creds_context(const struct creds *c)
{
	return c->contexts[0];
}

struct resumption *creds_resumption(const struct creds *c)
{
	return c->resumption;
}
