/*
 * The relay as a process of its own, fed through a real spool: what it was
 * given arrives, once, with its bytes, and what it cannot deliver stays.
 */
#include "pki.h"
#include "relaysink.h"
#include "relayworld.h"

#include "tls/creds.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static void expect_mail(const struct relayworld *w, uint64_t id,
			const char *head, struct span body)
{
	struct span mail = relayworld_read_mail(w, id);

	assert_true(mail.len == strlen(head) + body.len);
	assert_memory_equal(mail.p, head, strlen(head));
	assert_memory_equal(mail.p + strlen(head), body.p, body.len);
}

static struct relaysink *open_clear_sink(struct relayworld *w,
					 const char *hello, pid_t *ret)
{
	return relaysink_open(w, hello, ret, NULL, false);
}

static void maildir_gets_every_byte(void **state)
{
	static uint8_t large[300000];
	struct span body = SPAN("Subject: x\r\n\r\n.dot\r\n");
	struct relayworld w;
	uint64_t id, large_id;

	for (size_t i = 0; i < sizeof(large); i++)
		large[i] = (uint8_t)(i * 31 >> 3);
	relayworld_open(&w);
	relayworld_add_route(&w, CONFIG_HOP_MAILDIR, NULL);
	relayworld_start(&w);
	id = relayworld_submit(&w, "b@example.net c@example.net", body);
	large_id = relayworld_submit(&w, "d@example.net",
				     span_of(large, sizeof(large)));
	relayworld_wait_for_names(w.options.routes[0].new_dir, 2);
	expect_mail(&w, id,
		    "Return-Path: <a@example.org>\r\n"
		    "Delivered-To: b@example.net\r\n"
		    "Delivered-To: c@example.net\r\n",
		    body);
	expect_mail(&w, large_id,
		    "Return-Path: <a@example.org>\r\n"
		    "Delivered-To: d@example.net\r\n",
		    span_of(large, sizeof(large)));
	assert_int_equal(relayworld_count_names(w.options.routes[0].tmp_dir),
			 0);
	relayworld_wait_for_names(w.options.files_dir,
				  0); /* its body is gone */
	relayworld_drain(&w);
	relayworld_close(&w);
}

/*
 * A writer killed between its sync and its announcement: the board still shows
 * the length before. The message is read all the same, and the sweep at start,
 * to which its unlocked body looks left over, spares it.
 */
static void board_of_a_dead_writer_is_not_the_end(void **state)
{
	static uint8_t large[100000];
	uint64_t segment, durable, id;
	struct relayworld w;

	memset(large, 'z', sizeof(large));
	relayworld_open(&w);
	relayworld_add_route(&w, CONFIG_HOP_MAILDIR, NULL);
	(void)relayworld_submit(&w, "b@example.net", SPAN("announced\r\n"));
	board_look(w.board, &segment, &durable);
	id = relayworld_submit(&w, "c@example.net",
			       span_of(large, sizeof(large)));
	relayworld_seal(&w);
	board_announce(w.board, segment, durable);
	relayworld_start(&w);
	relayworld_wait_for_names(w.options.routes[0].new_dir, 2);
	expect_mail(&w, id,
		    "Return-Path: <a@example.org>\r\n"
		    "Delivered-To: c@example.net\r\n",
		    span_of(large, sizeof(large)));
	relayworld_drain(&w);
	relayworld_close(&w);
}

static int lock_segment(const struct relayworld *w, uint64_t id)
{
	char name[LAYOUT_NAME_MAX];
	int fd;

	layout_name(name, LAYOUT_SEGMENT, id);
	fd = openat(w->options.segments_dir, name, O_RDONLY | O_CLOEXEC);
	assert_return_code(fd, errno);
	assert_return_code(flock(fd, LOCK_EX), errno);
	return fd;
}

/* The relay has inherited the descriptor: closing ours would not do. */
static void unlock_segment(int fd)
{
	assert_return_code(flock(fd, LOCK_UN), errno);
	(void)close(fd);
}

/*
 * The kernel holds a dead writer's lock while it finishes a sync of its; the
 * supervisor has taken it off the board, whose length was seen before. Another
 * segment holds the sweep up until then.
 */
static void lock_of_a_dead_writer_is_no_life(void **state)
{
	static uint8_t large[100000];
	uint64_t first, second, durable;
	struct relayworld w;
	int first_fd, second_fd;

	relayworld_open(&w);
	relayworld_add_route(&w, CONFIG_HOP_MAILDIR, NULL);
	(void)relayworld_submit(&w, "b@example.net", SPAN("read late\r\n"));
	board_look(w.board, &first, &durable);
	relayworld_seal(&w);
	first_fd = lock_segment(&w, first);
	(void)relayworld_submit(&w, "c@example.net", SPAN("announced\r\n"));
	board_look(w.board, &second, &durable);
	(void)relayworld_submit(&w, "d@example.net",
				span_of(large, sizeof(large)));
	relayworld_seal(&w);
	second_fd = lock_segment(&w, second);
	board_announce(w.board, second, durable);
	relayworld_start(&w);
	relayworld_wait_for_names(w.options.routes[0].new_dir, 1);
	board_announce(w.board, 0, 0);
	unlock_segment(first_fd);
	relayworld_wait_for_names(w.options.routes[0].new_dir, 2);
	(void)usleep(1500000); /* the relay looks once a second */
	assert_int_equal(relayworld_count_names(w.options.files_dir), 1);
	unlock_segment(second_fd);
	relayworld_wait_for_names(w.options.routes[0].new_dir, 3);
	relayworld_drain(&w);
	relayworld_close(&w);
}

static void segments_go_when_all_is_done(void **state)
{
	struct relayworld w;
	static uint8_t body[4096];

	memset(body, 'x', sizeof(body));
	relayworld_open(&w);
	relayworld_add_route(&w, CONFIG_HOP_DISCARD, NULL);
	relayworld_start(&w);
	for (int i = 0; i < 200; i++)
		(void)relayworld_submit(&w, "b@example.net",
					span_of(body, sizeof(body)));
	relayworld_seal(&w);
	relayworld_wait_for_metric(&w, METRIC_DELIVERIES_OK, 200);
	relayworld_wait_for_names(w.options.segments_dir, 0);
	relayworld_wait_for_metric(&w, METRIC_QUEUE_NOW, 0);
	relayworld_drain(&w);
	relayworld_close(&w);
}

/* P1: what was spooled before a crash is delivered after it, once. */
static void crash_loses_nothing_and_doubles_nothing(void **state)
{
	struct relayworld w;

	relayworld_open(&w);
	relayworld_add_route(&w, CONFIG_HOP_MAILDIR, NULL);
	for (int i = 0; i < 50; i++)
		(void)relayworld_submit(&w, "b@example.net", SPAN("x\r\n"));
	relayworld_seal(
		&w); /* a forked relay would inherit the segment's lock */
	for (int round = 0; round < 5; round++) {
		relayworld_start(&w);
		(void)usleep((useconds_t)(3000 * (round + 1)));
		relayworld_kill(&w);
	}
	relayworld_start(&w);
	for (int i = 0; i < 50; i++)
		(void)relayworld_submit(&w, "b@example.net", SPAN("x\r\n"));
	relayworld_wait_for_names(w.options.routes[0].new_dir, 100);
	relayworld_seal(&w);
	relayworld_wait_for_names(w.options.segments_dir, 0);
	relayworld_drain(&w);
	assert_int_equal(relayworld_count_names(w.options.routes[0].new_dir),
			 100);
	relayworld_close(&w);
}

/* What was recorded as done is not delivered again by the next relay. */
static void journal_is_believed(void **state)
{
	struct relayworld w;

	relayworld_open(&w);
	relayworld_add_route(&w, CONFIG_HOP_DISCARD, NULL);
	relayworld_start(&w);
	for (int i = 0; i < 10; i++)
		(void)relayworld_submit(&w, "b@example.net", SPAN("x\r\n"));
	relayworld_wait_for_metric(&w, METRIC_DELIVERIES_OK, 10);
	relayworld_drain(&w);
	relayworld_start(&w);
	(void)relayworld_submit(&w, "b@example.net", SPAN("x\r\n"));
	relayworld_wait_for_metric(&w, METRIC_DELIVERIES_OK, 11);
	relayworld_drain(&w);
	assert_int_equal(metric_read(w.metrics, METRIC_DELIVERIES_OK), 11);
	relayworld_close(&w);
}

/* Two relays never work on one spool: the second waits for the first. */
static void second_relay_waits(void **state)
{
	struct relayworld w;
	struct relayworld second;

	relayworld_open(&w);
	relayworld_add_route(&w, CONFIG_HOP_DISCARD, NULL);
	relayworld_start(&w);
	(void)relayworld_submit(&w, "b@example.net", SPAN("x\r\n"));
	relayworld_wait_for_metric(&w, METRIC_DELIVERIES_OK, 1);
	second = w;
	second.metrics = (void *)relayworld_shared_memory(sizeof(*w.metrics));
	second.options.metrics = second.metrics;
	relayworld_start(&second);
	(void)usleep(300000);
	assert_int_equal(metric_read(second.metrics, METRIC_RING_ENTERS), 0);
	relayworld_drain(&w);
	relayworld_wait_for_metric(&second, METRIC_SEGMENTS_NOW, 1);
	relayworld_drain(&second);
	relayworld_close(&w);
}

static void smtp_gets_every_byte(void **state)
{
	static const char *const hellos[] = {
		"250 sink\r\n",
		"250-sink\r\n250-PIPELINING\r\n250 CHUNKING\r\n",
	};
	static uint8_t large[200000];
	struct span small = SPAN("Subject: x\r\n\r\n.dot\r\n..\r\n");

	for (size_t i = 0; i < sizeof(large); i++)
		large[i] = i % 61 == 59 ? '\r' : i % 61 == 60 ? '\n' : '.';
	for (size_t i = 0; i < 2; i++) {
		struct relayworld w;
		struct relaysink *k;
		pid_t pid;

		relayworld_open(&w);
		k = open_clear_sink(&w, hellos[i], &pid);
		relayworld_start(&w);
		for (int n = 0; n < 20; n++)
			(void)relayworld_submit(
				&w, "b@example.net c@example.net", small);
		(void)relayworld_submit(&w, "b@example.net",
					span_of(large,
						61 * (sizeof(large) / 61)));
		relayworld_wait_for_metric(&w, METRIC_DELIVERIES_OK, 21);
		assert_int_equal(k->messages, 21);
		assert_int_equal(k->recipients, 41);
		assert_int_equal(k->body_bytes,
				 20 * small.len + 61 * (sizeof(large) / 61));
		assert_int_equal(
			k->body_sum,
			20 * relaysink_sum(small) +
				relaysink_sum(span_of(
					large, 61 * (sizeof(large) / 61))));
		assert_true(k->connections <= 2); /* the route's connections */
		relayworld_seal(&w);
		relayworld_wait_for_names(w.options.segments_dir, 0);
		relayworld_drain(&w);
		relaysink_close(pid);
		relayworld_close(&w);
	}
}

/* Refused for good: held. Refused for now: tried again, without the others. */
static void outcomes_are_by_recipient(void **state)
{
	struct relayworld w;
	struct relaysink *k;
	pid_t pid;

	relayworld_open(&w);
	k = open_clear_sink(&w, "250-sink\r\n250 PIPELINING\r\n", &pid);
	relayworld_start(&w);
	(void)relayworld_submit(&w, "ok@example.net 451later@example.net",
				SPAN("x\r\n"));
	(void)relayworld_submit(&w, "ok@example.net 550no@example.net",
				SPAN("x\r\n"));
	relayworld_wait_for_metric(&w, METRIC_DELIVERIES_DEFERRED, 3);
	relayworld_wait_for_metric(&w, METRIC_QUEUE_HELD_NOW, 1);
	assert_int_equal(k->recipients, 2); /* each once */
	assert_int_equal(k->messages, 2);
	relayworld_drain(&w);
	relaysink_close(pid);
	relayworld_close(&w);
}

/* P1: a body without its reply is tried again. */
static void no_reply_is_no_delivery(void **state)
{
	struct relayworld w;
	struct relaysink *k;
	pid_t pid;

	relayworld_open(&w);
	k = open_clear_sink(&w, "250-sink\r\n250 CHUNKING\r\n", &pid);
	k->silent_after_body = true;
	relayworld_start(&w);
	(void)relayworld_submit(&w, "b@example.net", SPAN("x\r\n"));
	relayworld_wait_for_metric(&w, METRIC_DELIVERIES_DEFERRED, 1);
	assert_int_equal(metric_read(w.metrics, METRIC_DELIVERIES_OK), 0);
	k->silent_after_body = false;
	relayworld_wait_for_metric(&w, METRIC_DELIVERIES_OK, 1);
	relayworld_drain(&w);
	relaysink_close(pid);
	relayworld_close(&w);
}

/* A route that cannot be reached does not hold up another one. */
static void dead_next_hop_delays_only_its_own(void **state)
{
	struct relayworld w;
	struct relaysink *k;
	pid_t pid;

	relayworld_open(&w);
	k = open_clear_sink(&w, "250 sink\r\n", &pid);
	relaysink_close(pid); /* nobody listens */
	relayworld_add_route(&w, CONFIG_HOP_DISCARD, "example.com");
	relayworld_start(&w);
	for (int i = 0; i < 200; i++)
		(void)relayworld_submit(
			&w, i % 2 ? "b@example.net" : "b@example.com",
			SPAN("x\r\n"));
	relayworld_wait_for_metric(&w, METRIC_DELIVERIES_OK, 100);
	relayworld_wait_for_metric(&w, METRIC_QUEUE_DEFERRED_NOW, 100);
	assert_int_equal(k->messages, 0);
	relayworld_drain(&w);
	relayworld_close(&w);
}

/* Client's credentials that trust `p`, and a server's that are it. */
static SSL_CTX *make_tls(const struct pki *p, struct creds **ret_client)
{
	struct creds_client_options options = { .verify = true };
	SSL_CTX *server = SSL_CTX_new(TLS_server_method());
	struct creds_error error;
	char path[64];

	pki_write(p, path);
	options.ca_file = path;
	assert_int_equal(creds_open_client(&options, ret_client, &error), 0);
	(void)unlink(path);
	assert_int_equal(SSL_CTX_use_certificate(server, p->certificate), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey(server, p->key), 1);
	return server;
}

static struct pki make_pki(const char *names)
{
	const struct pki_wish wish = { .subject = "mx",
				       .names = names,
				       .key = "P-256",
				       .ca = true };
	struct pki p;

	pki_make(&p, &wish);
	return p;
}

static void smtp_over_tls(void **state)
{
	struct span body = SPAN("Subject: x\r\n\r\n.dot\r\n");
	struct pki pki = make_pki("DNS:mx.example");
	struct creds *creds;
	SSL_CTX *tls = make_tls(&pki, &creds);

	for (int implicit = 0; implicit < 2; implicit++) {
		struct relayworld w;
		struct relaysink *k;
		pid_t pid;

		relayworld_open(&w);
		k = relaysink_open(&w,
				   implicit ? "250-sink\r\n250 CHUNKING\r\n" :
					      "250-sink\r\n250 STARTTLS\r\n",
				   &pid, tls, implicit);
		w.options.routes[0].creds = creds;
		relayworld_start(&w);
		for (int i = 0; i < 10; i++)
			(void)relayworld_submit(&w, "b@example.net", body);
		relayworld_wait_for_metric(&w, METRIC_DELIVERIES_OK, 10);
		assert_int_equal(k->secure, k->connections);
		assert_int_equal(k->body_sum, 10 * relaysink_sum(body));
		relayworld_drain(&w);
		relaysink_close(pid);
		relayworld_close(&w);
	}
	SSL_CTX_free(tls);
	creds_close(creds);
	pki_free(&pki);
}

/* P3: no TLS, or TLS with the wrong name: nothing of the message is said. */
static void no_mail_without_verified_tls(void **state)
{
	static const char *const hellos[] = { "250-sink\r\n250 STARTTLS\r\n",
					      "250 sink\r\n" };
	struct pki pki = make_pki("DNS:other.example");
	struct creds *creds;
	SSL_CTX *tls = make_tls(&pki, &creds);

	for (int i = 0; i < 2; i++) {
		struct relayworld w;
		struct relaysink *k;
		pid_t pid;

		relayworld_open(&w);
		k = relaysink_open(&w, hellos[i], &pid, tls, false);
		w.options.routes[0].creds = creds;
		relayworld_start(&w);
		(void)relayworld_submit(&w, "b@example.net", SPAN("x\r\n"));
		relayworld_wait_for_metric(&w, METRIC_DELIVERIES_DEFERRED, 1);
		assert_int_equal(k->messages + k->recipients, 0);
		relayworld_drain(&w);
		relaysink_close(pid);
		relayworld_close(&w);
	}
	SSL_CTX_free(tls);
	creds_close(creds);
	pki_free(&pki);
}

/* A site that refuses sessions is left alone for a while. */
static void busy_next_hop_is_not_hammered(void **state)
{
	struct relayworld w;
	struct relaysink *k;
	pid_t pid;

	relayworld_open(&w);
	k = open_clear_sink(&w, "250 sink\r\n", &pid);
	k->busy = true;
	relayworld_start(&w);
	for (int i = 0; i < 50; i++)
		(void)relayworld_submit(&w, "b@example.net", SPAN("x\r\n"));
	relayworld_wait_for_metric(&w, METRIC_QUEUE_DEFERRED_NOW, 50);
	assert_true(k->connections <= 4);
	relayworld_drain(&w);
	relaysink_close(pid);
	relayworld_close(&w);
}

/*
 * Relays that drain in the middle of their work, one after another: each ends
 * at once, and none repeats what another delivered.
 */
static void drains_in_the_middle(void **state)
{
	struct relayworld w;
	struct relaysink *k;
	pid_t pid;

	relayworld_open(&w);
	k = open_clear_sink(&w, "250-sink\r\n250 PIPELINING\r\n", &pid);
	for (int i = 0; i < 900; i++)
		(void)relayworld_submit(&w, "b@example.net", SPAN("x\r\n"));
	relayworld_seal(&w);
	for (uint32_t round = 0; round < 20; round++) {
		uint32_t before = k->messages;

		relayworld_start(&w);
		while (k->messages < before + 20 + round)
			(void)usleep(50);
		relayworld_drain(&w);
	}
	assert_true(k->messages < 900);
	relayworld_start(&w);
	relayworld_wait_for_names(w.options.segments_dir, 0);
	assert_int_equal(k->messages, 900);
	relayworld_drain(&w);
	relaysink_close(pid);
	relayworld_close(&w);
}

/* A port whose queue is full: a connect to it waits. */
static int listen_full(uint16_t *ret_port, int fillers[2])
{
	struct sockaddr_in in = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(in);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_return_code(bind(fd, (struct sockaddr *)&in, len), errno);
	assert_return_code(listen(fd, 0), errno);
	assert_return_code(getsockname(fd, (struct sockaddr *)&in, &len),
			   errno);
	*ret_port = ntohs(in.sin_port);
	for (int i = 0; i < 2; i++) {
		fillers[i] = socket(
			AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		(void)connect(fillers[i], (struct sockaddr *)&in, len);
	}
	return fd;
}

/* Nobody waits for next hops that do not answer, or do not greet. */
static void drains_before_a_greeting(void **state)
{
	struct relayworld w;
	struct relaysink *k;
	pid_t pid;
	int fillers[2], full;

	relayworld_open(&w);
	k = open_clear_sink(&w, "250 sink\r\n", &pid);
	k->mute = true;
	relayworld_add_route(&w, CONFIG_HOP_SMTP, "example.com");
	w.config.routes[1].host = "127.0.0.1";
	full = listen_full(&w.config.routes[1].port, fillers);
	relayworld_start(&w);
	for (int i = 0; i < 10; i++)
		(void)relayworld_submit(
			&w, i % 2 ? "b@example.net" : "b@example.com",
			SPAN("x\r\n"));
	relayworld_wait_for_metric(&w, METRIC_QUEUE_NOW, 10);
	while (k->connections < 2)
		(void)usleep(1000);
	relayworld_drain(&w);
	k->mute = false;
	w.config.routes[1].kind = CONFIG_HOP_DISCARD;
	relayworld_start(&w);
	relayworld_wait_for_metric(&w, METRIC_DELIVERIES_OK, 10);
	assert_int_equal(k->messages, 5);
	assert_int_equal(metric_read(w.metrics, METRIC_DELIVERIES_DEFERRED), 0);
	relayworld_drain(&w);
	(void)close(full);
	(void)close(fillers[0]);
	(void)close(fillers[1]);
	relaysink_close(pid);
	relayworld_close(&w);
}

/* A body that no message refers to goes; one that a message needs stays. */
static void left_over_bodies_are_swept(void **state)
{
	static uint8_t large[100000];
	struct relayworld w;
	pid_t pid;

	relayworld_open(&w);
	(void)open_clear_sink(&w, "250 sink\r\n", &pid);
	relaysink_close(pid);
	(void)relayworld_submit(&w, "b@example.net",
				span_of(large, sizeof(large)));
	(void)close(openat(w.options.files_dir, "00000000000000ff.msg",
			   O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	assert_int_equal(relayworld_count_names(w.options.files_dir), 2);
	relayworld_seal(&w);
	relayworld_start(&w);
	relayworld_wait_for_names(w.options.files_dir, 1);
	(void)usleep(100000);
	assert_int_equal(faccessat(w.options.files_dir, "00000000000000ff.msg",
				   F_OK, 0),
			 -1);
	relayworld_drain(&w);
	assert_int_equal(relayworld_count_names(w.options.files_dir), 1);
	relayworld_close(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(maildir_gets_every_byte),
		cmocka_unit_test(board_of_a_dead_writer_is_not_the_end),
		cmocka_unit_test(lock_of_a_dead_writer_is_no_life),
		cmocka_unit_test(segments_go_when_all_is_done),
		cmocka_unit_test(crash_loses_nothing_and_doubles_nothing),
		cmocka_unit_test(journal_is_believed),
		cmocka_unit_test(second_relay_waits),
		cmocka_unit_test(smtp_gets_every_byte),
		cmocka_unit_test(outcomes_are_by_recipient),
		cmocka_unit_test(no_reply_is_no_delivery),
		cmocka_unit_test(dead_next_hop_delays_only_its_own),
		cmocka_unit_test(smtp_over_tls),
		cmocka_unit_test(no_mail_without_verified_tls),
		cmocka_unit_test(busy_next_hop_is_not_hammered),
		cmocka_unit_test(drains_in_the_middle),
		cmocka_unit_test(drains_before_a_greeting),
		cmocka_unit_test(left_over_bodies_are_swept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
