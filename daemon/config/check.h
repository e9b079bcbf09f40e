#pragma once

/*
 * check: what must fit together in a configuration whose values are each right
 * in themselves. Findings carry the line where the block ends.
 */

#include "config/config.h"

void check_config(const struct config *config, struct config_errors *errors);
