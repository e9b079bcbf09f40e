#pragma once

/*
 * limits: what bounds a busy gateway from outside: sysctls, and the limits that
 * this process, and so a daemon started like it, has. What is low is told with
 * a better value; what is high enough is shown and left alone.
 */

#include "doctor/finding.h"

#include <sys/resource.h>

#define LIMITS_SYSCTLS 7

struct limits_facts {
	char sysctls[LIMITS_SYSCTLS][64]; /* their texts; "": no such file */
	struct rlimit files;              /* RLIMIT_NOFILE */
	struct rlimit memlock;            /* RLIMIT_MEMLOCK, bytes */
};

/* Reads number `i` (from 0) of "4096\t131072\t6291456". */
bool limits_number(const char *text, size_t i, uint64_t *ret);

void limits_look(const char *root, struct limits_facts *ret);
void limits_judge(const struct limits_facts *l, struct findings *f);
