#pragma once

/*
 * kernel: which kernel runs, and whether it lets the daemon lock its own
 * workers in.
 */

#include "doctor/finding.h"
#include "tls/release.h"

struct kernel_facts {
	char name[96]; /* uname -r */
	bool is_known; /* `release` says which version that is */
	struct release release;
	int landlock; /* its ABI, or a negative errno */
	int seccomp;  /* 0, or a negative errno */
};

/* `root`: see reading_open. */
void kernel_look(const char *root, struct kernel_facts *ret);
void kernel_judge(const struct kernel_facts *k, struct findings *f);
