#pragma once

/*
 * errors: how the parts of the configuration report a mistake of the operator:
 * one line of text with file and line number, gathered until the end so that
 * all of them are seen at once.
 */

#include "config/config.h"

/* Appends "FILE:LINE: " and the formatted text; counts even when it is full. */
__attribute__((format(printf, 3, 4))) void
errors_add(struct config_errors *errors, unsigned int line, const char *format,
	   ...);
