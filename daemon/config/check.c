#include "config/check.h"

#include "config/check_lanes.h"
#include "config/errors.h"

/* Memory that an envelope needs for each recipient, at least. */
#define RECIPIENT_BYTES 64

static bool same(const struct prefix *a, const struct prefix *b)
{
	return prefix_contains(a, b) && prefix_contains(b, a);
}

/* 0.0.0.0 and [::] stand for what no other listener names. */
static bool overlap(const struct prefix *a, const struct prefix *b)
{
	return a->bits && b->bits &&
	       (prefix_contains(a, b) || prefix_contains(b, a));
}

/* Compares an address with an earlier one. */
static void check_pair(const struct config_listener *l,
		       const struct config_address *mine,
		       const struct config_listener *earlier,
		       const struct config_address *other,
		       struct config_errors *errors)
{
	const struct prefix a = config_served(mine);
	const struct prefix b = config_served(other);

	/* Either family has the port in the same place. */
	if (mine->in6.sin6_port != other->in6.sin6_port)
		return;
	if (same(&a, &b))
		errors_add(errors, l->line,
			   "listener \"%s\": %s belongs to listener \"%s\" "
			   "already",
			   l->name, mine->text, earlier->name);
	else if (overlap(&a, &b))
		errors_add(errors, l->line,
			   "listener \"%s\": %s overlaps with %s of listener "
			   "\"%s\"",
			   l->name, mine->text, other->text, earlier->name);
}

static void check_address(const struct config *c, uint32_t l, uint32_t a,
			  struct config_errors *errors)
{
	const struct config_listener *mine = &c->listeners[l];

	for (uint32_t i = 0; i <= l; i++) {
		const struct config_listener *other = &c->listeners[i];
		uint32_t n = i == l ? a : other->addresses_n;

		for (uint32_t k = 0; k < n; k++)
			check_pair(mine, &mine->addresses[a], other,
				   &other->addresses[k], errors);
	}
}

static void check_listeners(const struct config *c,
			    struct config_errors *errors)
{
	uint32_t addresses = 0;

	for (uint32_t l = 0; l < c->listeners_n; l++) {
		const struct config_listener *listener = &c->listeners[l];

		if (addresses <= CONFIG_SERVICES_MAX &&
		    addresses + listener->addresses_n > CONFIG_SERVICES_MAX)
			errors_add(errors, listener->line,
				   "listener \"%s\": with it there are more "
				   "than %d addresses",
				   listener->name, CONFIG_SERVICES_MAX);
		addresses += listener->addresses_n;
		for (uint32_t a = 0; a < listener->addresses_n; a++)
			check_address(c, l, a, errors);
	}
}

/* What else a block with that `nic` must have; NULL: nothing. */
static const char *nic_misses(enum config_nic nic, enum config_ktls ktls,
			      bool tls12)
{
	if (nic == CONFIG_NIC_OFF)
		return NULL;
	if (ktls == CONFIG_KTLS_OFF)
		return "`ktls`: the kernel hands the keys to the card";
	return tls12 ? NULL : "`tls12`: cards make no records of TLS 1.3";
}

static void check_nics(const struct config *c, struct config_errors *errors)
{
	for (uint32_t i = 0; i < c->listeners_n; i++) {
		const struct config_listener *l = &c->listeners[i];
		const char *missing = nic_misses(l->nic, l->ktls, l->tls12);

		if (missing)
			errors_add(errors, l->line,
				   "listener \"%s\": `nic` needs %s", l->name,
				   missing);
	}
	for (uint32_t i = 0; i < c->routes_n; i++) {
		const struct config_route *r = &c->routes[i];
		const char *missing = nic_misses(r->nic, r->ktls, true);

		if (missing)
			errors_add(errors, r->line,
				   "route \"%s\": `nic` needs %s", r->name,
				   missing);
	}
}

static const struct config_route *earlier_route(const struct config *c,
						uint32_t r, const char *domain)
{
	for (uint32_t i = 0; i < r; i++) {
		const struct config_route *other = &c->routes[i];

		for (uint32_t d = 0; d < other->domains_n; d++)
			if (span_equal_nocase(span_str(other->domains[d]),
					      span_str(domain)))
				return other;
	}
	return NULL;
}

static void check_route(const struct config *c, uint32_t r,
			struct config_errors *errors)
{
	const struct config_route *route = &c->routes[r];
	bool is_default = !strcmp(route->name, "default");

	if (is_default && route->domains_n)
		errors_add(errors, route->line,
			   "route \"default\" takes all domains that are left: "
			   "it has no `domains`");
	if (!is_default && !route->domains_n)
		errors_add(errors, route->line,
			   "route \"%s\": `domains` is missing", route->name);
	if (route->kind == CONFIG_HOP_SMTPS &&
	    route->tls == CONFIG_HOP_TLS_NONE)
		errors_add(
			errors, route->line,
			"route \"%s\": smtps:// is TLS: `tls` cannot be none",
			route->name);
	for (uint32_t d = 0; d < route->domains_n; d++) {
		const char *domain = route->domains[d];
		const struct config_route *other = earlier_route(c, r, domain);

		if (other)
			errors_add(errors, route->line,
				   "route \"%s\": %s belongs to route \"%s\" "
				   "already",
				   route->name, domain, other->name);
	}
}

static void check_routes(const struct config *c, struct config_errors *errors)
{
	unsigned int line = 0;
	bool found = false;

	for (uint32_t r = 0; r < c->routes_n; r++) {
		check_route(c, r, errors);
		found = found || !strcmp(c->routes[r].name, "default");
		line = c->routes[r].line;
	}
	if (c->routes_n && !found)
		errors_add(errors, line, "route \"default\" is missing");
}

static void check_limits(const struct config_limits *l,
			 struct config_errors *errors)
{
	if (l->header_bytes > l->message_bytes)
		errors_add(errors, l->line,
			   "limits: `header_size` is more than `message_size`");
	if (l->envelope_bytes / RECIPIENT_BYTES < l->recipients)
		errors_add(errors, l->line,
			   "limits: %u `recipients` need an `envelope_size` of "
			   "%llu",
			   l->recipients,
			   (unsigned long long)l->recipients * RECIPIENT_BYTES);
}

/* Or a message of full size could never pass. */
static void check_share(const char *key, uint64_t bytes, const struct config *c,
			struct config_errors *errors)
{
	if (bytes && bytes < c->limits.message_bytes)
		errors_add(errors, c->shares.line,
			   "shares: `%s` is less than limits.message_size",
			   key);
}

static void check_retry(const struct config_retry *r,
			struct config_errors *errors)
{
	if (r->first > r->longest)
		errors_add(errors, r->line,
			   "retry: `first` is longer than `longest`");
	if (r->longest > r->give_up)
		errors_add(errors, r->line,
			   "retry: `longest` is longer than `give_up`");
}

void check_config(const struct config *config, struct config_errors *errors)
{
	check_listeners(config, errors);
	check_lanes(config, errors);
	check_routes(config, errors);
	check_nics(config, errors);
	check_limits(&config->limits, errors);
	check_share("prefix_bytes", config->shares.prefix.bytes, config,
		    errors);
	check_share("user_bytes", config->shares.user.bytes, config, errors);
	check_retry(&config->retry, errors);
}
