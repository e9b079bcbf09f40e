/*
 * A gateway whose listener asks for more than the session can have. Where the
 * kernel has kTLS, a client that wants short records is such a session.
 */
#include "gatewayworld.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static bool has_kernel; /* this one has kTLS */
static enum metric reason;

static SSL_CTX *client_context(int version, bool short_records)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

	assert_non_null(ctx);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
	assert_int_equal(SSL_CTX_set_min_proto_version(ctx, version), 1);
	assert_int_equal(SSL_CTX_set_max_proto_version(ctx, version), 1);
	if (short_records)
		SSL_CTX_set_tlsext_max_fragment_length(
			ctx, TLSEXT_max_fragment_length_512);
	return ctx;
}

static void hang_up(SSL *ssl)
{
	int fd = SSL_get_fd(ssl);

	SSL_free(ssl);
	(void)close(fd);
}

/* The reply that ends the session, and its close_notify. */
static void expect_farewell(SSL *ssl, const char *wanted)
{
	char line[512];

	gatewayworld_line(ssl, line);
	assert_string_equal(line, wanted);
	assert_int_equal(SSL_read(ssl, line, 1), 0);
	assert_int_equal(SSL_get_error(ssl, 0), SSL_ERROR_ZERO_RETURN);
	hang_up(ssl);
}

static void expect_greeting(SSL *ssl)
{
	char line[512];

	gatewayworld_line(ssl, line);
	assert_memory_equal(line, "220 ", 4);
}

/* Told in userspace records, which still work, and nothing else is said. */
static void unmet_requirement_is_told(void **state)
{
	struct gatewayworld w;

	gatewayworld_open(&w);
	w.config->listeners[0].ktls = CONFIG_KTLS_REQUIRE;
	gatewayworld_start(&w);
	for (uint64_t n = 1; n <= 2; n++) {
		SSL_CTX *ctx = client_context(
			n == 1 ? TLS1_2_VERSION : TLS1_3_VERSION, true);
		SSL *ssl = gatewayworld_connect(&w, ctx);

		expect_greeting(ssl);
		expect_farewell(ssl, "421 4.7.0 mx.example.org requires kernel "
				     "TLS, which this session cannot have");
		gatewayworld_wait_for_metric(&w, METRIC_OFFLOAD_UNMET, n);
		assert_int_equal(metric_read(w.metrics, reason), n);
		SSL_CTX_free(ctx);
	}
	gatewayworld_wait_for_metric(&w, METRIC_CONNECTIONS_NOW, 0);
	assert_int_equal(metric_read(w.metrics, METRIC_REPLIES_4XX), 2);
	gatewayworld_close(&w);
}

/* A client that talks at once is told the same, and none of it is done. */
static void unmet_requirement_comes_first(void **state)
{
	static const char talk[] = "EHLO client.example.org\r\nNOOP\r\n";
	struct gatewayworld w;
	SSL_CTX *ctx = client_context(TLS1_3_VERSION, true);
	SSL *ssl;

	gatewayworld_open(&w);
	w.config->listeners[0].ktls = CONFIG_KTLS_REQUIRE;
	gatewayworld_start(&w);
	ssl = gatewayworld_connect(&w, ctx);
	assert_int_equal(SSL_write(ssl, talk, sizeof(talk) - 1),
			 sizeof(talk) - 1);
	expect_greeting(ssl);
	expect_farewell(ssl, "421 4.7.0 mx.example.org requires kernel TLS, "
			     "which this session cannot have");
	gatewayworld_close(&w);
	SSL_CTX_free(ctx);
}

static void preference_is_no_requirement(void **state)
{
	static const char quit[] = "QUIT\r\n";
	SSL_CTX *ctx = client_context(TLS1_3_VERSION, true);
	struct gatewayworld w;
	char line[512];
	SSL *ssl;

	gatewayworld_open(&w);
	gatewayworld_start(&w);
	ssl = gatewayworld_connect(&w, ctx);
	expect_greeting(ssl);
	assert_int_equal(SSL_write(ssl, quit, 6), 6);
	gatewayworld_line(ssl, line);
	assert_memory_equal(line, "221 ", 4);
	hang_up(ssl);
	gatewayworld_wait_for_metric(&w, reason, 1);
	assert_int_equal(metric_read(w.metrics, METRIC_OFFLOAD_UNMET), 0);
	gatewayworld_close(&w);
	SSL_CTX_free(ctx);
}

static int setup(void **state)
{
	has_kernel = offload_probe() == OFFLOAD_KERNEL;
	reason = has_kernel ? METRIC_OFFLOAD_SHORT_RECORDS :
			      METRIC_OFFLOAD_NO_ULP;
	(void)signal(SIGPIPE, SIG_IGN); /* of a session that was ended */
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unmet_requirement_is_told),
		cmocka_unit_test(unmet_requirement_comes_first),
		cmocka_unit_test(preference_is_no_requirement),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
