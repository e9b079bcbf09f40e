#pragma once

/*
 * load_report: what came of a run, as a table for people and as JSON for
 * programs.
 */

#include "load/course.h"

#define LOAD_REPORT_MAX 65536 /* bytes of JSON */

/* `verify` NULL: nothing was compared. */
void load_report_table(const struct outcome *o, const struct comparison *verify,
		       FILE *out);
/* `out` has room for LOAD_REPORT_MAX. */
void load_report_json(const struct outcome *o, const struct comparison *verify,
		      struct buf *out);
/* The findings of a comparison alone. */
void load_report_comparison(const struct comparison *c, FILE *out);
