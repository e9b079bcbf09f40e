#pragma once

/*
 * report: shows findings: to people as a table with what each means and what
 * to do, to programs as JSON. The exit status of `sluicectl doctor` is here,
 * too, so that all three agree.
 */

#include "doctor/finding.h"

/* Each appends one document; sticky overflow when it does not fit. */
void report_text(const struct findings *f, struct buf *out);
void report_json(const struct findings *f, struct buf *out);

/* 0: all well; 1: works with losses; 2: cannot work. */
int report_status(const struct findings *f);

#define REPORT_MAX (256 * 1024)
