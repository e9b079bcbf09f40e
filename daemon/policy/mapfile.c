#include "policy/mapfile.h"

#include <stdarg.h>
#include <stdio.h>

#define MISTAKE_MAX 256

void mapfile_init(struct mapfile *m, const char *file, struct span text,
		  struct buf *errors)
{
	*m = (struct mapfile){ .file = file, .rest = text, .errors = errors };
}

void mapfile_mistake(struct mapfile *m, unsigned int line, const char *format,
		     ...)
{
	char text[MISTAKE_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	m->mistakes++;
	buf_printf(m->errors, "%s:%u: %s\n", m->file, line, text);
}

static bool mapfile_is_white(uint8_t c)
{
	return c == ' ' || c == '\t';
}

static struct span mapfile_trim(struct span s)
{
	while (s.len && mapfile_is_white(s.p[0]))
		s = span_tail(s, 1);
	while (s.len && mapfile_is_white(s.p[s.len - 1]))
		s.len--;
	return s;
}

static bool mapfile_has_control(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((s.p[i] < ' ' && s.p[i] != '\t') || s.p[i] == 0x7f)
			return true;
	return false;
}

/* The next line without its end; a CR before the LF is none of the line. */
static struct span mapfile_take_line(struct mapfile *m)
{
	size_t end = span_find(m->rest, '\n');
	struct span line = span_head(m->rest, end);

	m->rest = span_tail(m->rest, end + (end < m->rest.len));
	m->line++;
	if (line.len && line.p[line.len - 1] == '\r')
		line.len--;
	return line;
}

/* Cuts a line that is neither blank nor a comment. False: a mistake. */
static bool mapfile_cut(struct mapfile *m, struct span line,
			struct mapfile_line *ret)
{
	size_t colon = span_find(line, ':');

	if (line.len > MAPFILE_LINE_MAX) {
		mapfile_mistake(m, m->line, "longer than %d octets: split it",
				MAPFILE_LINE_MAX);
		return false;
	}
	if (mapfile_has_control(line)) {
		mapfile_mistake(m, m->line, "control character: remove it");
		return false;
	}
	if (colon == line.len) {
		mapfile_mistake(m, m->line, "no colon: write `name: ...`");
		return false;
	}
	ret->number = m->line;
	ret->name = mapfile_trim(span_head(line, colon));
	ret->value = mapfile_trim(span_tail(line, colon + 1));
	if (!ret->name.len) {
		mapfile_mistake(m, m->line, "no name before the colon");
		return false;
	}
	return true;
}

bool mapfile_next(struct mapfile *m, struct mapfile_line *ret)
{
	while (m->rest.len) {
		struct span line = mapfile_trim(mapfile_take_line(m));

		if (line.len && line.p[0] != '#' && mapfile_cut(m, line, ret))
			return true;
	}
	return false;
}
