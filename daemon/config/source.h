#pragma once

/*
 * source: the text of a configuration file on its way to libconfuse, reduced
 * to the part of libconfuse's syntax that has no surprises. Comments become
 * blanks; what would make libconfuse read the environment, or leave its scanner
 * in the middle of a string, is refused here. Positions do not move, so line
 * numbers stay true.
 */

#include "config/config.h"

/*
 * A copy of `text` that the caller frees, or NULL with a line in `errors` for
 * each finding.
 */
char *source_open(const char *text, struct config_errors *errors);
