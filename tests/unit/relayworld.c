#include "relayworld.h"

#include "spool/envelope.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define WAIT_MS 20000

static int make_dir(struct relayworld *w, const char *name)
{
	int fd;

	assert_return_code(mkdirat(w->dir, name, 0700), errno);
	fd = openat(w->dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

uint8_t *relayworld_shared_memory(size_t bytes)
{
	uint8_t *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_true(p != MAP_FAILED);
	return p;
}

void relayworld_add_route(struct relayworld *w, enum config_next_hop kind,
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

static void open_store(struct relayworld *w)
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

void relayworld_open(struct relayworld *w)
{
	memset(w, 0, sizeof(*w));
	(void)snprintf(w->path, sizeof(w->path), "/tmp/sluice-relay-XXXXXX");
	assert_non_null(mkdtemp(w->path));
	w->dir = open(w->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	w->board = (void *)relayworld_shared_memory(sizeof(*w->board));
	w->metrics = (void *)relayworld_shared_memory(sizeof(*w->metrics));
	w->config.hostname = "relay.example";
	w->config.limits.envelope_bytes = 64 * 1024;
	w->config.spool.queue_messages = 1000;
	w->config.timeouts.drain = 2 * WAIT_MS / 1000; /* not waited for */
	w->config.retry = (struct config_retry){ .first = 1,
						 .longest = 2,
						 .give_up = 3600 };
	w->options = (struct runner_options){
		.config = &w->config,
		.segments_dir = make_dir(w, "segments"),
		.files_dir = make_dir(w, "files"),
		.journal_dir = make_dir(w, "journal"),
		.doorbell_fd = eventfd(0, EFD_CLOEXEC),
		.census_fd = -1,
		.board = w->board,
		.board_n = 1,
		.metrics = w->metrics,
	};
	w->next_id = 1;
	open_store(w);
}

void relayworld_close(struct relayworld *w)
{
	char command[128];

	free(w->store);
	snprintf(command, sizeof(command), "rm -rf %s", w->path);
	assert_int_equal(system(command), 0);
}

void relayworld_start(struct relayworld *w)
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
		(void)signal(SIGPIPE, SIG_IGN); /* as in the daemon */
		log_setup(verbose ? LOG_DEBUG : LOG_ERROR, LOG_TEXT, "relay");
		_exit(runner_run(&w->options));
	}
	(void)close(ends[0]);
}

void relayworld_kill(struct relayworld *w)
{
	int status;

	(void)kill(w->relay, SIGKILL);
	assert_int_equal(waitpid(w->relay, &status, 0), w->relay);
	(void)close(w->command_fd);
}

void relayworld_drain(struct relayworld *w)
{
	pid_t ended = 0;
	int status = 0;

	assert_int_equal(write(w->command_fd, "D", 1), 1);
	(void)close(w->command_fd);
	for (uint32_t ms = 0; ms < WAIT_MS && !ended; ms++) {
		ended = waitpid(w->relay, &status, WNOHANG);
		(void)usleep(1000);
	}
	assert_int_equal(ended, w->relay);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* -- submitting ------------------------------------------------------------ */

static void run_store(struct relayworld *w, struct txn *t)
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

static void announce(struct relayworld *w)
{
	uint64_t segment, durable, one = 1;

	store_durable(w->store, &segment, &durable);
	board_announce(w->board, segment, durable);
	assert_int_equal(write(w->options.doorbell_fd, &one, 8), 8);
}

static void note_dots(struct dots *to, struct span body)
{
	for (size_t at = 0; at < body.len; at++)
		if (body.p[at] == '.' && (!at || body.p[at - 1] == '\n'))
			dots_add(to, at);
}

uint64_t relayworld_submit(struct relayworld *w, const char *recipients,
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
	note_dots(txn_dots(&t), body);
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

void relayworld_seal(struct relayworld *w)
{
	struct txn none = { 0 };

	store_seal(w->store);
	run_store(w, &none);
	announce(w);
}

/* -- looking --------------------------------------------------------------- */

uint32_t relayworld_count_names(int dir)
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

void relayworld_wait_for_names(int dir, uint32_t n)
{
	for (uint32_t ms = 0; ms < WAIT_MS && relayworld_count_names(dir) != n;
	     ms += 10)
		(void)usleep(10000);
	assert_int_equal(relayworld_count_names(dir), n);
}

void relayworld_wait_for_metric(const struct relayworld *w, enum metric m,
				uint64_t n)
{
	for (uint32_t ms = 0; ms < WAIT_MS && metric_read(w->metrics, m) != n;
	     ms += 10)
		(void)usleep(10000);
	if (metric_read(w->metrics, m) != n)
		fail_msg("%s is %llu, wanted %llu", metric_name(m),
			 (unsigned long long)metric_read(w->metrics, m),
			 (unsigned long long)n);
}

struct span relayworld_read_mail(const struct relayworld *w, uint64_t id)
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
