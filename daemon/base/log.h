#pragma once

/*
 * log: one line per event to standard error, as text (`event key=value ...`) or
 * as a JSON object. Lines are gathered in a fixed buffer and written by
 * log_flush, which every loop calls once per turn, so a busy worker pays one
 * write for many lines. Values of peers are escaped, so nobody can forge a
 * line; a value is cut at LOG_VALUE_MAX bytes. Lower layers never log.
 */

#include "base/span.h"

#define LOG_VALUE_MAX 512

enum log_level { LOG_ERROR, LOG_WARNING, LOG_NOTICE, LOG_INFO, LOG_DEBUG };
enum log_format { LOG_TEXT, LOG_JSON };

struct log_field {
	const char *key;
	enum { LOG_FIELD_SPAN, LOG_FIELD_UINT, LOG_FIELD_HEX } type;
	struct span text;
	uint64_t number;
};

/* Fields for LOG(): a string, borrowed bytes, a number, a 64-bit id. */
static inline struct log_field log_str(const char *key, const char *s)
{
	return (struct log_field){ .key = key, .text = span_str(s) };
}

static inline struct log_field log_span(const char *key, struct span s)
{
	return (struct log_field){ .key = key, .text = s };
}

static inline struct log_field log_u64(const char *key, uint64_t n)
{
	return (struct log_field){ .key = key,
				   .type = LOG_FIELD_UINT,
				   .number = n };
}

static inline struct log_field log_id(const char *key, uint64_t id)
{
	return (struct log_field){ .key = key,
				   .type = LOG_FIELD_HEX,
				   .number = id };
}

/* "error=..." with the text of a negative errno. */
struct log_field log_errno(int error);

/*
 * Level above which lines are dropped, format, and the name of this process
 * ("gateway-0"; a string that lives on) in every line. What was gathered before
 * is written. Call after each fork, and log_flush before it: a child that
 * inherits gathered lines would write them again.
 */
void log_setup(enum log_level level, enum log_format format,
	       const char *process);

/* Appends one line; flushes first when it would not fit. */
void log_event(enum log_level level, const char *event,
	       const struct log_field *fields, size_t fields_n);

#define LOG(level, event, ...)                                                 \
	log_event((level), (event), (const struct log_field[]){ __VA_ARGS__ }, \
		  sizeof((const struct log_field[]){ __VA_ARGS__ }) /          \
			  sizeof(struct log_field))

/* An event without fields. */
#define LOG_PLAIN(level, event) log_event((level), (event), NULL, 0)

/*
 * Writes what was gathered; returns the lines lost so far because standard
 * error failed or was full. A line that was torn there is lost; the next one
 * begins on a line of its own.
 */
uint64_t log_flush(void);
