#pragma once

/*
 * table_steering: the part of the table that is about where connections go:
 * lanes, steering, shield. For table.c alone.
 */

#include "config/table.h"

extern const struct table_key table_lane_keys[6];
extern const struct table_key table_steering_keys[2];
extern const struct table_key table_shield_keys[12];
