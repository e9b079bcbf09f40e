#include "relay/route.h"

#include <errno.h>
#include <stdlib.h>

/* Domains in the order of their lower-case bytes, a prefix first. */
static int compare_domains(struct span a, struct span b)
{
	size_t n = a.len < b.len ? a.len : b.len;

	for (size_t i = 0; i < n; i++) {
		int difference = ascii_lower(a.p[i]) - ascii_lower(b.p[i]);

		if (difference)
			return difference;
	}
	return (a.len > b.len) - (a.len < b.len);
}

/* Keeps the entries in order; of one domain the first route comes first. */
static void insert(struct route_table *t, struct route_entry entry)
{
	uint32_t at = t->n++;

	while (at &&
	       compare_domains(t->entries[at - 1].domain, entry.domain) > 0) {
		t->entries[at] = t->entries[at - 1];
		at--;
	}
	t->entries[at] = entry;
}

int route_init(struct route_table *t, const struct config *config)
{
	struct route_table made = { .fallback = ROUTE_NONE };
	uint32_t domains_n = 0;

	for (uint32_t i = 0; i < config->routes_n; i++)
		domains_n += config->routes[i].domains_n;
	made.entries = calloc(domains_n + 1, sizeof(*made.entries));
	if (!made.entries)
		return -ENOMEM;
	for (uint32_t i = 0; i < config->routes_n; i++) {
		const struct config_route *r = &config->routes[i];

		if (!r->domains_n && made.fallback == ROUTE_NONE)
			made.fallback = i;
		for (uint32_t d = 0; d < r->domains_n; d++)
			insert(&made, (struct route_entry){
					      span_str(r->domains[d]), i });
	}
	*t = made;
	return 0;
}

void route_fini(struct route_table *t)
{
	free(t->entries);
	*t = (struct route_table){ 0 };
}

static struct span domain_of(struct span path)
{
	const uint8_t *at = path.len ? memrchr(path.p, '@', path.len) : NULL;

	return at ? span_tail(path, (size_t)(at - path.p) + 1) :
		    span_of(path.p, 0);
}

uint32_t route_find(const struct route_table *t, struct span forward_path)
{
	struct span domain = domain_of(forward_path);
	uint32_t low = 0, high = t->n;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (compare_domains(t->entries[middle].domain, domain) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	if (low < t->n && !compare_domains(t->entries[low].domain, domain))
		return t->entries[low].route;
	return t->fallback;
}
