/*
 * One delivery into a Maildir, step by step: the order of its steps is what a
 * crash relies on, so the test carries them out one at a time and breaks off or
 * fails at each.
 */
#include "relay/maildir.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define NAME "1700000000.M000000000000002a.mx\\057\\072.example"
#define HEAD                                                        \
	"Return-Path: <a@example.org>\r\nDelivered-To: b@x.org\r\n" \
	"Delivered-To: c@x.org\r\n"

struct box {
	char path[64];
	struct maildir_target target;
	struct maildir_message message;
	uint32_t recipients_n;
	enum io_kind kinds[64]; /* of the steps of the last run */
	uint8_t block[MAILDIR_BLOCK_MIN];
};

static int make(const struct box *b, const char *name)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/%s", b->path, name);
	assert_return_code(mkdir(path, 0700), errno);
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void box_open(struct box *b, struct span body)
{
	char path[128];
	int fd;

	memset(b, 0, sizeof(*b));
	(void)snprintf(b->path, sizeof(b->path), "/tmp/sluice-maildir-XXXXXX");
	assert_non_null(mkdtemp(b->path));
	b->target = (struct maildir_target){ make(b, "tmp"), make(b, "new"),
					     "mx/:.example" };
	(void)snprintf(path, sizeof(path), "%s/body", b->path);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(pwrite(fd, body.p, body.len, 7), body.len);
	b->message = (struct maildir_message){
		.id = 42,
		.arrival_s = 1700000000,
		.reverse_path = SPAN("a@example.org"),
		.body_fd = fd,
		.body_at = 7,
		.body_len = body.len,
		.block = { b->block, sizeof(b->block) },
	};
	b->recipients_n = 2;
}

static void box_close(struct box *b)
{
	char command[128];

	(void)close(b->message.body_fd);
	(void)close(b->target.tmp_dir);
	(void)close(b->target.new_dir);
	(void)snprintf(command, sizeof(command), "rm -rf %s", b->path);
	assert_int_equal(system(command), 0);
}

static bool exists(int dir)
{
	return !faccessat(dir, NAME, F_OK, 0);
}

static void give_recipients(struct maildir *m, uint32_t *n, uint32_t most)
{
	while (maildir_wants_recipient(m)) {
		if (*n == most)
			maildir_recipients_end(m);
		else
			maildir_recipient(m, ++*n % 2 ? SPAN("b@x.org") :
							SPAN("c@x.org"));
	}
}

/*
 * Carries out steps; the one numbered `fail_at` gets `error` instead, unless
 * error is 0: then the delivery is broken off there, as by a crash.
 */
static uint32_t run(struct box *b, struct maildir *m, uint32_t fail_at,
		    int error)
{
	bool before = exists(b->target.new_dir);
	uint32_t steps = 0, n = 0;
	struct io io;

	maildir_open(m, &b->target, &b->message);
	for (;;) {
		give_recipients(m, &n, b->recipients_n);
		if (!maildir_next(m, &io))
			return steps;
		b->kinds[steps++ % 64] = io.kind;
		if (steps == fail_at && !error)
			return steps;
		if (steps == fail_at && io.kind == IO_CLOSE)
			(void)io_run(&io);
		maildir_done(m, steps == fail_at ? error : io_run(&io));
		if (!before && exists(b->target.new_dir))
			assert_true(m->state > MAILDIR_RENAMING);
	}
}

static void expect_content(const struct box *b, const char *head,
			   struct span body)
{
	static char text[64 * 1024];
	int fd = openat(b->target.new_dir, NAME, O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, text, sizeof(text));

	(void)close(fd);
	assert_int_equal(n, strlen(head) + body.len);
	assert_memory_equal(text, head, strlen(head));
	assert_memory_equal(text + strlen(head), body.p, body.len);
}

static void whole_mail(void **state)
{
	static uint8_t large[20000];
	struct maildir m;
	struct box b;

	for (size_t i = 0; i < sizeof(large); i++)
		large[i] = (uint8_t)(i * 7 >> 2);
	box_open(&b, span_of(large, sizeof(large)));
	(void)run(&b, &m, 0, 0);
	assert_int_equal(m.state, MAILDIR_DELIVERED);
	expect_content(&b, HEAD, span_of(large, sizeof(large)));
	assert_false(exists(b.target.tmp_dir));
	box_close(&b);
}

/* The name appears behind a sync of the file, and is synced itself. */
static void order_of_steps(void **state)
{
	static const enum io_kind wanted[] = { IO_OPEN, IO_READ,  IO_WRITE,
					       IO_SYNC, IO_CLOSE, IO_RENAME,
					       IO_SYNC };
	struct maildir m;
	struct box b;

	box_open(&b, SPAN("x\r\n"));
	assert_int_equal(run(&b, &m, 0, 0), 7);
	assert_memory_equal(b.kinds, wanted, sizeof(wanted));
	box_close(&b);
}

static void empty_body(void **state)
{
	struct maildir m;
	struct box b;

	box_open(&b, SPAN(""));
	(void)run(&b, &m, 0, 0);
	assert_int_equal(m.state, MAILDIR_DELIVERED);
	expect_content(&b, HEAD, SPAN(""));
	box_close(&b);
}

/* More Delivered-To lines than a block holds. */
static void many_recipients(void **state)
{
	struct maildir m;
	struct box b;
	struct stat st;

	box_open(&b, SPAN("x\r\n"));
	b.recipients_n = 1000;
	(void)run(&b, &m, 0, 0);
	assert_int_equal(m.state, MAILDIR_DELIVERED);
	assert_int_equal(fstatat(b.target.new_dir, NAME, &st, 0), 0);
	assert_int_equal(st.st_size,
			 strlen("Return-Path: <a@example.org>\r\n") +
				 1000 * strlen("Delivered-To: b@x.org\r\n") +
				 3);
	box_close(&b);
}

/* A crash at any step: nothing, or all of it; and the repeat leaves one. */
static void broken_off_anywhere(void **state)
{
	struct span body = SPAN("Subject: x\r\n\r\nhello\r\n");
	struct maildir m;
	struct box b;
	uint32_t steps;

	box_open(&b, body);
	steps = run(&b, &m, 0, 0);
	box_close(&b);
	assert_true(steps >= 7);
	for (uint32_t at = 1; at <= steps; at++) {
		box_open(&b, body);
		(void)run(&b, &m, at, 0);
		assert_true(m.state < MAILDIR_DELIVERED);
		if (exists(b.target.new_dir))
			expect_content(&b, HEAD, body);
		(void)run(&b, &m, 0, 0);
		assert_int_equal(m.state, MAILDIR_DELIVERED);
		expect_content(&b, HEAD, body);
		assert_false(exists(b.target.tmp_dir));
		box_close(&b);
	}
}

/* A failure at any step is told, and leaves no litter in tmp/. */
static void failing_anywhere(void **state)
{
	struct span body = SPAN("Subject: x\r\n\r\nhello\r\n");
	struct maildir m;
	struct box b;

	for (uint32_t at = 1; at <= 7; at++) {
		box_open(&b, body);
		(void)run(&b, &m, at, -ENOSPC);
		assert_int_equal(m.state, MAILDIR_FAILED);
		assert_int_equal(maildir_error(&m), -ENOSPC);
		assert_false(exists(b.target.tmp_dir));
		if (at < 7) /* the last syncs a name that is there */
			assert_false(exists(b.target.new_dir));
		box_close(&b);
	}
}

static void body_cut_short(void **state)
{
	struct maildir m;
	struct box b;

	box_open(&b, SPAN("short"));
	b.message.body_len = 100;
	(void)run(&b, &m, 0, 0);
	assert_int_equal(m.state, MAILDIR_FAILED);
	assert_int_equal(maildir_error(&m), -EIO);
	assert_false(exists(b.target.new_dir));
	assert_false(exists(b.target.tmp_dir));
	box_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole_mail),
		cmocka_unit_test(order_of_steps),
		cmocka_unit_test(empty_body),
		cmocka_unit_test(many_recipients),
		cmocka_unit_test(broken_off_anywhere),
		cmocka_unit_test(failing_anywhere),
		cmocka_unit_test(body_cut_short),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
