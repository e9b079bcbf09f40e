#include "super/ktls.h"

#include "super/nic.h"
#include "tls/offload.h"

#include <errno.h>

static bool speaks_tls(const struct config_route *r)
{
	return (r->kind == CONFIG_HOP_SMTP || r->kind == CONFIG_HOP_SMTPS) &&
	       r->tls != CONFIG_HOP_TLS_NONE;
}

static bool wanted(const struct config *config)
{
	for (uint32_t i = 0; i < config->listeners_n; i++)
		if (config->listeners[i].ktls != CONFIG_KTLS_OFF)
			return true;
	for (uint32_t i = 0; i < config->routes_n; i++)
		if (speaks_tls(&config->routes[i]) &&
		    config->routes[i].ktls != CONFIG_KTLS_OFF)
			return true;
	return false;
}

/* What the kernel can do; its known bugs count unless told otherwise. */
static enum offload_reason ask(const struct config *config)
{
	enum offload_reason reason = offload_probe();
	struct offload offload;

	if (reason != OFFLOAD_KERNEL)
		return reason;
	offload_init(&offload, config->any_ktls_kernel);
	return offload_expect(&offload, KEYS_AES_128_GCM, 0);
}

/* Adds a line for each listener and route that cannot have what it requires. */
static int refuse(const struct config *config, enum offload_reason reason,
		  struct buf *errors)
{
	int result = 0;

	for (uint32_t i = 0; i < config->listeners_n; i++) {
		const struct config_listener *l = &config->listeners[i];

		if (l->ktls != CONFIG_KTLS_REQUIRE)
			continue;
		buf_printf(errors, "%s:%u: listener \"%s\" requires kTLS: %s\n",
			   config->file, l->line, l->name,
			   offload_help(reason));
		result = -EOPNOTSUPP;
	}
	for (uint32_t i = 0; i < config->routes_n; i++) {
		const struct config_route *r = &config->routes[i];

		if (!speaks_tls(r) || r->ktls != CONFIG_KTLS_REQUIRE)
			continue;
		buf_printf(errors, "%s:%u: route \"%s\" requires kTLS: %s\n",
			   config->file, r->line, r->name,
			   offload_help(reason));
		result = -EOPNOTSUPP;
	}
	return result;
}

int ktls_prepare(const struct config *config, struct buf *errors)
{
	enum offload_reason reason = wanted(config) ? ask(config) : OFFLOAD_OFF;
	int result = 0;

	LOG(LOG_NOTICE, "records",
	    log_str("by", reason == OFFLOAD_KERNEL ? "kernel" : "userspace"),
	    log_str("offload", offload_name(reason)),
	    log_str("means", offload_help(reason)));
	if (reason != OFFLOAD_KERNEL)
		result = refuse(config, reason, errors);
	return result ? result : nic_prepare(config, reason, errors);
}
