#include "super/nic.h"

#include "tls/diag.h"
#include "tls/flaws.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

static bool speaks_tls(const struct config_route *r)
{
	return (r->kind == CONFIG_HOP_SMTP || r->kind == CONFIG_HOP_SMTPS) &&
	       r->tls != CONFIG_HOP_TLS_NONE;
}

bool nic_is_wanted(const struct config *config)
{
	for (uint32_t i = 0; i < config->listeners_n; i++)
		if (config->listeners[i].nic != CONFIG_NIC_OFF)
			return true;
	for (uint32_t i = 0; i < config->routes_n; i++)
		if (speaks_tls(&config->routes[i]) &&
		    config->routes[i].nic != CONFIG_NIC_OFF)
			return true;
	return false;
}

/* -- does the kernel tell? ---------------------------------------------------- */

/* Both ends of a connection over the loopback interface, or -1. */
static void connect_to_ourselves(int fd[2])
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(at);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	fd[0] = -1;
	fd[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (!bind(listener, (struct sockaddr *)&at, len) &&
	    !listen(listener, 1) &&
	    !getsockname(listener, (struct sockaddr *)&at, &len) &&
	    !connect(fd[1], (struct sockaddr *)&at, len))
		fd[0] = accept(listener, NULL, NULL);
	(void)close(listener);
}

/* What it says of a connection whose records it does make: with a key of
 * zeroes, over which nothing is sent. */
static struct diag_makers trial(int fd, int netlink)
{
	const struct offload_keys keys = { 0 };
	struct diag_makers makers = { 0 };
	struct diag_socket name;
	enum offload_reason reason;
	struct offload o;

	offload_init(&o, true);
	if (!diag_identify(fd, &name) &&
	    offload_install(&o, fd, &keys, 0, &reason) == OFFLOAD_WHOLE)
		makers = diag_ask(netlink, &name);
	return makers;
}

static bool kernel_tells(void)
{
	struct diag_makers makers = { 0 };
	int netlink = diag_open();
	int fd[2];

	connect_to_ourselves(fd);
	if (netlink >= 0 && fd[0] >= 0)
		makers = trial(fd[0], netlink);
	for (int i = 0; i < 2; i++)
		if (fd[i] >= 0)
			(void)close(fd[i]);
	if (netlink >= 0)
		(void)close(netlink);
	return makers.tx != DIAG_UNKNOWN && makers.rx != DIAG_UNKNOWN;
}

/* -- what follows -------------------------------------------------------------- */

static const char *obstacle(const struct config *config,
			    enum offload_reason found)
{
	const struct release kernel = release_running();

	if (found != OFFLOAD_KERNEL)
		return offload_help(found);
	if (!config->any_ktls_kernel && !flaws_allow_device(&kernel))
		return "this kernel's offload to cards has known bugs: upgrade "
		       "it";
	if (!kernel_tells())
		return "the kernel does not tell who makes the records: run as "
		       "root with CAP_NET_ADMIN, modprobe tcp_diag";
	return NULL;
}

/* Adds a line for each that cannot have what it requires. */
static int refuse(const struct config *config, const char *why,
		  struct buf *errors)
{
	int result = 0;

	for (uint32_t i = 0; i < config->listeners_n; i++) {
		const struct config_listener *l = &config->listeners[i];

		if (l->nic != CONFIG_NIC_REQUIRE)
			continue;
		buf_printf(errors,
			   "%s:%u: listener \"%s\" requires TLS offload: %s\n",
			   config->file, l->line, l->name, why);
		result = -EOPNOTSUPP;
	}
	for (uint32_t i = 0; i < config->routes_n; i++) {
		const struct config_route *r = &config->routes[i];

		if (!speaks_tls(r) || r->nic != CONFIG_NIC_REQUIRE)
			continue;
		buf_printf(errors,
			   "%s:%u: route \"%s\" requires TLS offload: %s\n",
			   config->file, r->line, r->name, why);
		result = -EOPNOTSUPP;
	}
	return result;
}

int nic_prepare(const struct config *config, enum offload_reason found,
		struct buf *errors)
{
	const char *why;
	int result;

	if (!nic_is_wanted(config))
		return 0;
	why = obstacle(config, found);
	if (!why)
		return 0;
	result = refuse(config, why, errors);
	if (!result)
		LOG(LOG_WARNING, "no-tls-offload", log_str("reason", why));
	return result;
}
