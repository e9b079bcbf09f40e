#pragma once

/*
 * read: fills the typed struct from the tree of strings, key by key as the
 * table says. It looks at each value alone; what must fit together is for
 * check.
 */

#include "config/config.h"

struct cfg_t;

/* Every key of `config` gets its value or its default; mistakes get lines. */
void read_tree(struct cfg_t *root, struct config *config,
	       struct config_errors *errors);
