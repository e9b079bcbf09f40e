#pragma once

/*
 * bugs: which of the known bugs of the kernel's TLS (tls/flaws.h) the running
 * kernel has, and which version is free of them.
 */

#include "doctor/finding.h"
#include "tls/release.h"

/* Adds what is to be said about r. */
void bugs_judge(const struct release *r, struct findings *f);
