#include "tls/creds.h"

#include "pki.h"
#include "tlspair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct pki root, issuer;
static char root_path[64];
static struct tlspair pair;
static struct creds_error error;

static int setup(void **state)
{
	pki_make(&root, &(struct pki_wish){ .subject = "root",
					    .key = "P-256",
					    .ca = true });
	pki_make(&issuer, &(struct pki_wish){ .subject = "issuer",
					      .key = "P-256",
					      .ca = true,
					      .issuer = &root });
	pki_write(&root, root_path);
	return 0;
}

static int teardown(void **state)
{
	unlink(root_path);
	pki_free(&issuer);
	pki_free(&root);
	return 0;
}

/* A certificate of `issuer`, and its texts. */
struct ours {
	struct pki pki;
	struct pki_text chain, key;
};

static void make(struct ours *o, const char *subject, const char *names,
		 const char *key)
{
	pki_make(&o->pki, &(struct pki_wish){ .subject = subject,
					      .names = names,
					      .key = key,
					      .issuer = &issuer });
	o->chain = pki_chain(&o->pki);
	o->key = pki_key(&o->pki, NULL);
}

static struct creds_certificate certificate(const struct ours *o)
{
	return (struct creds_certificate){
		.name = "main",
		.chain = pki_span(&o->chain),
		.key = pki_span(&o->key),
	};
}

static int open_server(const struct creds_certificate *list, size_t n,
		       struct creds **ret)
{
	const struct creds_server_options options = { .tls12 = true };

	return creds_open_server(list, n, &options, ret, &error);
}

static struct creds *server_of(const struct ours *list, size_t n)
{
	struct creds_certificate certificates[8];
	struct creds *made;

	for (size_t i = 0; i < n; i++)
		certificates[i] = certificate(&list[i]);
	assert_int_equal(open_server(certificates, n, &made), 0);
	assert_string_equal(error.text, "");
	return made;
}

static struct creds *client_of(const char *ca_file)
{
	const struct creds_client_options options = { .verify = ca_file,
						      .ca_file = ca_file };
	struct creds *made;

	assert_int_equal(creds_open_client(&options, &made, &error), 0);
	return made;
}

/* Loading these texts fails, and the line about it says `saying`. */
static void refuses(const struct pki_text *chain, const struct pki_text *key,
		    const char *saying)
{
	const struct creds_certificate list = { .name = "main",
						.chain = pki_span(chain),
						.key = pki_span(key) };
	struct creds *made = NULL;

	assert_int_equal(open_server(&list, 1, &made), -EINVAL);
	assert_null(made);
	assert_ptr_equal(strstr(error.text, "certificate \"main\": "),
			 error.text);
	if (!strstr(error.text, saying))
		fail_msg("\"%s\" does not say \"%s\"", error.text, saying);
	assert_null(strchr(error.text, '\n'));
	assert_true(strlen(error.text) < sizeof(error.text) - 1);
}

static struct pki_text text(const char *s)
{
	struct pki_text made;

	snprintf(made.p, sizeof(made.p), "%s", s);
	return made;
}

static struct pki_text joined(const struct pki_text *a,
			      const struct pki_text *b)
{
	struct pki_text made;

	assert_true((size_t)snprintf(made.p, sizeof(made.p), "%s%s", a->p,
				     b->p) < sizeof(made.p));
	return made;
}

static void says_what_is_wrong_with_the_chain(void **state)
{
	struct ours good;
	struct pki_text none = text(""), der = text("\x30\x82\x01\x02");
	struct pki_text damaged, middle, leaf, wrong;

	make(&good, "good", "DNS:a.example", "P-256");
	refuses(&none, &good.key, "the chain is not PEM");
	refuses(&der, &good.key, "the chain is not PEM");
	refuses(&good.key, &good.key, "no certificate in the chain file");
	refuses(&good.key, &good.chain, "swapped?");
	damaged = good.chain;
	damaged.p[100] = '!';
	refuses(&damaged, &good.key, "certificate 1 of the chain is damaged");
	damaged = good.chain;
	damaged.p[strlen(damaged.p) - 40] = '\0';
	refuses(&damaged, &good.key, "certificate 2 of the chain is damaged");

	middle = pki_certificate(&issuer);
	leaf = pki_certificate(&good.pki);
	wrong = joined(&middle, &leaf);
	refuses(&wrong, &good.key,
		"wrong chain order: the server's certificate"
		" is number 2");
	wrong = pki_certificate(&root);
	wrong = joined(&leaf, &wrong);
	refuses(&wrong, &good.key,
		"wrong chain order: certificate 2 did not issue certificate 1");
	pki_free(&good.pki);
}

static void says_what_is_wrong_with_the_key(void **state)
{
	struct ours good, other;
	struct pki_text none = text(""), bad;

	make(&good, "good", "DNS:a.example", "P-256");
	make(&other, "other", "DNS:a.example", "P-256");
	refuses(&good.chain, &none, "no private key in the key file");
	refuses(&good.chain, &good.chain, "no private key in the key file");
	refuses(&good.chain, &other.key,
		"the key does not match the certificate");
	bad = pki_key(&good.pki, "passphrase");
	refuses(&good.chain, &bad, "the key is encrypted");
	bad = text("-----BEGIN RSA PRIVATE KEY-----\n"
		   "Proc-Type: 4,ENCRYPTED\n"
		   "DEK-Info: AES-128-CBC,00112233445566778899AABBCCDDEEFF\n"
		   "\nAAAA\n-----END RSA PRIVATE KEY-----\n");
	refuses(&good.chain, &bad, "the key is encrypted");
	bad = text("-----BEGIN PRIVATE KEY-----\nAAAA\n"
		   "-----END PRIVATE KEY-----\n");
	refuses(&good.chain, &bad, "the key cannot be read");
	bad = good.key;
	bad.p[60] = '!';
	refuses(&good.chain, &bad, "the key is damaged");
	pki_free(&good.pki);
	pki_free(&other.pki);
}

static void refuses_keys_it_would_not_use(void **state)
{
	static const char *const types[] = { "ED25519", "P-521", "RSA-1024" };
	static const char *const sayings[] = {
		"unsupported key type", "unsupported key type",
		"the key has only 1024 bits: make one of at least 2048"
	};
	struct ours made;

	for (int i = 0; i < 3; i++) {
		make(&made, "odd", "DNS:a.example", types[i]);
		refuses(&made.chain, &made.key, sayings[i]);
		pki_free(&made.pki);
	}
}

/* A key file may have the curve's parameters ahead of the key. */
static void steps_over_what_stands_before_the_key(void **state)
{
	struct pki_text parameters = text("-----BEGIN EC PARAMETERS-----\n"
					  "BggqhkjOPQMBBw==\n"
					  "-----END EC PARAMETERS-----\n");
	struct ours good;

	make(&good, "good", "DNS:a.example", "P-256");
	good.key = joined(&parameters, &good.key);
	creds_close(server_of(&good, 1));
	pki_free(&good.pki);
}

static void dates_are_a_warning(void **state)
{
	static const struct {
		long from_s, until_s;
		const char *saying;
	} cases[] = { { -7200, -3600, "it has expired" },
		      { 3600, 7200, "it is not valid yet" } };

	for (int i = 0; i < 2; i++) {
		struct creds_certificate list;
		struct creds *made;
		struct ours odd;

		pki_make(&odd.pki,
			 &(struct pki_wish){ .subject = "odd",
					     .names = "DNS:a.example",
					     .key = "P-256",
					     .issuer = &issuer,
					     .from_s = cases[i].from_s,
					     .until_s = cases[i].until_s });
		odd.chain = pki_chain(&odd.pki);
		odd.key = pki_key(&odd.pki, NULL);
		list = certificate(&odd);
		assert_int_equal(open_server(&list, 1, &made), 0);
		assert_non_null(strstr(error.text, cases[i].saying));
		creds_close(made);
		pki_free(&odd.pki);
	}
}

/* Common name of the certificate that `server` shows to who asks `name`. */
static const char *shown(struct creds *server, const char *name,
			 const char *sigalgs)
{
	static char subject[64];
	struct creds *client = client_of(NULL);
	X509 *peer;

	tlspair_open(&pair, server, client, name);
	if (sigalgs) {
		char list[64]; /* the macro casts const away */

		snprintf(list, sizeof(list), "%s", sigalgs);
		assert_true(
			SSL_set1_sigalgs_list(pair.client.handshake.ssl, list));
	}
	assert_true(tlspair_shake(&pair));
	peer = SSL_get0_peer_certificate(pair.client.handshake.ssl);
	X509_NAME_get_text_by_NID(X509_get_subject_name(peer), NID_commonName,
				  subject, sizeof(subject));
	tlspair_close(&pair);
	creds_close(client);
	return subject;
}

static void chooses_by_name(void **state)
{
	struct ours list[3];
	struct creds *server;

	make(&list[0], "first", "DNS:mx.example.org", "P-256");
	make(&list[1], "second", "DNS:MX.Example.NET,DNS:smtp.example.net",
	     "P-256");
	make(&list[2], "wild", "DNS:*.example.net,DNS:*.example.com", "P-256");
	server = server_of(list, 3);
	assert_string_equal(shown(server, "mx.example.org", NULL), "first");
	assert_string_equal(shown(server, "mx.example.net", NULL), "second");
	assert_string_equal(shown(server, "SMTP.example.Net", NULL), "second");
	assert_string_equal(shown(server, "mx.example.net.", NULL), "second");
	assert_string_equal(shown(server, "a.example.net", NULL), "wild");
	assert_string_equal(shown(server, "a.example.com", NULL), "wild");
	/* A pattern is for one label, and not for none. */
	assert_string_equal(shown(server, "a.b.example.net", NULL), "first");
	assert_string_equal(shown(server, "example.net", NULL), "first");
	assert_string_equal(shown(server, "other.example", NULL), "first");
	assert_string_equal(shown(server, "127.0.0.1", NULL), "first");
	creds_close(server);
	for (int i = 0; i < 3; i++)
		pki_free(&list[i].pki);
}

#define ONLY_RSA   "RSA-PSS+SHA256:RSA+SHA256"
#define ONLY_ECDSA "ECDSA+SHA256"

static void chooses_by_key_type(void **state)
{
	struct ours list[4];
	struct creds *server;

	make(&list[0], "ecdsa", "DNS:mx.example.org", "P-256");
	make(&list[1], "rsa", "DNS:mx.example.org", "RSA-2048");
	make(&list[2], "rsa-wild", "DNS:*.example.net", "RSA-2048");
	make(&list[3], "ecdsa-exact", "DNS:mx.example.net", "P-256");
	server = server_of(list, 4);
	/* Who can do both gets the one that costs us less. */
	assert_string_equal(shown(server, "mx.example.org", NULL), "ecdsa");
	assert_string_equal(shown(server, "mx.example.org",
				  ONLY_RSA ":" ONLY_ECDSA),
			    "ecdsa");
	assert_string_equal(shown(server, "mx.example.org", ONLY_ECDSA),
			    "ecdsa");
	assert_string_equal(shown(server, "mx.example.org", ONLY_RSA), "rsa");
	assert_string_equal(shown(server, "no.such.name", ONLY_RSA), "rsa");
	assert_string_equal(shown(server, "mx.example.net", ONLY_ECDSA),
			    "ecdsa-exact");
	assert_string_equal(shown(server, "mx.example.net", ONLY_RSA),
			    "rsa-wild");
	assert_string_equal(shown(server, "a.example.net", NULL), "rsa-wild");
	creds_close(server);
	for (int i = 0; i < 4; i++)
		pki_free(&list[i].pki);
}

/* Why the client refuses `server` as `name`; "" when it does not. */
static const char *refused(struct creds *server, const char *ca_file,
			   const char *name)
{
	static char reason[128];
	struct creds *client = client_of(ca_file);

	tlspair_open(&pair, server, client, name);
	reason[0] = '\0';
	if (!tlspair_shake(&pair) && pair.client.result == HANDSHAKE_FAILED)
		snprintf(reason, sizeof(reason), "%s",
			 handshake_reason(&pair.client.handshake));
	tlspair_close(&pair);
	creds_close(client);
	return reason;
}

static void client_verifies_name(void **state)
{
	struct ours one;
	struct creds *server;

	make(&one, "cn.example.org",
	     "DNS:mx.example.org,DNS:*.example.net,IP:127.0.0.1,IP:::1",
	     "P-256");
	server = server_of(&one, 1);
	assert_string_equal(refused(server, root_path, "mx.example.org"), "");
	assert_string_equal(refused(server, root_path, "a.example.net"), "");
	assert_string_equal(refused(server, root_path, "127.0.0.1"), "");
	assert_string_equal(refused(server, root_path, "::1"), "");
	assert_string_equal(refused(server, root_path, "127.0.0.2"),
			    "IP address mismatch");
	assert_string_equal(refused(server, root_path, "a.b.example.net"),
			    "hostname mismatch");
	assert_string_equal(refused(server, root_path, "mx.example.com"),
			    "hostname mismatch");
	/* The common name counts for nothing (RFC 9525 2). */
	assert_string_equal(refused(server, root_path, "cn.example.org"),
			    "hostname mismatch");
	assert_string_equal(refused(server, NULL, "mx.example.com"), "");
	creds_close(server);
	pki_free(&one.pki);
}

/* Nor does it where there is no other; but such a certificate can serve. */
static void common_name_alone_is_no_name(void **state)
{
	struct ours one;
	struct creds *server;

	make(&one, "cn.example.org", NULL, "P-256");
	server = server_of(&one, 1);
	assert_string_equal(refused(server, root_path, "cn.example.org"),
			    "hostname mismatch");
	assert_string_equal(shown(server, "cn.example.org", NULL),
			    "cn.example.org");
	creds_close(server);
	pki_free(&one.pki);
}

/* RFC 6066 3 */
static void addresses_are_not_sent_as_names(void **state)
{
	static const char *const names[] = { "127.0.0.1", "::1" };
	struct creds *client = client_of(root_path);

	for (int i = 0; i < 2; i++) {
		struct handshake h;

		assert_int_equal(handshake_open(&h, client, names[i]), 0);
		assert_null(
			SSL_get_servername(h.ssl, TLSEXT_NAMETYPE_host_name));
		handshake_fini(&h);
	}
	creds_close(client);
}

static void client_verifies_chain(void **state)
{
	struct pki other;
	struct ours good, alone;
	struct creds *server;
	char other_path[64];

	pki_make(&other, &(struct pki_wish){ .subject = "other",
					     .key = "P-256",
					     .ca = true });
	pki_write(&other, other_path);
	make(&good, "good", "DNS:mx.example.org", "P-256");
	server = server_of(&good, 1);
	assert_string_equal(refused(server, other_path, "mx.example.org"),
			    "unable to get local issuer certificate");
	/* The server learns the same as an alert. */
	assert_string_equal(handshake_reason(&pair.server.handshake),
			    "the peer refused: unknown CA");
	creds_close(server);

	alone = good;
	alone.chain = pki_certificate(&good.pki);
	server = server_of(&alone, 1);
	assert_string_equal(refused(server, root_path, "mx.example.org"),
			    "unable to get local issuer certificate");
	creds_close(server);
	unlink(other_path);
	pki_free(&good.pki);
	pki_free(&other);
}

static void client_refuses_expired(void **state)
{
	struct creds_certificate list;
	struct creds *server;
	struct ours old;

	pki_make(&old.pki, &(struct pki_wish){ .subject = "old",
					       .names = "DNS:mx.example.org",
					       .key = "P-256",
					       .issuer = &issuer,
					       .from_s = -7200,
					       .until_s = -3600 });
	old.chain = pki_chain(&old.pki);
	old.key = pki_key(&old.pki, NULL);
	list = certificate(&old);
	assert_int_equal(open_server(&list, 1, &server), 0);
	assert_string_equal(refused(server, root_path, "mx.example.org"),
			    "certificate has expired");
	creds_close(server);
	pki_free(&old.pki);
}

static void client_says_when_it_has_no_anchors(void **state)
{
	const struct creds_client_options options = {
		.verify = true,
		.ca_file = "/nonexistent/ca.pem"
	};
	struct creds *made = NULL;

	assert_int_equal(creds_open_client(&options, &made, &error), -EINVAL);
	assert_null(made);
	assert_non_null(strstr(error.text, "/nonexistent/ca.pem"));
}

/* Only forward secrecy with AEAD, whatever else a client offers. */
static void old_suites_are_not_shared(void **state)
{
	struct creds *server, *client = client_of(NULL);
	struct ours one;

	make(&one, "one", "DNS:mx.example.org", "RSA-2048");
	server = server_of(&one, 1);
	SSL_CTX_set_max_proto_version(creds_context(client), TLS1_2_VERSION);
	SSL_CTX_set_cipher_list(creds_context(client),
				"AES128-GCM-SHA256:ECDHE-RSA-AES128-SHA256:"
				"DHE-RSA-AES128-GCM-SHA256");
	tlspair_open(&pair, server, client, "mx.example.org");
	assert_false(tlspair_shake(&pair));
	assert_string_equal(handshake_reason(&pair.server.handshake),
			    "no shared cipher");
	tlspair_close(&pair);
	creds_close(client);
	creds_close(server);
	pki_free(&one.pki);
}

/* The server's order counts, but for who has no AES instructions. */
static void prefers_aes128_and_yields_to_chacha(void **state)
{
	static const char *const offers[] = {
		"TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:"
		"TLS_AES_128_GCM_SHA256",
		"TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256"
	};
	static const char *const taken[] = { "TLS_AES_128_GCM_SHA256",
					     "TLS_CHACHA20_POLY1305_SHA256" };
	struct creds *server;
	struct ours one;

	make(&one, "one", "DNS:mx.example.org", "P-256");
	server = server_of(&one, 1);
	for (int i = 0; i < 2; i++) {
		struct creds *client = client_of(NULL);

		SSL_CTX_set_ciphersuites(creds_context(client), offers[i]);
		tlspair_open(&pair, server, client, "mx.example.org");
		assert_true(tlspair_shake(&pair));
		assert_string_equal(
			handshake_facts(&pair.server.handshake).cipher,
			taken[i]);
		tlspair_close(&pair);
		creds_close(client);
	}
	creds_close(server);
	pki_free(&one.pki);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(says_what_is_wrong_with_the_chain),
		cmocka_unit_test(says_what_is_wrong_with_the_key),
		cmocka_unit_test(refuses_keys_it_would_not_use),
		cmocka_unit_test(steps_over_what_stands_before_the_key),
		cmocka_unit_test(dates_are_a_warning),
		cmocka_unit_test(chooses_by_name),
		cmocka_unit_test(chooses_by_key_type),
		cmocka_unit_test(client_verifies_name),
		cmocka_unit_test(common_name_alone_is_no_name),
		cmocka_unit_test(addresses_are_not_sent_as_names),
		cmocka_unit_test(client_verifies_chain),
		cmocka_unit_test(client_refuses_expired),
		cmocka_unit_test(client_says_when_it_has_no_anchors),
		cmocka_unit_test(old_suites_are_not_shared),
		cmocka_unit_test(prefers_aes128_and_yields_to_chacha),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
