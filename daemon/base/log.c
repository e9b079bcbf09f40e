#include "base/log.h"

#include "base/json.h"

#include <errno.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES 4096

/* The process has one standard error; so there is one log. */
static struct {
	enum log_level level;
	enum log_format format;
	const char *process;
	uint64_t lost;
	bool torn; /* what was written last is no whole line */
	time_t second;
	char when[sizeof("2026-01-31T23:59:59.")]; /* that second */
	size_t used;
	uint8_t gathered[64 * 1024];
} state = { .level = LOG_INFO, .process = "sluice" };

static const char *const level_names[] = { "error", "warning", "notice", "info",
					   "debug" };

void log_setup(enum log_level level, enum log_format format,
	       const char *process)
{
	(void)log_flush();
	state.level = level;
	state.format = format;
	state.process = process;
}

/* Lines that end behind `done`; the end of a torn one is none of them. */
static uint64_t lines_behind(size_t done)
{
	struct span rest = span_of(state.gathered + done, state.used - done);
	uint64_t n = 0;

	if (!done && state.torn)
		rest = span_tail(rest, 1);
	while (rest.len) {
		size_t end = span_find(rest, '\n');

		n += end < rest.len;
		rest = span_tail(rest, end < rest.len ? end + 1 : end);
	}
	return n;
}

uint64_t log_flush(void)
{
	size_t done = 0;

	while (done < state.used) {
		ssize_t n = write(STDERR_FILENO, state.gathered + done,
				  state.used - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			state.lost += lines_behind(done);
			break;
		}
		done += (size_t)n;
	}
	if (done)
		state.torn = state.gathered[done - 1] != '\n';
	state.used = 0;
	return state.lost;
}

static bool plain(uint8_t c)
{
	return c > ' ' && c < 0x7f && c != '"' && c != '\\' && c != '=';
}

static void put_text_value(struct buf *b, struct span s)
{
	bool quote = !s.len;

	for (size_t i = 0; i < s.len; i++)
		quote = quote || !plain(s.p[i]);
	if (quote)
		json_quote(b, s);
	else
		buf_put(b, s);
}

static void put_id(struct buf *b, uint64_t id)
{
	bool json = state.format == LOG_JSON;

	if (json)
		buf_put_byte(b, '"');
	buf_put_hex(b, id);
	if (json)
		buf_put_byte(b, '"');
}

static void put_value(struct buf *b, const struct log_field *f)
{
	bool json = state.format == LOG_JSON;
	struct span s = f->text;

	if (s.len > LOG_VALUE_MAX)
		s.len = LOG_VALUE_MAX;
	if (f->type == LOG_FIELD_UINT)
		buf_put_u64(b, f->number);
	else if (f->type == LOG_FIELD_HEX)
		put_id(b, f->number);
	else if (json)
		json_quote(b, s);
	else
		put_text_value(b, s);
}

/* Many lines are written in one second; its text is made once. */
static void put_time(struct buf *b)
{
	struct timespec now;
	struct tm tm;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	if (now.tv_sec != state.second) {
		(void)gmtime_r(&now.tv_sec, &tm);
		(void)strftime(state.when, sizeof(state.when),
			       "%Y-%m-%dT%H:%M:%S.", &tm);
		state.second = now.tv_sec;
	}
	buf_put_str(b, state.when);
	buf_put_decimal(b, (uint64_t)now.tv_nsec / 1000000, 3);
	buf_put_byte(b, 'Z');
}

static void put_head(struct buf *b, enum log_level level, const char *event)
{
	bool json = state.format == LOG_JSON;

	buf_put_str(b, json ? "{\"time\":\"" : "");
	put_time(b);
	buf_put_str(b, json ? "\",\"level\":\"" : " ");
	buf_put_str(b, level_names[level]);
	buf_put_str(b, json ? "\",\"process\":\"" : " ");
	buf_put_str(b, state.process);
	buf_put_str(b, json ? "\",\"event\":" : ": ");
	if (json)
		json_quote(b, span_str(event));
	else
		buf_put_str(b, event);
}

static void put_field(struct buf *b, const struct log_field *f)
{
	if (state.format == LOG_JSON) {
		buf_put_str(b, ",\"");
		buf_put_str(b, f->key);
		buf_put_str(b, "\":");
	} else {
		buf_put_byte(b, ' ');
		buf_put_str(b, f->key);
		buf_put_byte(b, '=');
	}
	put_value(b, f);
}

/* A field that does not fit is left out whole, so that a line stays valid. */
static void put_fields(struct buf *b, const struct log_field *fields, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint32_t end = b->end;

		put_field(b, &fields[i]);
		if (b->overflowed) {
			b->end = end;
			b->overflowed = false;
		}
	}
}

void log_event(enum log_level level, const char *event,
	       const struct log_field *fields, size_t fields_n)
{
	struct buf b;

	if (level > state.level)
		return;
	if (state.used + LINE_MAX_BYTES > sizeof(state.gathered))
		(void)log_flush();
	if (state.torn && !state.used)
		state.gathered[state.used++] = '\n';
	buf_init(&b, state.gathered + state.used, LINE_MAX_BYTES - 2);
	put_head(&b, level, event);
	put_fields(&b, fields, fields_n);
	b.cap += 2; /* kept free for the end of the line */
	buf_put_str(&b, state.format == LOG_JSON ? "}\n" : "\n");
	state.used += b.end;
}

struct log_field log_errno(int error)
{
	const char *text = strerrordesc_np(-error);

	return log_str("error", text ? text : "unknown error");
}
