#pragma once

/*
 * route: which route of the configuration takes a recipient, by its domain.
 * Made once from the configuration; a look-up is a binary search and allocates
 * nothing. A route without domains takes what no other route takes.
 */

#include "base/span.h"
#include "config/config.h"

#define ROUTE_NONE UINT32_MAX /* nobody takes it: the configuration's fault */

struct route_entry {
	struct span domain; /* the configuration's */
	uint32_t route;
};

struct route_table {
	uint32_t fallback; /* or ROUTE_NONE */
	uint32_t n;
	struct route_entry *entries;
};

/* Strings stay the configuration's. -ENOMEM. route_fini frees. */
int route_init(struct route_table *t, const struct config *config);
void route_fini(struct route_table *t);

/*
 * Index of the route for a forward-path (without <>). What follows the last '@'
 * is the domain, compared without regard to case; one listed for two routes
 * belongs to the first.
 */
uint32_t route_find(const struct route_table *t, struct span forward_path);
