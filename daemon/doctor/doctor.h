#pragma once

/*
 * doctor: looks at this machine and says what of it Sluice can use. It needs no
 * daemon and no privileges, though an ordinary user sees less. It changes
 * nothing: what it tries is made, asked and dropped; what would make the kernel
 * load a module is tried only when the operator asks for that.
 *
 * Each area has a file with two functions: one looks and fills a struct with
 * facts, one judges facts and adds findings. Only the first touches the system,
 * so that the second can be tested with the facts of any machine.
 */

#include "doctor/finding.h"

struct doctor_options {
	const char *root; /* "": of /proc, /sys, /boot and /lib/modules */
	bool may_load;    /* the kernel may load modules for what is tried */
};

/* Adds the findings of all areas. */
void doctor_examine(const struct doctor_options *options, struct findings *f);
