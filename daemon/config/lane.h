#pragma once

/*
 * lane: which worker and which listener belong to which lane. Workers are
 * numbered through, lane after lane. Without lanes in the configuration there
 * is one, number 0, which has all workers.
 */

#include "config/config.h"

/* Workers of all lanes; 0 when there are no lanes. */
uint32_t lane_workers(const struct config *config);
/* Number of its first worker. */
uint32_t lane_first_worker(const struct config *config, uint32_t lane);
uint32_t lane_of_worker(const struct config *config, uint32_t worker);
uint32_t lane_of_listener(const struct config *config,
			  const struct config_listener *l);
/* UINT32_MAX: there is none of that name. */
uint32_t lane_named(const struct config *config, struct span name);
/* `limits' as they are for a worker of that lane. */
struct config_limits lane_limits(const struct config *config, uint32_t lane);
/* "default" without lanes. */
const char *lane_name(const struct config *config, uint32_t lane);

const struct config_listener *lane_listener_named(const struct config *config,
						  const char *name);
