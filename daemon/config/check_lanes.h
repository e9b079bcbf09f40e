#pragma once

/*
 * check_lanes: what must fit together about lanes: every listener's lane is
 * there, no source belongs to two, there are not too many workers.
 */

#include "config/config.h"

void check_lanes(const struct config *config, struct config_errors *errors);
