/*
 * The control socket as its peers see it: real sockets in a folder of its own,
 * a clock that only the test moves, a supervisor that answers by fixed rules.
 */

#include "control/ask.h"
#include "control/control.h"

#include <errno.h>
#include <grp.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
	char folder[64];
	char path[96];
	struct control control;
	uint64_t now_ms;
	unsigned int requests_n;
	struct control_request last;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	(void)snprintf(f->folder, sizeof(f->folder), "/tmp/control-XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	(void)snprintf(f->path, sizeof(f->path), "%s/socket", f->folder);
	f->now_ms = 1000;
	assert_int_equal(control_open(&f->control, f->path, getuid(), getgid()),
			 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	control_remove(&f->control);
	control_close(&f->control);
	assert_int_equal(rmdir(f->folder), 0);
	free(f);
	return 0;
}

/* What the supervisor does with requests. */
static void serve(struct fixture *f)
{
	struct control_request r;

	while (control_next(&f->control, &r)) {
		f->requests_n++;
		f->last = r;
		if (r.verb == CONTROL_RELOAD)
			control_refuse(&r, "t.conf:1: no");
		else if (r.verb == CONTROL_METRICS)
			while (!r.answer->overflowed)
				buf_put_str(r.answer, "more and more\n");
		else
			buf_put_str(r.answer, "fine\n");
		control_answer(&f->control, &r, f->now_ms);
	}
}

/* One turn of the supervisor's loop; it waits for nothing. */
static void turn(struct fixture *f)
{
	struct pollfd fds[CONTROL_FDS];

	control_poll(&f->control, fds);
	assert_true(poll(fds, CONTROL_FDS, 0) >= 0);
	control_ready(&f->control, fds, f->now_ms);
	serve(f);
}

static void turns(struct fixture *f)
{
	for (int i = 0; i < 10; i++)
		turn(f);
}

static int dial(const struct fixture *f)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd,
				 (const struct sockaddr *)&f->control.address,
				 sizeof(f->control.address)),
			 0);
	return fd;
}

static void say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL),
			 strlen(text));
}

/* The whole answer and the end of the stream after it. */
static void hears(struct fixture *f, int fd, const char *text)
{
	char got[256] = "";
	size_t used = 0;
	ssize_t n = 0;

	for (int i = 0; i < 20; i++) {
		turn(f);
		n = recv(fd, got + used, sizeof(got) - 1 - used, 0);
		if (n <= 0 && !(n < 0 && errno == EAGAIN))
			break;
		used += n > 0 ? (size_t)n : 0;
	}
	assert_string_equal(got, text);
	assert_true(n == 0 || (n < 0 && errno == ECONNRESET));
	assert_int_equal(close(fd), 0);
}

static void test_requests(void **state)
{
	static const struct {
		const char *line;
		enum control_verb verb;
		enum log_level level;
	} table[] = {
		{ "status\n", CONTROL_STATUS, LOG_ERROR },
		{ "status json\n", CONTROL_STATUS_JSON, LOG_ERROR },
		{ "stop\n", CONTROL_STOP, LOG_ERROR },
		{ "log-level error\n", CONTROL_LOG_LEVEL, LOG_ERROR },
		{ "log-level notice\n", CONTROL_LOG_LEVEL, LOG_NOTICE },
		{ "log-level debug\n", CONTROL_LOG_LEVEL, LOG_DEBUG },
		{ "lane list\n", CONTROL_LANE, 0 },
		{ "shield list\n", CONTROL_SHIELD, 0 },
		{ "upgrade\n", CONTROL_UPGRADE, 0 },
		{ "upgrade /usr/sbin/sluiced\n", CONTROL_UPGRADE, 0 },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		int fd = dial(f);

		say(fd, table[i].line);
		hears(f, fd, "ok\nfine\n");
		assert_int_equal(f->requests_n, i + 1);
		assert_int_equal(f->last.verb, table[i].verb);
		assert_int_equal(f->last.log_level, table[i].level);
		assert_true(f->last.trusted); /* we are the daemon's user */
	}
}

static void test_request_byte_by_byte(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f);

	for (const char *p = "status\n"; *p; p++) {
		char one[2] = { *p, '\0' };

		assert_int_equal(f->requests_n, 0);
		say(fd, one);
		turns(f);
	}
	hears(f, fd, "ok\nfine\n");
	assert_int_equal(f->requests_n, 1);
}

static void test_garbage(void **state)
{
	static const char *const lines[] = {
		"\n",
		"STATUS\n",
		"status \n",
		"status\r\n",
		"statusstatus\n",
		"log-level\n",
		"lane\n",
		"lan\n",
		"log-level loud\n",
		"\x80\xff\x01\n",
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
		int fd = dial(f);

		say(fd, lines[i]);
		hears(f, fd, "error unknown request\n");
	}
	assert_int_equal(f->requests_n, 0);
}

static void test_one_request_per_connection(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f);

	say(fd, "status\nstop\n");
	hears(f, fd, "ok\nfine\n");
	assert_int_equal(f->requests_n, 1);
	assert_int_equal(f->last.verb, CONTROL_STATUS);
}

static void test_oversize(void **state)
{
	char text[CONTROL_LINE_MAX + 2];
	struct fixture *f = *state;
	int fd = dial(f);

	memset(text, 's', sizeof(text));
	text[CONTROL_LINE_MAX - 1] = '\0';
	say(fd, text);
	turns(f);
	assert_int_equal(f->control.clients[0].state, CONTROL_READING);
	say(fd, "s");
	hears(f, fd, "error the request is too long\n");
	assert_int_equal(f->requests_n, 0);
}

static void test_refused(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f);

	say(fd, "reload\n");
	hears(f, fd, "error t.conf:1: no\n");
}

static void test_answer_too_long(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f);

	say(fd, "metrics\n");
	hears(f, fd, "error the answer is too long\n");
}

static void test_silent_client_is_ended(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f);
	char c;

	assert_int_equal(control_timeout_ms(&f->control, f->now_ms), -1);
	say(fd, "stat");
	turns(f);
	assert_int_equal(control_timeout_ms(&f->control, f->now_ms),
			 CONTROL_PATIENCE_MS);
	f->now_ms += CONTROL_PATIENCE_MS - 1;
	turns(f);
	assert_int_equal(control_timeout_ms(&f->control, f->now_ms), 1);
	assert_int_equal(recv(fd, &c, 1, 0), -1);
	assert_int_equal(errno, EAGAIN);
	f->now_ms += 1;
	turns(f);
	assert_int_equal(recv(fd, &c, 1, 0), 0);
	assert_int_equal(control_timeout_ms(&f->control, f->now_ms), -1);
	assert_int_equal(close(fd), 0);
}

/* Answers as much as the sockets hold, then nothing is read. */
static void test_client_that_does_not_read(void **state)
{
	struct fixture *f = *state;
	struct control_request r;
	struct pollfd fds[CONTROL_FDS];
	int fd = dial(f);
	uint8_t got[4096];
	size_t total = 0;
	ssize_t n;

	turn(f);
	say(fd, "status\n");
	control_poll(&f->control, fds);
	assert_true(poll(fds, CONTROL_FDS, 0) >= 0);
	control_ready(&f->control, fds, f->now_ms);
	assert_true(control_next(&f->control, &r));
	while (buf_room(r.answer))
		buf_put_byte(r.answer, 'x');
	control_answer(&f->control, &r, f->now_ms);
	assert_int_equal(f->control.clients[0].state, CONTROL_ANSWERING);
	f->now_ms += CONTROL_PATIENCE_MS;
	turn(f);
	assert_int_equal(f->control.clients[0].state, CONTROL_FREE);
	while ((n = recv(fd, got, sizeof(got), 0)) > 0)
		total += (size_t)n;
	assert_true(total > 0 && total < CONTROL_ANSWER_MAX);
	assert_int_equal(close(fd), 0);
}

static void test_client_that_leaves(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f);

	say(fd, "stat");
	turns(f);
	assert_int_equal(close(fd), 0);
	turns(f);
	assert_int_equal(f->control.clients[0].state, CONTROL_FREE);
	fd = dial(f);
	say(fd, "status\n");
	assert_int_equal(close(fd), 0);
	turns(f);
	assert_int_equal(f->control.clients[0].state, CONTROL_FREE);
}

/* A fifth waits in the backlog and is served when a place is free. */
static void test_more_clients_than_places(void **state)
{
	struct fixture *f = *state;
	struct pollfd fds[CONTROL_FDS];
	int held[CONTROL_CLIENTS];
	int late;

	for (size_t i = 0; i < CONTROL_CLIENTS; i++)
		held[i] = dial(f);
	turns(f);
	control_poll(&f->control, fds);
	assert_int_equal(fds[0].fd, -1);
	late = dial(f);
	say(late, "status\n");
	turns(f);
	assert_int_equal(f->requests_n, 0);
	assert_int_equal(close(held[2]), 0);
	hears(f, late, "ok\nfine\n");
	for (size_t i = 0; i < CONTROL_CLIENTS; i++)
		if (i != 2)
			assert_int_equal(close(held[i]), 0);
	turns(f);
}

static void test_socket_belongs_to_one_daemon(void **state)
{
	struct fixture *f = *state;
	struct control *second = calloc(1, sizeof(*second));
	struct stat st;

	assert_non_null(second);
	assert_int_equal(control_open(second, f->path, getuid(), getgid()),
			 -EADDRINUSE);
	assert_int_equal(stat(f->path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0660);
	assert_int_equal(st.st_gid, getgid());
	/* A dead daemon's: closed, its name still there. */
	control_close(&f->control);
	assert_int_equal(stat(f->path, &st), 0);
	assert_int_equal(control_open(&f->control, f->path, getuid(), getgid()),
			 0);
	free(second);
}

static void test_path_too_long(void **state)
{
	struct control *c = calloc(1, sizeof(*c));
	char path[200];

	assert_non_null(c);
	memset(path, 'a', sizeof(path));
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(control_open(c, path, 0, 0), -ENAMETOOLONG);
	free(c);
}

/* A connection of a user without any right but one group. */
static int dial_as_stranger(const struct fixture *f, gid_t group)
{
	gid_t before[64];
	int n = getgroups(64, before);
	int fd;

	assert_true(n >= 0);
	assert_int_equal(chmod(f->folder, 0755), 0);
	assert_int_equal(chmod(f->path, 0666), 0);
	assert_int_equal(setgroups(1, &group), 0);
	assert_int_equal(setegid(65534), 0);
	assert_int_equal(seteuid(65534), 0);
	fd = dial(f);
	assert_int_equal(seteuid(0), 0);
	assert_int_equal(setegid(0), 0);
	assert_int_equal(setgroups((size_t)n, before), 0);
	return fd;
}

static void test_stranger_is_refused(void **state)
{
	struct fixture *f = *state;
	int fd;

	if (getuid()) {
		print_message("# skipped: only root becomes somebody else\n");
		skip();
		return;
	}
	f->control.gid = 4711;
	fd = dial_as_stranger(f, 4712);
	say(fd, "stop\n");
	hears(f, fd, "error not permitted: be root or in the daemon's group\n");
	assert_int_equal(f->requests_n, 0);
	fd = dial_as_stranger(f, 4711);
	say(fd, "stop\n");
	hears(f, fd, "ok\nfine\n");
}

/* ---- the tool's side ----------------------------------------------------- */

struct asker {
	const struct fixture *f;
	const char *request;
	int result;
	struct buf answer;
	uint8_t storage[256];
	_Atomic bool done;
};

static void *asker_main(void *argument)
{
	struct asker *a = argument;

	a->result = ask_daemon(a->f->path, a->request, &a->answer);
	a->done = true;
	return NULL;
}

static void expect_answer(struct fixture *f, const char *request, int result,
			  const char *text)
{
	struct asker a = { .f = f, .request = request };
	pthread_t thread;

	buf_init(&a.answer, a.storage, sizeof(a.storage) - 1);
	assert_int_equal(pthread_create(&thread, NULL, asker_main, &a), 0);
	while (!a.done) {
		turn(f);
		(void)usleep(1000);
	}
	assert_int_equal(pthread_join(thread, NULL), 0);
	a.storage[a.answer.end] = '\0';
	assert_int_equal(a.result, result);
	assert_string_equal((char *)a.storage + a.answer.start, text);
}

static void test_ask(void **state)
{
	struct fixture *f = *state;

	expect_answer(f, "status", 0, "fine\n");
	expect_answer(f, "reload", -EREMOTEIO, "t.conf:1: no\n");
	expect_answer(f, "dance", -EREMOTEIO, "unknown request\n");
}

static void test_ask_nobody(void **state)
{
	struct fixture *f = *state;
	uint8_t storage[16];
	struct buf answer;

	buf_init(&answer, storage, sizeof(storage));
	assert_int_equal(ask_daemon("/nonexistent", "status", &answer),
			 -ENOENT);
	control_close(&f->control);
	assert_int_equal(ask_daemon(f->path, "status", &answer), -ECONNREFUSED);
	assert_int_equal(control_open(&f->control, f->path, getuid(), getgid()),
			 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_requests),
		TEST(test_request_byte_by_byte),
		TEST(test_garbage),
		TEST(test_one_request_per_connection),
		TEST(test_oversize),
		TEST(test_refused),
		TEST(test_answer_too_long),
		TEST(test_silent_client_is_ended),
		TEST(test_client_that_does_not_read),
		TEST(test_client_that_leaves),
		TEST(test_more_clients_than_places),
		TEST(test_socket_belongs_to_one_daemon),
		cmocka_unit_test(test_path_too_long),
		TEST(test_stranger_is_refused),
		TEST(test_ask),
		TEST(test_ask_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
