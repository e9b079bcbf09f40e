/*
 * One line per event, whatever the values hold: nobody can forge a line, and
 * JSON stays JSON. Standard error is a file in memory while a test runs.
 */
#include "base/log.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define TEXT_MAX (1 << 20)

static char text[TEXT_MAX];
static int real_stderr;
static int capture;

static int setup(void **state)
{
	real_stderr = dup(STDERR_FILENO);
	capture = memfd_create("stderr", MFD_CLOEXEC);
	return real_stderr < 0 || capture < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	(void)close(real_stderr);
	return close(capture);
}

static uint64_t flush_to(int fd)
{
	uint64_t lost;

	(void)dup2(fd, STDERR_FILENO);
	lost = log_flush();
	(void)dup2(real_stderr, STDERR_FILENO);
	return lost;
}

/* Standard error is the capture until collect(). */
static void begin(enum log_level level, enum log_format format)
{
	log_setup(level, format, "test-0");
	assert_int_equal(ftruncate(capture, 0), 0);
	assert_int_equal(lseek(capture, 0, SEEK_SET), 0);
	(void)dup2(capture, STDERR_FILENO);
}

/* What was written since begin(), NUL-terminated. */
static size_t collect(void)
{
	ssize_t n;

	(void)log_flush();
	(void)dup2(real_stderr, STDERR_FILENO);
	n = pread(capture, text, sizeof(text) - 1, 0);
	assert_true(n >= 0);
	text[n] = '\0';
	return (size_t)n;
}

static size_t lines(void)
{
	size_t n = 0;

	for (const char *p = text; *p; p++)
		n += *p == '\n';
	return n;
}

/* The line behind its time: "info test-0: event ...". */
static const char *after_time(void)
{
	static const char shape[] = "dddd-dd-ddTdd:dd:dd.dddZ ";

	for (size_t i = 0; shape[i]; i++) {
		if (shape[i] == 'd')
			assert_in_range(text[i], '0', '9');
		else
			assert_int_equal(text[i], shape[i]);
	}
	return text + sizeof(shape) - 1;
}

/* ---- a strict reader of a flat JSON object ------------------------------- */

struct json {
	const char *p;
	uint8_t value[4 * LOG_VALUE_MAX]; /* the last string read */
	size_t value_len;
};

static uint8_t json_hex(struct json *j)
{
	unsigned int value = 0;

	for (int i = 0; i < 4; i++) {
		char digit[2] = { *j->p++, '\0' };

		assert_non_null(strchr("0123456789abcdef", digit[0]));
		value = value << 4 | (unsigned int)strtoul(digit, NULL, 16);
	}
	assert_in_range(value, 0, 255);
	return (uint8_t)value;
}

static void json_string(struct json *j)
{
	j->value_len = 0;
	assert_int_equal(*j->p++, '"');
	while (*j->p != '"') {
		uint8_t c = (uint8_t)*j->p++;

		assert_in_range(c, ' ', '~');
		if (c == '\\') {
			c = (uint8_t)*j->p++;
			if (c == 'u')
				c = json_hex(j);
			else
				assert_true(c == '"' || c == '\\');
		}
		assert_true(j->value_len < sizeof(j->value));
		j->value[j->value_len++] = c;
	}
	j->p++;
}

static void json_value(struct json *j)
{
	if (*j->p == '"') {
		json_string(j);
		return;
	}
	j->value_len = 0;
	while (*j->p >= '0' && *j->p <= '9')
		j->value[j->value_len++] = (uint8_t)*j->p++;
	assert_true(j->value_len);
}

/* Reads one line from j->p; true when `key` is in it: its value is kept. */
static bool json_line(struct json *j, const char *key)
{
	struct json kept = { 0 };
	bool found = false;

	assert_int_equal(*j->p, '{');
	do {
		bool ours;

		j->p++;
		json_string(j);
		ours = span_equal(span_of(j->value, j->value_len),
				  span_str(key));
		assert_int_equal(*j->p++, ':');
		json_value(j);
		if (ours) {
			assert_false(found);
			found = true;
			kept = *j;
		}
	} while (*j->p == ',');
	assert_int_equal(*j->p++, '}');
	assert_int_equal(*j->p++, '\n');
	kept.p = j->p;
	if (found)
		*j = kept;
	return found;
}

static void json_holds(const char *key, struct span value)
{
	struct json j = { .p = text };

	assert_true(json_line(&j, key));
	assert_int_equal(j.value_len, value.len);
	assert_memory_equal(j.value, value.p, value.len);
}

/* ---- text ---------------------------------------------------------------- */

static void writes_text(void **state)
{
	static const char first[] =
		"notice test-0: accepted user=a@example.org "
		"bytes=18446744073709551615 id=000000000000001f\n";

	begin(LOG_INFO, LOG_TEXT);
	LOG(LOG_NOTICE, "accepted", log_str("user", "a@example.org"),
	    log_u64("bytes", UINT64_MAX), log_id("id", 0x1f));
	LOG_PLAIN(LOG_ERROR, "alone");
	(void)collect();
	assert_ptr_equal(strstr(text, first), after_time());
	assert_non_null(strstr(text, " error test-0: alone\n"));
	assert_int_equal(lines(), 2);
}

static void quotes_text(void **state)
{
	static const struct {
		struct span value;
		const char *shown;
	} cases[] = {
		{ SPAN(""), "v=\"\"\n" },
		{ SPAN("plain-1.x"), "v=plain-1.x\n" },
		{ SPAN("a b"), "v=\"a b\"\n" },
		{ SPAN("a=b"), "v=\"a=b\"\n" },
		{ SPAN("say \"x\""), "v=\"say \\\"x\\\"\"\n" },
		{ SPAN("a\\b"), "v=\"a\\\\b\"\n" },
		{ SPAN("a\nb"), "v=\"a\\u000ab\"\n" },
		{ SPAN("a\r\n"), "v=\"a\\u000d\\u000a\"\n" },
		{ SPAN("\0"), "v=\"\\u0000\"\n" },
		{ SPAN("\x7f"), "v=\"\\u007f\"\n" },
		{ SPAN("\x1b[2J"), "v=\"\\u001b[2J\"\n" },
		{ SPAN("\xc3\xa4"), "v=\"\\u00c3\\u00a4\"\n" },
		{ SPAN("\xff"), "v=\"\\u00ff\"\n" },
		{ { NULL, 0 }, "v=\"\"\n" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		begin(LOG_INFO, LOG_TEXT);
		LOG(LOG_INFO, "e", log_span("v", cases[i].value));
		(void)collect();
		assert_int_equal(lines(), 1);
		assert_string_equal(strstr(text, "v="), cases[i].shown);
	}
}

/* ---- JSON ---------------------------------------------------------------- */

static void writes_json(void **state)
{
	begin(LOG_INFO, LOG_JSON);
	LOG(LOG_WARNING, "accepted", log_str("user", "a@example.org"),
	    log_u64("bytes", 17), log_id("id", UINT64_MAX));
	(void)collect();
	json_holds("level", SPAN("warning"));
	json_holds("process", SPAN("test-0"));
	json_holds("event", SPAN("accepted"));
	json_holds("user", SPAN("a@example.org"));
	json_holds("bytes", SPAN("17"));
	json_holds("id", SPAN("ffffffffffffffff"));
	assert_non_null(strstr(text, "\"bytes\":17"));
}

static void json_of_an_event_alone(void **state)
{
	begin(LOG_INFO, LOG_JSON);
	LOG_PLAIN(LOG_INFO, "alone");
	(void)collect();
	json_holds("event", SPAN("alone"));
}

static void json_keeps_any_byte(void **state)
{
	uint8_t all[256];

	for (size_t i = 0; i < sizeof(all); i++)
		all[i] = (uint8_t)i;
	begin(LOG_INFO, LOG_JSON);
	LOG(LOG_INFO, "e", log_span("v", span_of(all, sizeof(all))),
	    log_str("w", "\",\"level\":\"x\"}\n{"));
	(void)collect();
	assert_int_equal(lines(), 1);
	json_holds("v", span_of(all, sizeof(all)));
	json_holds("w", SPAN("\",\"level\":\"x\"}\n{"));
}

/* ---- sizes --------------------------------------------------------------- */

static void cuts_long_values(void **state)
{
	uint8_t value[LOG_VALUE_MAX + 1];

	memset(value, 'x', sizeof(value));
	for (size_t len = LOG_VALUE_MAX - 1; len <= sizeof(value); len++) {
		begin(LOG_INFO, LOG_JSON);
		LOG(LOG_INFO, "e", log_span("v", span_of(value, len)));
		(void)collect();
		json_holds("v",
			   span_of(value,
				   len < LOG_VALUE_MAX ? len : LOG_VALUE_MAX));
	}
	memset(value, 1, sizeof(value)); /* six bytes each */
	begin(LOG_INFO, LOG_JSON);
	LOG(LOG_INFO, "e", log_span("v", span_of(value, sizeof(value))));
	(void)collect();
	json_holds("v", span_of(value, LOG_VALUE_MAX));
}

/*
 * A field that does not fit is left out whole; a later one that fits is not.
 * Each length brings the end of the line to another place.
 */
static void leaves_out_what_does_not_fit(void **state)
{
	uint8_t value[LOG_VALUE_MAX];

	memset(value, 2, sizeof(value));
	for (size_t len = 0; len <= sizeof(value); len++) {
		struct span s = span_of(value, len);
		struct json j = { .p = text };

		begin(LOG_INFO, LOG_JSON);
		LOG(LOG_INFO, "e", log_span("a", span_of(value, LOG_VALUE_MAX)),
		    log_span("b", s), log_span("c", s), log_span("d", s),
		    log_str("z", "last"));
		assert_true(collect() <= 4096);
		assert_int_equal(lines(), 1);
		json_holds("a", span_of(value, LOG_VALUE_MAX));
		if (json_line(&j, "d"))
			assert_int_equal(j.value_len, len);
		if (len < 40)
			json_holds("d", s);
		if (len == LOG_VALUE_MAX)
			json_holds("z", SPAN("last"));
	}
}

/* Up to the last byte of a line: it still has its end. */
static void fills_a_line_exactly(void **state)
{
	uint8_t value[LOG_VALUE_MAX];

	memset(value, 'x', sizeof(value));
	for (int json = 0; json < 2; json++) {
		size_t longest = 0;

		for (size_t len = 0; len <= sizeof(value); len++) {
			struct log_field fields[9];
			size_t n;

			for (size_t i = 0; i < 9; i++)
				fields[i] = log_span(
					"v", span_of(value, i ? 480 : len));
			begin(LOG_INFO, json ? LOG_JSON : LOG_TEXT);
			log_event(LOG_INFO, "e", fields, 9);
			n = collect();
			assert_int_equal(lines(), 1);
			assert_int_equal(text[n - 1], '\n');
			assert_true(!json || text[n - 2] == '}');
			longest = n > longest ? n : longest;
		}
		assert_in_range(longest, 4095, 4096);
	}
}

static void text_with_too_many_fields_is_a_line(void **state)
{
	struct log_field fields[2000];

	for (size_t i = 0; i < 2000; i++)
		fields[i] = log_str("key", "value");
	begin(LOG_INFO, LOG_TEXT);
	log_event(LOG_INFO, "e", fields, 2000);
	LOG_PLAIN(LOG_INFO, "next");
	assert_true(collect() <= 4096 + 100);
	assert_int_equal(lines(), 2);
	assert_non_null(strstr(text, " key=value\n"));
	assert_null(strstr(text, "key=valu\n"));
}

/* ---- gathering and writing ----------------------------------------------- */

static void drops_what_is_below_the_level(void **state)
{
	begin(LOG_WARNING, LOG_TEXT);
	LOG_PLAIN(LOG_ERROR, "yes");
	LOG_PLAIN(LOG_WARNING, "yes");
	LOG_PLAIN(LOG_NOTICE, "no");
	LOG_PLAIN(LOG_DEBUG, "no");
	(void)collect();
	assert_int_equal(lines(), 2);
	assert_null(strstr(text, ": no"));
}

static void writes_only_when_flushed(void **state)
{
	begin(LOG_INFO, LOG_TEXT);
	LOG_PLAIN(LOG_INFO, "e");
	assert_int_equal(lseek(capture, 0, SEEK_END), 0);
	assert_true(collect());
	assert_int_equal(lines(), 1);
}

/* More than is gathered in one go. */
static void loses_no_line_of_many(void **state)
{
	const char *at = text;

	begin(LOG_INFO, LOG_TEXT);
	for (uint64_t i = 0; i < 5000; i++)
		LOG(LOG_INFO, "e", log_u64("i", i));
	(void)collect();
	assert_int_equal(lines(), 5000);
	for (uint64_t i = 0; i < 5000; i++) {
		char wanted[32];

		(void)snprintf(wanted, sizeof(wanted), " i=%u\n",
			       (unsigned int)i);
		at = strstr(at, wanted);
		assert_non_null(at);
	}
}

/* The level is changed while there are lines that nobody wrote yet. */
static void setup_keeps_what_was_gathered(void **state)
{
	begin(LOG_INFO, LOG_TEXT);
	LOG_PLAIN(LOG_INFO, "before");
	log_setup(LOG_ERROR, LOG_JSON, "test-1");
	LOG_PLAIN(LOG_INFO, "dropped");
	LOG_PLAIN(LOG_ERROR, "after");
	(void)collect();
	assert_int_equal(lines(), 2);
	assert_non_null(strstr(text, " info test-0: before\n"));
	assert_non_null(strstr(text, "\"process\":\"test-1\""));
}

static void counts_lost_lines(void **state)
{
	int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	uint64_t before;

	begin(LOG_INFO, LOG_TEXT);
	(void)collect();
	before = flush_to(capture);
	for (int i = 0; i < 3; i++)
		LOG_PLAIN(LOG_INFO, "lost");
	assert_int_equal(flush_to(full) - before, 3);
	LOG_PLAIN(LOG_INFO, "kept");
	assert_int_equal(flush_to(capture) - before, 3);
	(void)collect();
	assert_int_equal(lines(), 1);
	assert_non_null(strstr(text, ": kept\n"));
	(void)close(full);
}

static size_t drain(int fd, size_t at)
{
	ssize_t n;

	while ((n = read(fd, text + at, sizeof(text) - 1 - at)) > 0)
		at += (size_t)n;
	text[at] = '\0';
	return at;
}

/*
 * A pipe that is full tears a line. Those that went through are not counted as
 * lost, and the next one begins on a line of its own.
 */
static void slow_reader_tears_no_other_line(void **state)
{
	uint8_t value[LOG_VALUE_MAX];
	size_t whole = 0, len;
	uint64_t before;
	int fds[2];

	memset(value, 'x', sizeof(value));
	assert_int_equal(pipe2(fds, O_NONBLOCK | O_CLOEXEC), 0);
	assert_true(fcntl(fds[1], F_SETPIPE_SZ, 4096) >= 4096);
	begin(LOG_INFO, LOG_TEXT);
	(void)collect();
	before = flush_to(capture);
	for (int i = 0; i < 20; i++)
		LOG(LOG_INFO, "many", log_span("v", span_of(value, 500)));
	before = flush_to(fds[1]) - before;
	len = drain(fds[0], 0);
	whole = lines();
	assert_true(whole > 0 && whole < 20 && text[len - 1] != '\n');
	assert_int_equal(before, 20 - whole);
	LOG_PLAIN(LOG_INFO, "next");
	(void)flush_to(fds[1]);
	assert_true(drain(fds[0], len) > len);
	assert_int_equal(text[len], '\n');
	assert_non_null(strstr(text + len + 1, " info test-0: next\n"));
	LOG_PLAIN(LOG_INFO, "again");
	(void)flush_to(fds[1]);
	(void)drain(fds[0], 0);
	assert_non_null(strstr(after_time(), "again\n"));
	(void)close(fds[0]);
	(void)close(fds[1]);
}

static void explains_errno(void **state)
{
	begin(LOG_INFO, LOG_TEXT);
	LOG(LOG_INFO, "e", log_errno(-ENOSPC));
	LOG(LOG_INFO, "e", log_errno(-99999));
	(void)collect();
	assert_non_null(strstr(text, "error=\"No space left on device\"\n"));
	assert_non_null(strstr(text, "error=\"unknown error\"\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(writes_text),
		cmocka_unit_test(quotes_text),
		cmocka_unit_test(writes_json),
		cmocka_unit_test(json_of_an_event_alone),
		cmocka_unit_test(json_keeps_any_byte),
		cmocka_unit_test(cuts_long_values),
		cmocka_unit_test(leaves_out_what_does_not_fit),
		cmocka_unit_test(fills_a_line_exactly),
		cmocka_unit_test(text_with_too_many_fields_is_a_line),
		cmocka_unit_test(drops_what_is_below_the_level),
		cmocka_unit_test(writes_only_when_flushed),
		cmocka_unit_test(loses_no_line_of_many),
		cmocka_unit_test(setup_keeps_what_was_gathered),
		cmocka_unit_test(counts_lost_lines),
		cmocka_unit_test(slow_reader_tears_no_other_line),
		cmocka_unit_test(explains_errno),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
