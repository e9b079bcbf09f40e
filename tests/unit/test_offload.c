#include "tls/offload.h"

#include "pki.h"
#include "tls/record.h"
#include "tls/record_user.h"
#include "tls/secrets.h"
#include "tlspair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <linux/tls.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

/*
 * The passage to the kernel and the control records as far as they need no
 * kernel: this one's kTLS is not touched. A descriptor that is no socket stands
 * for a kernel that refuses.
 */

static struct pki leaf;
static struct tlspair pair;
static uint8_t storage[TLSPAIR_QUEUE];
static struct buf plain;

/* Would be tried, and refused. */
static struct offload willing(void)
{
	return (struct offload){ .any_kernel = true, .has_ulp = true };
}

static struct creds *open_server(void)
{
	const struct creds_server_options options = { .tls12 = true };
	struct pki_text chain = pki_certificate(&leaf);
	struct pki_text key = pki_key(&leaf, NULL);
	struct creds_certificate certificate = { "main", pki_span(&chain),
						 pki_span(&key) };
	struct creds_error error;
	struct creds *creds;

	assert_int_equal(creds_open_server(&certificate, 1, &options, &creds,
					   &error),
			 0);
	return creds;
}

static struct creds *open_client(void)
{
	const struct creds_client_options options = { .verify = false };
	struct creds_error error;
	struct creds *creds;

	assert_int_equal(creds_open_client(&options, &creds, &error), 0);
	return creds;
}

static void connect_as(struct creds *client, bool keep_secrets)
{
	struct creds *server = open_server();

	tlspair_open(&pair, server, client, "mx.example.org");
	if (keep_secrets)
		assert_int_equal(handshake_keep_secrets(&pair.server.handshake),
				 0);
	assert_true(tlspair_shake(&pair));
	tlspair_take(&pair);
	creds_close(client);
	creds_close(server);
	buf_init(&plain, storage, sizeof(storage));
}

static enum record_offload ask(struct offload *o, enum offload_policy policy)
{
	return record_offload(&pair.server.record, -1, o, policy, 0);
}

static enum offload_reason reason(void)
{
	return record_offload_reason(&pair.server.record);
}

static void still_talks(void)
{
	buf_clear(&plain);
	tlspair_send(&pair.client, &pair.server, SPAN("NOOP\r\n"));
	assert_int_equal(tlspair_receive(&pair, &pair.server, &plain),
			 RECORD_OK);
	assert_true(span_equal(buf_span(&plain), SPAN("NOOP\r\n")));
	assert_string_equal(record_name(&pair.server.record), "userspace");
}

/* Kernels */

static void keys_can_be_changed(void **state)
{
	struct offload o = { .kernel = { 6, 13, 12, true, "" } };

	assert_false(offload_can_rekey(&o));
	o.kernel = (struct release){ 6, 14, 0, false, "" };
	assert_true(offload_can_rekey(&o));
}

static void splices_in_where_no_bug_is(void **state)
{
	struct offload o = { .kernel = { 6, 12, 111, true, "" } };

	assert_false(offload_may_splice_in(&o));
	o.any_kernel = true;
	assert_true(offload_may_splice_in(&o));
	o = (struct offload){ .kernel = { 6, 12, 112, true, "" } };
	assert_true(offload_may_splice_in(&o));
}

static void reasons_have_names(void **state)
{
	for (int i = 0; i < OFFLOAD_REASONS_N; i++) {
		assert_true(*offload_name((enum offload_reason)i));
		assert_true(*offload_help((enum offload_reason)i));
		for (int j = 0; j < i; j++)
			assert_string_not_equal(
				offload_name((enum offload_reason)i),
				offload_name((enum offload_reason)j));
	}
}

/* What was not there is looked for again, but not each time. */
static void looks_again_in_time(void **state)
{
	struct offload o;
	enum offload_reason there = offload_probe();

	offload_init(&o, true);
	assert_int_equal(offload_expect(&o, KEYS_AES_128_GCM, 1000), there);
	if (there == OFFLOAD_NO_ULP)
		assert_int_equal(o.ulp_look_ms, 1000 + OFFLOAD_MEMORY_MS);
	o = willing();
	o.has_ulp = false;
	o.ulp_look_ms = 5000;
	assert_int_equal(offload_expect(&o, KEYS_AES_128_GCM, 4999),
			 OFFLOAD_NO_ULP);
	assert_int_equal(o.ulp_look_ms, 5000); /* did not ask */
	assert_int_equal(offload_expect(&o, KEYS_AES_128_GCM, 5000), there);
	o = willing();
	o.cipher_look_ms[KEYS_CHACHA20_POLY1305] = 5000;
	assert_int_equal(offload_expect(&o, KEYS_CHACHA20_POLY1305, 4999),
			 OFFLOAD_NO_CIPHER);
	assert_int_equal(offload_expect(&o, KEYS_AES_128_GCM, 4999),
			 OFFLOAD_KERNEL);
	assert_int_equal(offload_expect(&o, KEYS_CHACHA20_POLY1305, 5000),
			 OFFLOAD_KERNEL);
	assert_true(OFFLOAD_MEMORY_MS < 60000);
	o = (struct offload){ .has_ulp = true,
			      .kernel = { 6, 1, 174, true, "" } };
	assert_int_equal(offload_expect(&o, KEYS_AES_128_GCM, 0),
			 OFFLOAD_KERNEL_OLD);
	o.kernel.patch = 175;
	assert_int_equal(offload_expect(&o, KEYS_AES_128_GCM, 0),
			 OFFLOAD_KERNEL);
}

/* The passage */

static void policy_decides(void **state)
{
	struct offload o = willing();

	connect_as(open_client(), true);
	assert_int_equal(reason(), OFFLOAD_UNTRIED);
	assert_int_equal(ask(&o, OFFLOAD_POLICY_OFF), RECORD_OFFLOAD_NEVER);
	assert_int_equal(reason(), OFFLOAD_OFF);
	assert_null(pair.server.record.secrets);
	still_talks();
	tlspair_close(&pair);

	/* Nobody kept secrets; and what is required cannot be done without. */
	connect_as(open_client(), false);
	assert_int_equal(ask(&o, OFFLOAD_POLICY_REQUIRE), RECORD_OFFLOAD_UNMET);
	assert_int_equal(reason(), OFFLOAD_NO_ULP);
	still_talks(); /* to say so to the client */
	tlspair_close(&pair);
}

static void refusals_leave_the_session_as_it_was(void **state)
{
	int fd[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	for (int i = 0; i < 2; i++) {
		struct offload o = willing();
		enum offload_policy policy = i ? OFFLOAD_POLICY_REQUIRE :
						 OFFLOAD_POLICY_PREFER;

		connect_as(open_client(), true);
		for (int again = 0; again < 2; again++)
			assert_int_equal(record_offload(&pair.server.record,
							fd[0], &o, policy, 0),
					 i ? RECORD_OFFLOAD_UNMET :
					     RECORD_OFFLOAD_NEVER);
		assert_int_equal(reason(), OFFLOAD_ERROR);
		assert_true(o.error < 0);
		assert_null(pair.server.record.secrets);
		still_talks();
		tlspair_close(&pair);
	}
	close(fd[0]);
	close(fd[1]);
}

static void short_records_stay(void **state)
{
	struct creds *client = open_client();
	struct offload o = willing();

	SSL_CTX_set_tlsext_max_fragment_length(creds_context(client),
					       TLSEXT_max_fragment_length_512);
	connect_as(client, true);
	assert_int_equal(ask(&o, OFFLOAD_POLICY_PREFER), RECORD_OFFLOAD_NEVER);
	assert_int_equal(reason(), OFFLOAD_SHORT_RECORDS);
	still_talks();
	tlspair_close(&pair);
}

static void changed_keys_stay(void **state)
{
	struct offload o = willing();

	connect_as(open_client(), true);
	assert_true(SSL_key_update(pair.client.record.ssl,
				   SSL_KEY_UPDATE_REQUESTED));
	tlspair_send(&pair.client, &pair.server, SPAN("x"));
	assert_int_equal(tlspair_receive(&pair, &pair.server, &plain),
			 RECORD_OK);
	assert_int_equal(ask(&o, OFFLOAD_POLICY_PREFER), RECORD_OFFLOAD_NEVER);
	assert_int_equal(reason(), OFFLOAD_REKEYED);
	still_talks();
	tlspair_close(&pair);
}

/* LATER within a record, wherever it is cut; else it would be tried. */
static void waits_for_the_end_of_a_record(void **state)
{
	for (int tls13 = 0; tls13 < 2; tls13++) {
		struct creds *client = open_client();
		struct offload o = willing();
		struct span in, byte;

		if (!tls13)
			SSL_CTX_set_max_proto_version(creds_context(client),
						      TLS1_2_VERSION);
		connect_as(client, true);
		assert_true(record_user_at_boundary(&pair.server.record));
		tlspair_send(&pair.client, &pair.server, SPAN("EHLO x\r\n"));
		in = buf_span(&pair.server.in);
		for (size_t i = 0; i < in.len - 1; i++) {
			byte = span_of(in.p + i, 1);
			assert_int_equal(record_open(&pair.server.record, &byte,
						     &plain, &pair.client.in),
					 RECORD_OK);
			assert_int_equal(ask(&o, OFFLOAD_POLICY_REQUIRE),
					 RECORD_OFFLOAD_LATER);
			assert_int_equal(reason(), OFFLOAD_PENDING);
		}
		byte = span_of(in.p + in.len - 1, 1);
		assert_int_equal(record_open(&pair.server.record, &byte, &plain,
					     &pair.client.in),
				 RECORD_OK);
		assert_int_equal(buf_len(&plain), 8);
		buf_clear(&pair.server.in);
		assert_int_equal(ask(&o, OFFLOAD_POLICY_PREFER),
				 RECORD_OFFLOAD_NEVER);
		assert_int_equal(reason(), OFFLOAD_ERROR); /* no socket */
		still_talks();
		tlspair_close(&pair);
	}
}

/* Decrypted bytes that found no room are not left behind. */
static void waits_for_unread_data(void **state)
{
	struct offload o = willing();
	uint8_t small[3];
	struct span in;
	struct buf to;

	connect_as(open_client(), true);
	tlspair_send(&pair.client, &pair.server, SPAN("EHLO x\r\n"));
	in = buf_span(&pair.server.in);
	buf_init(&to, small, sizeof(small));
	assert_int_equal(record_open(&pair.server.record, &in, &to,
				     &pair.client.in),
			 RECORD_OK);
	assert_int_equal(in.len, 0);
	assert_int_equal(ask(&o, OFFLOAD_POLICY_PREFER), RECORD_OFFLOAD_LATER);
	tlspair_close(&pair);
}

/* Control records: a record as the kernel's, without one. */

static struct record kernel_record(bool server, bool tls13)
{
	return (struct record){
		.backend = RECORD_KERNEL,
		.offload = OFFLOAD_KERNEL,
		.kernel = { .fd = -1,
			    .messages = { .server = server, .tls13 = tls13 } },
	};
}

/* As if recvmsg had fetched a record of that type. */
static enum record_result hear(struct record *r, uint8_t type,
			       struct span payload)
{
	struct record_control c;
	struct cmsghdr *head;

	assert_int_equal(record_receive_failed(r, -EIO),
			 r->failed ? RECORD_LOST : RECORD_OK);
	if (r->failed)
		return RECORD_FAILED;
	assert_true(record_wants_control(r));
	record_control_receive(&c);
	head = CMSG_FIRSTHDR(&c.message);
	head->cmsg_level = 282; /* SOL_TLS */
	head->cmsg_type = TLS_GET_RECORD_TYPE;
	head->cmsg_len = CMSG_LEN(1);
	*CMSG_DATA(head) = type;
	memcpy(c.payload, payload.p, payload.len);
	return record_open_control(r, &c, payload.len);
}

static void expect_to_say(struct record *r, uint8_t type, struct span payload)
{
	struct record_control c;

	assert_true(record_take_control(r, &c));
	assert_int_equal(*CMSG_DATA(CMSG_FIRSTHDR(&c.message)), type);
	assert_int_equal(CMSG_FIRSTHDR(&c.message)->cmsg_type,
			 TLS_SET_RECORD_TYPE);
	assert_true(span_equal(span_of(c.payload, c.part.iov_len), payload));
	assert_ptr_equal(c.message.msg_iov, &c.part);
	assert_int_equal(record_control_sent(r), RECORD_OK);
}

static void expect_silence(struct record *r)
{
	struct record_control c;

	assert_false(record_take_control(r, &c));
}

static void clear_and_user_have_no_control_records(void **state)
{
	struct record r;
	struct record_control c;

	record_init_clear(&r);
	assert_int_equal(record_receive_failed(&r, -EIO), RECORD_LOST);
	assert_int_equal(record_receive_failed(&r, -EINTR), RECORD_OK);
	assert_false(record_wants_control(&r));
	assert_false(record_take_control(&r, &c));
}

static void kernel_passes_bytes(void **state)
{
	struct record r = kernel_record(true, true);
	struct span in = SPAN("EHLO x\r\n");
	uint8_t bytes[4];
	struct buf to, out = { 0 };

	buf_init(&to, bytes, sizeof(bytes));
	assert_int_equal(record_open(&r, &in, &to, &out), RECORD_OK);
	assert_true(span_equal(buf_span(&to), SPAN("EHLO")));
	assert_false(record_pending(&r));
	buf_clear(&to);
	assert_int_equal(record_seal(&r, &in, &to), RECORD_OK);
	assert_true(span_equal(buf_span(&to), SPAN(" x\r\n")));
	assert_int_equal(record_sealed_max(&r, 77), 77);
	assert_string_equal(record_name(&r), "kernel");
	record_fini(&r);
	assert_string_equal(record_name(&r), "clear");
}

static void shuts_down_once(void **state)
{
	struct record r = kernel_record(true, true);
	struct span late = SPAN("late");
	struct buf out = { 0 };

	expect_silence(&r);
	assert_true(record_passes_bytes(&r));
	record_shutdown(&r, &out);
	assert_false(record_passes_bytes(&r));
	record_shutdown(&r, &out);
	assert_int_equal(record_seal(&r, &late, &out), RECORD_CLOSED);
	expect_to_say(&r, SSL3_RT_ALERT, SPAN("\1\0"));
	record_shutdown(&r, &out);
	expect_silence(&r);
}

static void alerts_end_it(void **state)
{
	struct record r = kernel_record(true, true);
	struct buf out = { 0 };

	assert_int_equal(hear(&r, SSL3_RT_ALERT, SPAN("\1\x5a")), RECORD_OK);
	assert_int_equal(hear(&r, SSL3_RT_ALERT, SPAN("\1\0")), RECORD_CLOSED);
	record_shutdown(&r, &out); /* our side is open still */
	expect_to_say(&r, SSL3_RT_ALERT, SPAN("\1\0"));

	r = kernel_record(true, true);
	assert_int_equal(hear(&r, SSL3_RT_ALERT, SPAN("\1\x28")),
			 RECORD_FAILED);
	record_shutdown(&r, &out);
	expect_silence(&r); /* the peer has gone */

	r = kernel_record(true, false);
	assert_int_equal(hear(&r, SSL3_RT_ALERT, SPAN("\1\x64")), RECORD_OK);
	assert_int_equal(hear(&r, SSL3_RT_ALERT, SPAN("\2\x28")),
			 RECORD_FAILED);

	r = kernel_record(true, true);
	assert_int_equal(hear(&r, SSL3_RT_ALERT, SPAN("\2")), RECORD_FAILED);
	expect_to_say(&r, SSL3_RT_ALERT, SPAN("\2\x32"));
}

/* Warnings cost us something, so there are only so many. */
static void warning_flood_is_cut_off(void **state)
{
	struct record r = kernel_record(true, false);
	int n = 0;

	while (hear(&r, SSL3_RT_ALERT, SPAN("\1\x64")) == RECORD_OK)
		n++;
	assert_int_equal(n, RECORD_CONTROL_MAX);
	expect_to_say(&r, SSL3_RT_ALERT, SPAN("\2\x0a"));
}

/* type, bytes, and the alert it earns */
static void other_records_end_it(void **state)
{
	static const struct {
		bool server, tls13;
		uint8_t type;
		struct span bytes;
		uint8_t alert;
	} rows[] = {
		{ true, true, 20, SPAN("\1"), 10 },          /* CCS */
		{ true, true, 24, SPAN("\1\0\0"), 10 },      /* heartbeat */
		{ true, true, 22, SPAN(""), 10 },            /* empty */
		{ true, true, 22, SPAN("\1\0\0\4"), 10 },    /* ClientHello */
		{ true, true, 22, SPAN("\4\0\0\4"), 10 },    /* a ticket */
		{ false, true, 22, SPAN("\x0d\0\0\4"), 10 }, /* for us */
		{ true, false, 22, SPAN("\1\0\0\4"), 10 },   /* renegotiation */
		{ false, false, 22, SPAN("\0\0\0\0"), 10 },  /* HelloRequest */
		{ true, false, 22, SPAN("\x18\0\0\1\0"), 10 },
		{ true, true, 22, SPAN("\x18\0\0\1\2"), 47 },
		{ true, true, 22, SPAN("\x18\0\0\2\0\0"), 50 },
		{ true, true, 22, SPAN("\x18\0\0\0"), 50 },
		{ true, true, 22, SPAN("\x18\0\0\1\0\x18"), 10 },
		{ false, true, 22, SPAN("\4\0\0\0"), 50 },
		{ false, true, 22, SPAN("\4\1\0\1"), 50 }, /* too long */
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct record r = kernel_record(rows[i].server, rows[i].tls13);
		struct span text = SPAN("x");
		struct buf out = { 0 };
		uint8_t alert[2] = { 2, rows[i].alert };

		assert_int_equal(hear(&r, rows[i].type, rows[i].bytes),
				 RECORD_FAILED);
		assert_int_equal(record_seal(&r, &text, &out), RECORD_FAILED);
		record_shutdown(&r, &out);
		expect_to_say(&r, SSL3_RT_ALERT, span_of(alert, 2));
		expect_silence(&r);
	}
}

/* Tickets of any length, cut anywhere, with what follows in the same record. */
static void clients_ignore_tickets(void **state)
{
	uint8_t two[4 + 300 + 4 + 1] = { 4, 0, 1, 44, [304] = 4, 0, 0, 1 };

	for (size_t piece = 1; piece <= RECORD_CONTROL_BYTES; piece++) {
		struct record r = kernel_record(false, true);

		for (size_t at = 0; at < sizeof(two); at += piece) {
			size_t n = sizeof(two) - at;

			assert_int_equal(
				hear(&r, SSL3_RT_HANDSHAKE,
				     span_of(two + at, n < piece ? n : piece)),
				RECORD_OK);
		}
		assert_int_equal(r.control_n, 2);
		assert_int_equal(r.kernel.messages.head_n, 0);
		expect_silence(&r);
	}
}

/* The kernel cannot follow: what is due is said, and nothing more is read. */
static void key_update_is_the_last(void **state)
{
	struct secrets secrets = { .client.len = 32, .server.len = 32 };

	for (int i = 0; i < 2; i++) {
		struct record r = kernel_record(true, true);
		struct span text = SPAN("250 OK\r\n");
		uint8_t bytes[8];
		struct buf out;

		buf_init(&out, bytes, sizeof(bytes));
		r.secrets = i ? &secrets : NULL; /* fd -1 refuses them */
		assert_int_equal(hear(&r, SSL3_RT_HANDSHAKE,
				      SPAN("\x18\0\0\1\1")),
				 RECORD_LAST);
		assert_false(record_wants_control(&r));
		assert_int_equal(record_seal(&r, &text, &out), RECORD_OK);
		record_shutdown(&r, &out);
		expect_to_say(&r, SSL3_RT_ALERT, SPAN("\1\0"));
		r.secrets = NULL;
	}
}

static void failed_receives_end_it(void **state)
{
	static const struct {
		int error;
		enum record_result result;
	} rows[] = {
		{ -EAGAIN, RECORD_OK },       { -EINTR, RECORD_OK },
		{ -ENOBUFS, RECORD_OK },      { -EBADMSG, RECORD_FAILED },
		{ -EINVAL, RECORD_FAILED },   { -EMSGSIZE, RECORD_FAILED },
		{ -ECONNRESET, RECORD_LOST }, { -EKEYEXPIRED, RECORD_FAILED },
		{ -ETIMEDOUT, RECORD_LOST },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct record r = kernel_record(true, true);
		struct span text = SPAN("x");
		struct buf out = { 0 };

		assert_int_equal(record_receive_failed(&r, rows[i].error),
				 rows[i].result);
		if (rows[i].result == RECORD_OK)
			continue;
		assert_int_equal(record_seal(&r, &text, &out), RECORD_FAILED);
		record_shutdown(&r, &out);
		expect_silence(&r);
		/* A caller that lingers over what still comes finds an end. */
		assert_int_equal(record_receive_failed(&r, rows[i].error),
				 RECORD_LOST);
	}
}

/* The same error again, though a control record was fetched: no loop. */
static void control_record_that_cannot_be_fetched(void **state)
{
	struct record r = kernel_record(true, true);
	struct record_control c;

	assert_int_equal(record_receive_failed(&r, -EIO), RECORD_OK);
	assert_int_equal(record_receive_failed(&r, -EIO), RECORD_LOST);
	r = kernel_record(true, true);
	assert_int_equal(record_receive_failed(&r, -EIO), RECORD_OK);
	record_control_receive(&c);
	c.message.msg_controllen = 0;
	assert_int_equal(record_open_control(&r, &c, 0), RECORD_LOST);
	assert_int_equal(record_receive_failed(&r, -EIO), RECORD_LOST);
}

static int setup(void **state)
{
	pki_make(&leaf, &(struct pki_wish){ .subject = "leaf",
					    .names = "DNS:mx.example.org",
					    .key = "P-256" });
	return 0;
}

static int teardown(void **state)
{
	pki_free(&leaf);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_can_be_changed),
		cmocka_unit_test(splices_in_where_no_bug_is),
		cmocka_unit_test(reasons_have_names),
		cmocka_unit_test(looks_again_in_time),
		cmocka_unit_test(policy_decides),
		cmocka_unit_test(refusals_leave_the_session_as_it_was),
		cmocka_unit_test(short_records_stay),
		cmocka_unit_test(changed_keys_stay),
		cmocka_unit_test(waits_for_the_end_of_a_record),
		cmocka_unit_test(waits_for_unread_data),
		cmocka_unit_test(clear_and_user_have_no_control_records),
		cmocka_unit_test(kernel_passes_bytes),
		cmocka_unit_test(shuts_down_once),
		cmocka_unit_test(alerts_end_it),
		cmocka_unit_test(warning_flood_is_cut_off),
		cmocka_unit_test(other_records_end_it),
		cmocka_unit_test(clients_ignore_tickets),
		cmocka_unit_test(key_update_is_the_last),
		cmocka_unit_test(failed_receives_end_it),
		cmocka_unit_test(control_record_that_cannot_be_fetched),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
