#pragma once

/*
 * option: a program's command line from one table, which also prints the help.
 * Each row names an option and where its value goes; values are checked for
 * kind and range here, combinations by the program. It prints nothing but the
 * help and never exits.
 */

#include "base/span.h"

#include <stdio.h>

#define OPTION_ROWS_MAX 64
#define OPTION_LIST_MAX 16

/* Values of an option that may be given several times. */
struct option_list {
	const char *at[OPTION_LIST_MAX];
	uint32_t n;
};

enum option_kind {
	OPTION_SECTION, /* a heading of the help */
	OPTION_FLAG,    /* no value */
	OPTION_NUMBER,
	OPTION_BYTES, /* a number with k, M or G (binary) behind it */
	OPTION_REAL,  /* not negative */
	OPTION_TEXT,
	OPTION_WORD, /* one of `argument`, "a|b|c"; its position is the value */
	OPTION_LIST,
};

struct option_row {
	enum option_kind kind;
	const char *name;     /* without the dashes */
	const char *argument; /* as the help shows it */
	const char *help;
	uint64_t max; /* of a number; 0: none */
	union {
		bool *flag;
		uint64_t *number;
		double *real;
		const char **text;
		struct option_list *list;
	} at;
};

#define OPTION_HEADING(title)                           \
	{                                               \
		.kind = OPTION_SECTION, .name = (title) \
	}
#define OPTION_ROW(the_kind, the_name, member, where, the_argument, the_help) \
	{                                                                     \
		.kind = OPTION_##the_kind, .name = (the_name),                \
		.argument = (the_argument), .help = (the_help),               \
		.at = {.member = (where) }                                    \
	}

struct option_table {
	struct option_row rows[OPTION_ROWS_MAX];
	size_t n;
	const char *usage;      /* the first lines of the help */
	const char *operand[2]; /* what stood there beside options */
	size_t operands_n;
	char problem[256]; /* after OPTION_WRONG: what, and the cure */
};

enum option_result {
	OPTION_OK,
	OPTION_WRONG,
	OPTION_ASKED_HELP,
	OPTION_ASKED_VERSION,
};

/* Appends rows to the table. */
void option_add(struct option_table *t, const struct option_row *rows,
		size_t n);

/*
 * Reads the arguments behind the program's name into where the rows point:
 * --name VALUE, --name=VALUE, and operands; everything behind `--` is one.
 * Texts are borrowed from argv.
 */
enum option_result option_parse(struct option_table *t, int argc,
				char *const argv[]);

void option_print_help(const struct option_table *t, FILE *out);

/* Sets t->problem; returns OPTION_WRONG. */
__attribute__((format(printf, 2, 3))) enum option_result
option_wrong(struct option_table *t, const char *format, ...);

/* A number with k, M or G behind it. False: it is none, or over 64 bits. */
bool option_bytes(struct span s, uint64_t *ret);
