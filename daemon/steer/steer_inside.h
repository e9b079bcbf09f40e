#pragma once

/*
 * steer_inside: what steer.c (loading) and steer_maps.c (filling) share. Not
 * for anybody else.
 */

#include "../../bpf/shared.h"
#include "steer/pins.h"
#include "steer/steer.h"

enum steer_map {
	STEER_MAP_SETTINGS,
	STEER_MAP_SERVICES,
	STEER_MAP_SOURCES,
	STEER_MAP_LANES,
	STEER_MAP_LOADS,
	STEER_MAP_WORKER_COUNTS,
	STEER_MAP_LANE_COUNTS,
	STEER_MAP_LISTENERS, /* or the group */
	STEER_MAPS
};

struct steer_bpf; /* the skeleton */

struct steer {
	enum steer_mode mode;
	struct steer_bpf *programs; /* NULL: STEER_PLAIN */
	struct pins pins;
	int maps[STEER_MAPS];
	int program_fd; /* -1: there is none */
	int link_fd;    /* the attachment of STEER_LOOKUP; else -1 */
	struct steer_load *loads;
	struct shared_lane lanes[SHARED_LANES];
	uint32_t lanes_n;
	struct steer_lane plan[SHARED_LANES]; /* their names are not kept */
	bool down[SHARED_WORKERS];
	bool started; /* what an earlier daemon left has been seen to */
};
