#pragma once

/*
 * finding: what the doctor says about one thing: what was looked at, what was
 * found, what it means for mail, what to do. Findings are collected in order
 * in storage of fixed size, together with the texts made for them. Whoever
 * looks adds findings; nobody but report shows them.
 */

#include "base/buf.h"

#define FINDINGS_MAX  192
#define FINDINGS_TEXT (64 * 1024)

enum finding_grade {
	FINDING_WELL,
	FINDING_NOTE, /* worth knowing, or unknown; nothing is lost */
	FINDING_LOSS, /* mail flows, but slower or less safely than it could */
	FINDING_UNABLE, /* the daemon cannot work */
	FINDING_GRADES
};

struct finding {
	const char *area;    /* "kernel", "io_uring", ... */
	const char *subject; /* what was looked at */
	const char *found;
	const char *means;  /* NULL: it goes without saying */
	const char *advice; /* NULL: there is nothing to do */
	enum finding_grade grade;
};

struct findings {
	struct finding list[FINDINGS_MAX];
	size_t n;
	size_t left_out; /* for want of room */
	struct buf text;
	uint8_t storage[FINDINGS_TEXT];
};

void findings_init(struct findings *f);

/* Copies the struct; its strings are literals or come from findings_text. */
void findings_add(struct findings *f, const struct finding *finding);

#define FINDING(f, ...) findings_add((f), &(struct finding){ __VA_ARGS__ })

/* A text that lives as long as f, for a field of a finding. */
__attribute__((format(printf, 2, 3))) const char *
findings_text(struct findings *f, const char *format, ...);

/* The worst grade; FINDING_WELL when there is none. */
enum finding_grade findings_worst(const struct findings *f);

size_t findings_count(const struct findings *f, enum finding_grade grade);

/* "well", "note", "loss", "unable". */
const char *finding_grade_name(enum finding_grade grade);

/* "ENOENT (No such file or directory)" for a negative errno. */
const char *finding_errno(struct findings *f, int error);
