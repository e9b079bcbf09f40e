/*
 * The relay as a process of its own, fed through a real spool: what it was
 * given arrives, once, with its bytes, and what it cannot deliver stays.
 */
#include "relay/runner.h"

#include "spool/envelope.h"
#include "spool/layout.h"
#include "spool/store.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define WAIT_MS 20000

/* A spool with one writer, us, and a relay. */
struct world {
	char path[64];
	int dir;
	struct config config;
	struct runner_options options;
	struct board_slot *board;
	struct metric_block *metrics;
	struct store *store;
	int command_fd; /* our end: closing it drains the relay */
	pid_t relay;
	uint64_t next_id;
};

static int make_dir(struct world *w, const char *name)
{
	int fd;

	assert_return_code(mkdirat(w->dir, name, 0700), errno);
	fd = openat(w->dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static uint8_t *shared_memory(size_t bytes)
{
	uint8_t *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_true(p != MAP_FAILED);
	return p;
}

static void add_route(struct world *w, enum config_next_hop kind,
		      const char *domain)
{
	uint32_t n = w->config.routes_n++;
	struct config_route *route = &w->config.routes[n];

	route->name = domain ? domain : "default";
	route->next_hop = "test";
	route->kind = kind;
	route->connections = 2;
	if (domain)
		route->domains[route->domains_n++] = domain;
	w->options.routes[n] =
		(struct runner_route){ .tmp_dir = -1, .new_dir = -1 };
	if (kind != CONFIG_HOP_MAILDIR)
		return;
	w->options.routes[n].tmp_dir = make_dir(w, "tmp");
	w->options.routes[n].new_dir = make_dir(w, "new");
}

static void open_store(struct world *w)
{
	struct store_options options = {
		.segments_dir = w->options.segments_dir,
		.files_dir = w->options.files_dir,
		.segment_bytes = 64 * 1024,
		.batch_max = 16,
		.seed = { 7, 7 },
	};

	w->store = store_init(aligned_alloc(64, (store_size() + 63) & ~63ull),
			      &options);
}

static void open_world(struct world *w)
{
	memset(w, 0, sizeof(*w));
	(void)snprintf(w->path, sizeof(w->path), "/tmp/sluice-relay-XXXXXX");
	assert_non_null(mkdtemp(w->path));
	w->dir = open(w->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	w->board = (void *)shared_memory(sizeof(*w->board));
	w->metrics = (void *)shared_memory(sizeof(*w->metrics));
	w->config.hostname = "relay.example";
	w->config.limits.envelope_bytes = 64 * 1024;
	w->config.spool.queue_messages = 1000;
	w->config.timeouts.drain = 5;
	w->config.retry = (struct config_retry){ .first = 1,
						 .longest = 2,
						 .give_up = 3600 };
	w->options = (struct runner_options){
		.config = &w->config,
		.segments_dir = make_dir(w, "segments"),
		.files_dir = make_dir(w, "files"),
		.journal_dir = make_dir(w, "journal"),
		.doorbell_fd = eventfd(0, EFD_CLOEXEC),
		.board = w->board,
		.board_n = 1,
		.metrics = w->metrics,
	};
	w->next_id = 1;
	open_store(w);
}

static void close_world(struct world *w)
{
	char command[128];

	free(w->store);
	snprintf(command, sizeof(command), "rm -rf %s", w->path);
	assert_int_equal(system(command), 0);
}

static void start_relay(struct world *w)
{
	int ends[2];

	assert_return_code(pipe2(ends, O_CLOEXEC), errno);
	w->options.command_fd = ends[0];
	w->command_fd = ends[1];
	w->relay = fork();
	assert_true(w->relay >= 0);
	if (!w->relay) {
		const char *verbose = getenv("SLUICE_TEST_LOG");

		(void)close(ends[1]);
		(void)signal(SIGSEGV, SIG_DFL); /* cmocka's are not ours */
		(void)signal(SIGABRT, SIG_DFL);
		log_setup(verbose ? LOG_DEBUG : LOG_ERROR, LOG_TEXT, "relay");
		_exit(runner_run(&w->options));
	}
	(void)close(ends[0]);
}

static void kill_relay(struct world *w)
{
	int status;

	(void)kill(w->relay, SIGKILL);
	assert_int_equal(waitpid(w->relay, &status, 0), w->relay);
	(void)close(w->command_fd);
}

static void drain_relay(struct world *w)
{
	int status;

	assert_int_equal(write(w->command_fd, "D", 1), 1);
	(void)close(w->command_fd);
	assert_int_equal(waitpid(w->relay, &status, 0), w->relay);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* -- submitting ------------------------------------------------------------ */

static void run_store(struct world *w, struct txn *t)
{
	struct io io;
	bool moved = true;

	while (moved) {
		moved = false;
		while (txn_next(t, &io)) {
			txn_done(t, io_run(&io));
			moved = true;
		}
		while (store_next(w->store, &io)) {
			store_done(w->store, io_run(&io));
			moved = true;
		}
	}
}

static void announce(struct world *w)
{
	uint64_t segment, durable, one = 1;

	store_durable(w->store, &segment, &durable);
	board_announce(w->board, segment, durable);
	assert_int_equal(write(w->options.doorbell_fd, &one, 8), 8);
}

/* Recipients are separated by spaces. A body over 16 KiB gets its own file. */
static uint64_t submit(struct world *w, const char *recipients,
		       struct span body)
{
	static uint8_t envelope[8192], storage[16 * 1024];
	struct txn t = { 0 };
	uint64_t id = w->next_id++;

	txn_open(&t, w->store, id,
		 (struct span_mut){ envelope, sizeof(envelope) },
		 (struct span_mut){ storage, sizeof(storage) });
	envelope_put(txn_envelope(&t), ENVELOPE_REVERSE_PATH,
		     SPAN("a@example.org"));
	while (*recipients) {
		size_t n = strcspn(recipients, " ");

		envelope_put(txn_envelope(&t), ENVELOPE_FORWARD_PATH,
			     span_of((const uint8_t *)recipients, n));
		recipients += n + (recipients[n] == ' ');
	}
	txn_dots(&t)->partial = true; /* nobody looked */
	while (body.len) {
		size_t n = body.len < sizeof(storage) ? body.len :
							sizeof(storage);

		buf_put(txn_body(&t), span_head(body, n));
		body = span_tail(body, n);
		if (body.len)
			txn_spill(&t);
		run_store(w, &t);
	}
	txn_commit(&t);
	run_store(w, &t);
	assert_ptr_equal(store_finished(w->store), &t);
	assert_int_equal(txn_state(&t), TXN_DURABLE);
	announce(w);
	txn_discard(&t);
	run_store(w, &t);
	return id;
}

static void seal(struct world *w)
{
	struct txn none = { 0 };

	store_seal(w->store);
	run_store(w, &none);
	announce(w);
}

/* -- looking --------------------------------------------------------------- */

static uint32_t count_names(int dir)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *names = fdopendir(fd);
	struct dirent *entry;
	uint32_t n = 0;

	while ((entry = readdir(names)))
		n += entry->d_name[0] != '.';
	(void)closedir(names);
	return n;
}

static void wait_for_names(int dir, uint32_t n)
{
	for (uint32_t ms = 0; ms < WAIT_MS && count_names(dir) != n; ms += 10)
		(void)usleep(10000);
	assert_int_equal(count_names(dir), n);
}

static void wait_for_metric(const struct world *w, enum metric m, uint64_t n)
{
	for (uint32_t ms = 0; ms < WAIT_MS && metric_read(w->metrics, m) != n;
	     ms += 10)
		(void)usleep(10000);
	if (metric_read(w->metrics, m) != n)
		fail_msg("%s is %llu, wanted %llu", metric_name(m),
			 (unsigned long long)metric_read(w->metrics, m),
			 (unsigned long long)n);
}

/* The mail with that id, whole. */
static struct span read_mail(const struct world *w, uint64_t id)
{
	static uint8_t text[1024 * 1024];
	int dir = w->options.routes[0].new_dir;
	DIR *names =
		fdopendir(openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	struct dirent *entry;
	char wanted[32];
	ssize_t len = -1;

	snprintf(wanted, sizeof(wanted), ".M%016llx.", (unsigned long long)id);
	while ((entry = readdir(names))) {
		int fd;

		if (!strstr(entry->d_name, wanted))
			continue;
		fd = openat(dir, entry->d_name, O_RDONLY | O_CLOEXEC);
		len = read(fd, text, sizeof(text));
		(void)close(fd);
	}
	(void)closedir(names);
	assert_true(len >= 0);
	return span_of(text, (size_t)len);
}

static void expect_mail(const struct world *w, uint64_t id, const char *head,
			struct span body)
{
	struct span mail = read_mail(w, id);

	assert_true(mail.len == strlen(head) + body.len);
	assert_memory_equal(mail.p, head, strlen(head));
	assert_memory_equal(mail.p + strlen(head), body.p, body.len);
}

/* -- a next hop ------------------------------------------------------------ */

/* What the other side of the wire heard, in shared memory. */
struct sink {
	_Atomic uint32_t connections;
	_Atomic uint32_t messages;
	_Atomic uint32_t recipients;
	_Atomic uint64_t body_bytes;
	_Atomic uint64_t body_sum; /* of the bytes, unstuffed */
	const char *hello;         /* lines of EHLO's answer */
	bool silent_after_body;    /* closes instead of the final reply */
	bool busy;                 /* refuses every session */
};

static uint64_t sum_of(struct span s)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < s.len; i++)
		sum += s.p[i];
	return sum;
}

static void sink_take(struct sink *k, struct span line)
{
	k->body_bytes += line.len;
	k->body_sum += sum_of(line);
}

static void sink_data(struct sink *k, FILE *in)
{
	char *line = NULL;
	size_t room = 0;
	ssize_t n;

	while ((n = getline(&line, &room, in)) > 0 && strcmp(line, ".\r\n"))
		sink_take(k, span_of((uint8_t *)line + (line[0] == '.'),
				     (size_t)n - (line[0] == '.')));
	free(line);
}

static void sink_bdat(struct sink *k, FILE *in, unsigned long n)
{
	while (n--) {
		uint8_t c = (uint8_t)fgetc(in);

		sink_take(k, span_of(&c, 1));
	}
}

/* A recipient that begins with three digits gets them as the reply. */
static void sink_rcpt(struct sink *k, FILE *out, const char *line)
{
	int code = 250;

	(void)sscanf(line, "RCPT TO:<%3d", &code);
	if (code == 250)
		k->recipients++;
	fprintf(out, "%d %d.1.1 recipient\r\n", code, code / 100);
}

/* False: the talk is over. */
static bool sink_command(struct sink *k, FILE *in, FILE *out, char *line)
{
	unsigned long n;

	if (!strncmp(line, "EHLO", 4)) {
		fprintf(out, "%s", k->hello);
	} else if (!strncmp(line, "RCPT", 4)) {
		sink_rcpt(k, out, line);
	} else if (!strncmp(line, "DATA", 4)) {
		fprintf(out, "354 go\r\n");
		(void)fflush(out);
		sink_data(k, in);
	} else if (sscanf(line, "BDAT %lu LAST", &n) == 1) {
		sink_bdat(k, in, n);
	} else if (!strncmp(line, "QUIT", 4)) {
		fprintf(out, "221 bye\r\n");
		return false;
	}
	if (!strncmp(line, "DATA", 4) || !strncmp(line, "BDAT", 4)) {
		if (k->silent_after_body)
			return false;
		k->messages++;
		fprintf(out, "250 2.0.0 queued\r\n");
	} else if (strncmp(line, "EHLO", 4) && strncmp(line, "RCPT", 4)) {
		fprintf(out, "250 ok\r\n");
	}
	return true;
}

static void sink_talk(struct sink *k, int fd)
{
	FILE *in = fdopen(fd, "r"), *out = fdopen(dup(fd), "w");
	char *line = NULL;
	size_t room = 0;

	k->connections++;
	fprintf(out, k->busy ? "421 busy\r\n" : "220 sink\r\n");
	(void)fflush(out);
	while (!k->busy && getline(&line, &room, in) > 0 &&
	       sink_command(k, in, out, line))
		(void)fflush(out);
	(void)fclose(out);
	(void)fclose(in);
}

/* Serves each connection in a process of its own, until it is killed. */
static pid_t sink_start(struct sink *k, int listener)
{
	pid_t pid = fork();
	int fd;

	if (pid)
		return pid;
	(void)signal(SIGCHLD, SIG_IGN);
	while ((fd = accept(listener, NULL, NULL)) >= 0) {
		if (!fork()) {
			sink_talk(k, fd);
			_exit(0);
		}
		(void)close(fd);
	}
	_exit(1);
}

static struct sink *sink_open(struct world *w, const char *hello, pid_t *ret)
{
	struct sink *k = (void *)shared_memory(sizeof(*k));
	struct sockaddr_in in = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(in);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct config_route *route;

	assert_return_code(bind(fd, (struct sockaddr *)&in, len), errno);
	assert_return_code(listen(fd, 16), errno);
	assert_return_code(getsockname(fd, (struct sockaddr *)&in, &len),
			   errno);
	k->hello = hello;
	add_route(w, CONFIG_HOP_SMTP, NULL);
	route = &w->config.routes[w->config.routes_n - 1];
	route->host = "127.0.0.1";
	route->port = ntohs(in.sin_port);
	route->tls = CONFIG_HOP_TLS_NONE;
	*ret = sink_start(k, fd);
	(void)close(fd);
	return k;
}

static void sink_close(pid_t pid)
{
	int status;

	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, &status, 0);
}

/* -- tests ----------------------------------------------------------------- */

static void maildir_gets_every_byte(void **state)
{
	static uint8_t large[300000];
	struct span body = SPAN("Subject: x\r\n\r\n.dot\r\n");
	struct world w;
	uint64_t id, large_id;

	for (size_t i = 0; i < sizeof(large); i++)
		large[i] = (uint8_t)(i * 31 >> 3);
	open_world(&w);
	add_route(&w, CONFIG_HOP_MAILDIR, NULL);
	start_relay(&w);
	id = submit(&w, "b@example.net c@example.net", body);
	large_id = submit(&w, "d@example.net", span_of(large, sizeof(large)));
	wait_for_names(w.options.routes[0].new_dir, 2);
	expect_mail(&w, id,
		    "Return-Path: <a@example.org>\r\n"
		    "Delivered-To: b@example.net\r\n"
		    "Delivered-To: c@example.net\r\n",
		    body);
	expect_mail(&w, large_id,
		    "Return-Path: <a@example.org>\r\n"
		    "Delivered-To: d@example.net\r\n",
		    span_of(large, sizeof(large)));
	assert_int_equal(count_names(w.options.routes[0].tmp_dir), 0);
	wait_for_names(w.options.files_dir, 0); /* its body is gone */
	drain_relay(&w);
	close_world(&w);
}

static void segments_go_when_all_is_done(void **state)
{
	struct world w;
	static uint8_t body[4096];

	memset(body, 'x', sizeof(body));
	open_world(&w);
	add_route(&w, CONFIG_HOP_DISCARD, NULL);
	start_relay(&w);
	for (int i = 0; i < 200; i++)
		(void)submit(&w, "b@example.net", span_of(body, sizeof(body)));
	seal(&w);
	wait_for_metric(&w, METRIC_DELIVERIES_OK, 200);
	wait_for_names(w.options.segments_dir, 0);
	wait_for_metric(&w, METRIC_QUEUE_NOW, 0);
	drain_relay(&w);
	close_world(&w);
}

/* P1: what was spooled before a crash is delivered after it, once. */
static void crash_loses_nothing_and_doubles_nothing(void **state)
{
	struct world w;

	open_world(&w);
	add_route(&w, CONFIG_HOP_MAILDIR, NULL);
	for (int i = 0; i < 50; i++)
		(void)submit(&w, "b@example.net", SPAN("x\r\n"));
	seal(&w); /* a forked relay would inherit the segment's lock */
	for (int round = 0; round < 5; round++) {
		start_relay(&w);
		(void)usleep((useconds_t)(3000 * (round + 1)));
		kill_relay(&w);
	}
	start_relay(&w);
	for (int i = 0; i < 50; i++)
		(void)submit(&w, "b@example.net", SPAN("x\r\n"));
	wait_for_names(w.options.routes[0].new_dir, 100);
	seal(&w);
	wait_for_names(w.options.segments_dir, 0);
	drain_relay(&w);
	assert_int_equal(count_names(w.options.routes[0].new_dir), 100);
	close_world(&w);
}

/* What was recorded as done is not delivered again by the next relay. */
static void journal_is_believed(void **state)
{
	struct world w;

	open_world(&w);
	add_route(&w, CONFIG_HOP_DISCARD, NULL);
	start_relay(&w);
	for (int i = 0; i < 10; i++)
		(void)submit(&w, "b@example.net", SPAN("x\r\n"));
	wait_for_metric(&w, METRIC_DELIVERIES_OK, 10);
	drain_relay(&w);
	start_relay(&w);
	(void)submit(&w, "b@example.net", SPAN("x\r\n"));
	wait_for_metric(&w, METRIC_DELIVERIES_OK, 11);
	drain_relay(&w);
	assert_int_equal(metric_read(w.metrics, METRIC_DELIVERIES_OK), 11);
	close_world(&w);
}

/* Two relays never work on one spool: the second waits for the first. */
static void second_relay_waits(void **state)
{
	struct world w;
	struct world second;

	open_world(&w);
	add_route(&w, CONFIG_HOP_DISCARD, NULL);
	start_relay(&w);
	(void)submit(&w, "b@example.net", SPAN("x\r\n"));
	wait_for_metric(&w, METRIC_DELIVERIES_OK, 1);
	second = w;
	second.metrics = (void *)shared_memory(sizeof(*w.metrics));
	second.options.metrics = second.metrics;
	start_relay(&second);
	(void)usleep(300000);
	assert_int_equal(metric_read(second.metrics, METRIC_RING_ENTERS), 0);
	drain_relay(&w);
	wait_for_metric(&second, METRIC_SEGMENTS_NOW, 1);
	drain_relay(&second);
	close_world(&w);
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
		struct world w;
		struct sink *k;
		pid_t pid;

		open_world(&w);
		k = sink_open(&w, hellos[i], &pid);
		start_relay(&w);
		for (int n = 0; n < 20; n++)
			(void)submit(&w, "b@example.net c@example.net", small);
		(void)submit(&w, "b@example.net",
			     span_of(large, 61 * (sizeof(large) / 61)));
		wait_for_metric(&w, METRIC_DELIVERIES_OK, 21);
		assert_int_equal(k->messages, 21);
		assert_int_equal(k->recipients, 41);
		assert_int_equal(k->body_bytes,
				 20 * small.len + 61 * (sizeof(large) / 61));
		assert_int_equal(
			k->body_sum,
			20 * sum_of(small) +
				sum_of(span_of(large,
					       61 * (sizeof(large) / 61))));
		assert_true(k->connections <= 2); /* the route's connections */
		seal(&w);
		wait_for_names(w.options.segments_dir, 0);
		drain_relay(&w);
		sink_close(pid);
		close_world(&w);
	}
}

/* Refused for good: held. Refused for now: tried again, without the others. */
static void outcomes_are_by_recipient(void **state)
{
	struct world w;
	struct sink *k;
	pid_t pid;

	open_world(&w);
	k = sink_open(&w, "250-sink\r\n250 PIPELINING\r\n", &pid);
	start_relay(&w);
	(void)submit(&w, "ok@example.net 451later@example.net", SPAN("x\r\n"));
	(void)submit(&w, "ok@example.net 550no@example.net", SPAN("x\r\n"));
	wait_for_metric(&w, METRIC_DELIVERIES_DEFERRED, 3);
	wait_for_metric(&w, METRIC_QUEUE_HELD_NOW, 1);
	assert_int_equal(k->recipients, 2); /* each once */
	assert_int_equal(k->messages, 2);
	drain_relay(&w);
	sink_close(pid);
	close_world(&w);
}

/* P1: a body without its reply is tried again. */
static void no_reply_is_no_delivery(void **state)
{
	struct world w;
	struct sink *k;
	pid_t pid;

	open_world(&w);
	k = sink_open(&w, "250-sink\r\n250 CHUNKING\r\n", &pid);
	k->silent_after_body = true;
	start_relay(&w);
	(void)submit(&w, "b@example.net", SPAN("x\r\n"));
	wait_for_metric(&w, METRIC_DELIVERIES_DEFERRED, 1);
	assert_int_equal(metric_read(w.metrics, METRIC_DELIVERIES_OK), 0);
	k->silent_after_body = false;
	wait_for_metric(&w, METRIC_DELIVERIES_OK, 1);
	drain_relay(&w);
	sink_close(pid);
	close_world(&w);
}

/* A route that cannot be reached does not hold up another one. */
static void dead_next_hop_delays_only_its_own(void **state)
{
	struct world w;
	struct sink *k;
	pid_t pid;

	open_world(&w);
	k = sink_open(&w, "250 sink\r\n", &pid);
	sink_close(pid); /* nobody listens */
	add_route(&w, CONFIG_HOP_DISCARD, "example.com");
	start_relay(&w);
	for (int i = 0; i < 200; i++)
		(void)submit(&w, i % 2 ? "b@example.net" : "b@example.com",
			     SPAN("x\r\n"));
	wait_for_metric(&w, METRIC_DELIVERIES_OK, 100);
	wait_for_metric(&w, METRIC_QUEUE_DEFERRED_NOW, 100);
	assert_int_equal(k->messages, 0);
	drain_relay(&w);
	close_world(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(maildir_gets_every_byte),
		cmocka_unit_test(segments_go_when_all_is_done),
		cmocka_unit_test(crash_loses_nothing_and_doubles_nothing),
		cmocka_unit_test(journal_is_believed),
		cmocka_unit_test(second_relay_waits),
		cmocka_unit_test(smtp_gets_every_byte),
		cmocka_unit_test(outcomes_are_by_recipient),
		cmocka_unit_test(no_reply_is_no_delivery),
		cmocka_unit_test(dead_next_hop_delays_only_its_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
