#pragma once

/*
 * config_print: the documents that the table of the configuration generates.
 * What is printed cannot disagree with what is parsed.
 */

#include "config/config.h"

#include <stdio.h>

/*
 * A complete configuration with comments: what must be set is set to an
 * example, everything else is there as a comment with its default. It parses.
 */
void config_print_sample(FILE *out);

/* The manual page sluice.conf(5) in mdoc. */
void config_print_manual(FILE *out);
