#pragma once

/*
 * program: what the kit's programs do alike around their work: begin by the
 * command line, take signals by waiting for them, and give account at the end.
 */

#include "kit/option.h"

#define PROGRAM_WRONG   2    /* exit status: it was not asked for properly */
#define PROGRAM_GOES_ON (-1) /* no exit status */

/* Answers --help, --version and mistakes. The exit status, or PROGRAM_GOES_ON. */
int program_begin(const char *name, enum option_result result,
		  const struct option_table *t);

/*
 * SIGINT and SIGTERM are from now on waited for; peers who are gone are no
 * signal.
 */
void program_block_signals(void);

/* Processor time of all threads. */
uint64_t program_cpu_us(void);

/* Writes a file anew; "-" is standard output. */
bool program_write(const char *path, struct span bytes);
