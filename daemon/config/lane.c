#include "config/lane.h"

uint32_t lane_first_worker(const struct config *config, uint32_t lane)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < lane; i++)
		n += config->lanes[i].workers;
	return n;
}

uint32_t lane_workers(const struct config *config)
{
	return lane_first_worker(config, config->lanes_n);
}

uint32_t lane_of_worker(const struct config *config, uint32_t worker)
{
	uint32_t lane = 0;

	while (lane + 1 < config->lanes_n &&
	       worker >= lane_first_worker(config, lane + 1))
		lane++;
	return lane;
}

uint32_t lane_named(const struct config *config, struct span name)
{
	for (uint32_t i = 0; i < config->lanes_n; i++)
		if (span_equal(span_str(config->lanes[i].name), name))
			return i;
	return UINT32_MAX;
}

uint32_t lane_of_listener(const struct config *config,
			  const struct config_listener *l)
{
	return config->lanes_n ? lane_named(config, span_str(l->lane)) : 0;
}

const char *lane_name(const struct config *config, uint32_t lane)
{
	return lane < config->lanes_n ? config->lanes[lane].name : "default";
}

struct config_limits lane_limits(const struct config *config, uint32_t lane)
{
	struct config_limits limits = config->limits;

	if (lane < config->lanes_n && config->lanes[lane].sessions)
		limits.sessions = config->lanes[lane].sessions;
	if (lane < config->lanes_n && config->lanes[lane].handshakes)
		limits.handshakes = config->lanes[lane].handshakes;
	return limits;
}

const struct config_listener *lane_listener_named(const struct config *config,
						  const char *name)
{
	for (uint32_t i = 0; i < config->listeners_n; i++)
		if (!strcmp(config->listeners[i].name, name))
			return &config->listeners[i];
	return NULL;
}
