#include "config/source.h"

#include "config/errors.h"

#include <stdio.h>
#include <stdlib.h>

/*
 * Why libconfuse (3.3) does not get the operator's text as it is:
 *   - it counts three lines for a line with a comment, so that its messages
 *     point elsewhere, and refuses comments inside a list;
 *   - it puts environment variables in place of ${NAME};
 *   - a string without its end leaves its only scanner inside that string,
 *     and the next file is read from there;
 *   - escapes let a string contain a NUL, or end the parse without a message;
 *   - it takes the end of the file for the end of a block.
 */

struct scan {
	char *at;
	unsigned int line;
	unsigned int depth;  /* of braces */
	unsigned int opened; /* line of the outermost brace */
	struct config_errors *errors;
};

static void blank(struct scan *s)
{
	if (*s->at == '\n')
		s->line++;
	else
		*s->at = ' ';
	s->at++;
}

static void line_comment(struct scan *s)
{
	while (*s->at && *s->at != '\n')
		blank(s);
}

static void block_comment(struct scan *s)
{
	unsigned int began = s->line;

	blank(s);
	blank(s);
	while (*s->at && !(s->at[0] == '*' && s->at[1] == '/'))
		blank(s);
	if (*s->at) {
		blank(s);
		blank(s);
	} else {
		errors_add(s->errors, began, "this comment has no end");
	}
}

/* What must stand nowhere outside of comments. */
static void forbidden(struct scan *s)
{
	unsigned char c = (unsigned char)*s->at;

	if ((c < ' ' && c != '\t' && c != '\r') || c == 0x7f) {
		errors_add(s->errors, s->line, "control character 0x%02x", c);
	} else if (c == '$' && s->at[1] == '{') {
		errors_add(s->errors, s->line,
			   "`${`: variables are not replaced here");
	}
}

static void string(struct scan *s)
{
	s->at++;
	while (*s->at && *s->at != '\n' && *s->at != '"') {
		if (*s->at == '\\' && s->at[1] != '"' && s->at[1] != '\\')
			errors_add(s->errors, s->line,
				   "a backslash goes before `\"` or `\\` only");
		else if (*s->at == '\\')
			s->at++;
		else
			forbidden(s);
		s->at++;
	}
	if (*s->at == '"')
		s->at++;
	else
		errors_add(s->errors, s->line, "this string has no end");
}

/* A brace too many is left to libconfuse, which tells it well. */
static void brace(struct scan *s)
{
	if (*s->at == '{' && !s->depth++)
		s->opened = s->line;
	else if (*s->at == '}' && s->depth)
		s->depth--;
}

static void other(struct scan *s)
{
	brace(s);
	if (*s->at == '\'')
		errors_add(s->errors, s->line,
			   "strings stand between `\"`, not `'`");
	else
		forbidden(s);
	s->at++;
}

static void step(struct scan *s)
{
	bool slash = *s->at == '/';

	if (*s->at == '#' || (slash && s->at[1] == '/')) {
		line_comment(s);
	} else if (slash && s->at[1] == '*') {
		block_comment(s);
	} else if (*s->at == '"') {
		string(s);
	} else if (*s->at == '\n') {
		blank(s);
	} else {
		other(s);
	}
}

char *source_open(const char *text, struct config_errors *errors)
{
	uint32_t before = errors->n;
	struct scan s = { .line = 1, .errors = errors };
	char *copy;

	/* A stream over an empty text cannot be opened: hence the newline. */
	if (asprintf(&copy, "%s\n", text) < 0) {
		errors_add(errors, 0, "out of memory");
		return NULL;
	}
	s.at = copy;
	while (*s.at)
		step(&s);
	if (s.depth)
		errors_add(errors, s.opened, "this brace has no end");
	if (errors->n == before)
		return copy;
	free(copy);
	return NULL;
}
