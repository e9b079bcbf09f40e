#include "kit/option.h"

#include "base/must.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>

#define HELP_COLUMN 28
#define HELP_WIDTH  80

enum option_result option_wrong(struct option_table *t, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(t->problem, sizeof(t->problem), format, args);
	va_end(args);
	return OPTION_WRONG;
}

void option_add(struct option_table *t, const struct option_row *rows, size_t n)
{
	MUST(t->n + n <= OPTION_ROWS_MAX);
	memcpy(t->rows + t->n, rows, n * sizeof(*rows));
	t->n += n;
}

/* -- values ---------------------------------------------------------------- */

bool option_bytes(struct span s, uint64_t *ret)
{
	static const uint8_t units[] = "kMG";
	unsigned int shift = 0;
	uint64_t number;

	for (size_t i = 0; s.len && units[i]; i++)
		if (s.p[s.len - 1] == units[i])
			shift = 10 * (unsigned int)(i + 1);
	if (!span_to_u64(span_head(s, s.len - !!shift), &number) ||
	    number > UINT64_MAX >> shift)
		return false;
	*ret = number << shift;
	return true;
}

static enum option_result take_number(struct option_table *t,
				      const struct option_row *row,
				      const char *value)
{
	bool bytes = row->kind == OPTION_BYTES;
	uint64_t number;

	if (!(bytes ? option_bytes(span_str(value), &number) :
		      span_to_u64(span_str(value), &number)))
		return option_wrong(t, "--%s wants a whole number%s, not '%s'",
				    row->name,
				    bytes ? ", k, M or G behind it" : "",
				    value);
	if (row->max && number > row->max)
		return option_wrong(t, "--%s is at most %llu", row->name,
				    (unsigned long long)row->max);
	*row->at.number = number;
	return OPTION_OK;
}

static enum option_result take_real(struct option_table *t,
				    const struct option_row *row,
				    const char *value)
{
	char *end;
	double number = strtod(value, &end);

	if (end == value || *end || !isfinite(number) || number < 0)
		return option_wrong(t, "--%s wants a number, not '%s'",
				    row->name, value);
	if (row->max && number > (double)row->max)
		return option_wrong(t, "--%s is at most %llu", row->name,
				    (unsigned long long)row->max);
	*row->at.real = number;
	return OPTION_OK;
}

static enum option_result take_word(struct option_table *t,
				    const struct option_row *row,
				    const char *value)
{
	struct span words = span_str(row->argument);
	uint64_t position = 0;

	while (words.len) {
		size_t n = span_find(words, '|');

		if (span_equal(span_head(words, n), span_str(value))) {
			*row->at.number = position;
			return OPTION_OK;
		}
		words = span_tail(words, n < words.len ? n + 1 : n);
		position++;
	}
	return option_wrong(t, "--%s is one of %s, not '%s'", row->name,
			    row->argument, value);
}

static enum option_result take_item(struct option_table *t,
				    const struct option_row *row,
				    const char *value)
{
	struct option_list *list = row->at.list;

	if (list->n == OPTION_LIST_MAX)
		return option_wrong(t, "--%s may be given %d times", row->name,
				    OPTION_LIST_MAX);
	list->at[list->n++] = value;
	return OPTION_OK;
}

static enum option_result take_value(struct option_table *t,
				     const struct option_row *row,
				     const char *value)
{
	switch (row->kind) {
	case OPTION_NUMBER:
	case OPTION_BYTES: return take_number(t, row, value);
	case OPTION_REAL: return take_real(t, row, value);
	case OPTION_TEXT: *row->at.text = value; return OPTION_OK;
	case OPTION_WORD: return take_word(t, row, value);
	case OPTION_LIST: return take_item(t, row, value);
	case OPTION_SECTION:
	case OPTION_FLAG: break;
	}
	MUST_NOT_REACH("a row without a value");
}

/* -- the command line ------------------------------------------------------ */

static const struct option_row *find(const struct option_table *t,
				     struct span name)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->rows[i].kind != OPTION_SECTION &&
		    span_equal(span_str(t->rows[i].name), name))
			return &t->rows[i];
	return NULL;
}

static enum option_result take_operand(struct option_table *t, const char *word)
{
	if (t->operands_n == sizeof(t->operand) / sizeof(*t->operand))
		return option_wrong(t, "too many arguments: '%s'", word);
	t->operand[t->operands_n++] = word;
	return OPTION_OK;
}

/* `*at` is the option's place in argv, afterwards that of its value. */
static enum option_result take_option(struct option_table *t, int argc,
				      char *const argv[], int *at)
{
	struct span text = span_str(argv[*at] + 2);
	size_t n = span_find(text, '=');
	struct span name = span_head(text, n);
	const char *value = n < text.len ? argv[*at] + 2 + n + 1 : NULL;
	const struct option_row *row = find(t, name);

	if (span_equal(name, SPAN("help")))
		return OPTION_ASKED_HELP;
	if (span_equal(name, SPAN("version")))
		return OPTION_ASKED_VERSION;
	if (!row)
		return option_wrong(t, "no such option: %s", argv[*at]);
	if (row->kind == OPTION_FLAG) {
		if (value)
			return option_wrong(t, "--%s takes no value",
					    row->name);
		*row->at.flag = true;
		return OPTION_OK;
	}
	if (!value && *at + 1 < argc)
		value = argv[++*at];
	if (!value)
		return option_wrong(t, "--%s wants a value: %s", row->name,
				    row->argument);
	return take_value(t, row, value);
}

enum option_result option_parse(struct option_table *t, int argc,
				char *const argv[])
{
	enum option_result result = OPTION_OK;
	bool options = true;

	for (int at = 1; at < argc && result == OPTION_OK; at++) {
		if (options && !strcmp(argv[at], "--"))
			options = false;
		else if (options && !strncmp(argv[at], "--", 2))
			result = take_option(t, argc, argv, &at);
		else if (options && argv[at][0] == '-' && argv[at][1])
			result =
				option_wrong(t, "no such option: %s", argv[at]);
		else
			result = take_operand(t, argv[at]);
	}
	return result;
}

/* -- the help -------------------------------------------------------------- */

/* Text in the right column, folded at blanks. */
static void print_folded(struct span text, int column, FILE *out)
{
	while (text.len) {
		size_t n = span_find(text, ' ');

		if (column + 1 + (int)n > HELP_WIDTH) {
			(void)fprintf(out, "\n%*s", HELP_COLUMN, "");
			column = HELP_COLUMN;
		}
		(void)fprintf(out, " %.*s", (int)n, (const char *)text.p);
		column += 1 + (int)n;
		text = span_tail(text, n < text.len ? n + 1 : n);
	}
	(void)fputc('\n', out);
}

static void print_row(const struct option_row *row, FILE *out)
{
	int column;

	if (row->kind == OPTION_SECTION) {
		(void)fprintf(out, "\n%s\n", row->name);
		return;
	}
	column = fprintf(out, "  --%s%s%s", row->name,
			 row->kind == OPTION_FLAG ? "" : " ",
			 row->kind == OPTION_FLAG ? "" : row->argument);
	if (column >= HELP_COLUMN)
		(void)fputc('\n', out);
	(void)fprintf(out, "%*s",
		      column < HELP_COLUMN ? HELP_COLUMN - column : HELP_COLUMN,
		      "");
	print_folded(span_str(row->help), HELP_COLUMN, out);
}

void option_print_help(const struct option_table *t, FILE *out)
{
	(void)fputs(t->usage, out);
	for (size_t i = 0; i < t->n; i++)
		print_row(&t->rows[i], out);
}
