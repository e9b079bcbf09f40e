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
#include <sys/socket.h>
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

/* -- the card ----------------------------------------------------------------- */

#define NO_CARD                                                      \
	"421 4.7.0 mx.example.org requires TLS offload, which this " \
	"session cannot have"

/* A worker whose supervisor is this test. */
static void open_with_census(struct gatewayworld *w, enum config_nic nic)
{
	const struct timeval patience = { .tv_sec = 20 };
	int ends[2];

	gatewayworld_open(w);
	assert_int_equal(
		socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	assert_int_equal(setsockopt(ends[1], SOL_SOCKET, SO_RCVTIMEO, &patience,
				    sizeof(patience)),
			 0);
	w->config->listeners[0].nic = nic;
	w->options.census_fd = ends[0];
	w->census_fd = ends[1];
	gatewayworld_start(w);
	(void)close(ends[0]);
}

/* Takes one question about that connection and answers it. */
static void answer(int census, SSL *ssl, struct diag_makers makers)
{
	struct diag_question q;
	struct diag_answer a;
	struct diag_socket ours;

	assert_int_equal(recv(census, &q, sizeof(q), 0), sizeof(q));
	assert_int_equal(diag_identify(SSL_get_fd(ssl), &ours), 0);
	assert_int_equal(q.socket.family, AF_INET);
	assert_int_equal(q.socket.local_port, ours.peer_port);
	assert_int_equal(q.socket.peer_port, ours.local_port);
	assert_memory_equal(q.socket.peer, ours.local, 4);
	a = (struct diag_answer){ q.slot, q.generation, makers };
	assert_int_equal(send(census, &a, sizeof(a), 0), sizeof(a));
}

static void say_goodbye(SSL *ssl)
{
	char line[512];

	assert_int_equal(SSL_write(ssl, "QUIT\r\n", 6), 6);
	gatewayworld_line(ssl, line);
	assert_memory_equal(line, "221 ", 4);
	hang_up(ssl);
}

static void card_without_kernel_records(void **state)
{
	SSL_CTX *ctx = client_context(TLS1_2_VERSION, true);
	struct gatewayworld w;

	open_with_census(&w, CONFIG_NIC_REQUIRE);
	expect_farewell(gatewayworld_connect(&w, ctx), NO_CARD);
	gatewayworld_wait_for_metric(&w, METRIC_NIC_UNMET, 1);
	assert_int_equal(metric_read(w.metrics, reason), 1);
	gatewayworld_close(&w);
	close(w.census_fd);
	SSL_CTX_free(ctx);
}

/* Mail comes in: what the card opens decides, not what it makes. */
static void card_decides(void **state)
{
	static const struct {
		enum config_nic nic;
		struct diag_makers makers;
		bool stays;
		enum metric counted;
	} rows[] = {
		{ CONFIG_NIC_REQUIRE,
		  { DIAG_SOFTWARE, DIAG_SOFTWARE },
		  false,
		  METRIC_NIC_SOFTWARE },
		{ CONFIG_NIC_REQUIRE, { 0 }, false, METRIC_NIC_UNKNOWN },
		{ CONFIG_NIC_REQUIRE,
		  { DIAG_DEVICE, DIAG_SOFTWARE },
		  false,
		  METRIC_NIC_TX },
		{ CONFIG_NIC_REQUIRE,
		  { DIAG_SOFTWARE, DIAG_DEVICE },
		  true,
		  METRIC_NIC_RX },
		{ CONFIG_NIC_REQUIRE,
		  { DIAG_DEVICE, DIAG_DEVICE },
		  true,
		  METRIC_NIC_BOTH },
		{ CONFIG_NIC_PREFER,
		  { DIAG_SOFTWARE, DIAG_SOFTWARE },
		  true,
		  METRIC_NIC_SOFTWARE },
	};
	SSL_CTX *ctx;

	if (!has_kernel) {
		print_message("needs a kernel with kTLS\n");
		skip();
	}
	ctx = client_context(TLS1_2_VERSION, false);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct gatewayworld w;
		SSL *ssl;

		open_with_census(&w, rows[i].nic);
		ssl = gatewayworld_connect(&w, ctx);
		expect_greeting(ssl);
		answer(w.census_fd, ssl, rows[i].makers);
		if (rows[i].stays)
			say_goodbye(ssl);
		else
			expect_farewell(ssl, NO_CARD);
		gatewayworld_wait_for_metric(&w, METRIC_CONNECTIONS_NOW, 0);
		assert_int_equal(metric_read(w.metrics, rows[i].counted), 1);
		assert_int_equal(metric_read(w.metrics, METRIC_NIC_UNMET),
				 !rows[i].stays);
		gatewayworld_close(&w);
		close(w.census_fd);
	}
	SSL_CTX_free(ctx);
}

/* Nobody answers, and then the supervisor is gone: known is what is not. */
static void nobody_answers(void **state)
{
	static const char talk[] = "EHLO client.example.org\r\n";
	struct diag_question q;
	struct gatewayworld w;
	SSL_CTX *ctx;
	SSL *ssl;

	if (!has_kernel) {
		print_message("needs a kernel with kTLS\n");
		skip();
	}
	ctx = client_context(TLS1_2_VERSION, false);
	open_with_census(&w, CONFIG_NIC_REQUIRE);
	ssl = gatewayworld_connect(&w, ctx);
	expect_greeting(ssl);
	assert_int_equal(recv(w.census_fd, &q, sizeof(q), 0), sizeof(q));
	(void)SSL_write(ssl, talk, sizeof(talk) - 1); /* is not read */
	close(w.census_fd);
	hang_up(ssl);
	ssl = gatewayworld_connect(&w, ctx);
	expect_greeting(ssl);
	expect_farewell(ssl, NO_CARD);
	/* It does not spin at the end of file. */
	assert_in_range(metric_read(w.metrics, METRIC_RING_ENTERS), 1, 200);
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
		cmocka_unit_test(card_without_kernel_records),
		cmocka_unit_test(card_decides),
		cmocka_unit_test(nobody_answers),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
