#pragma once

/*
 * assets: everything a configuration names that lives outside it, loaded and
 * opened by the supervisor with its privileges: certificates and keys, users,
 * the map of senders, the spool's directories, Maildirs. Children inherit it by
 * fork and never open a path. A set of assets is made whole or not at all, so a
 * reload with a mistake leaves the old set in use.
 */

#include "config/config.h"
#include "policy/access.h"
#include "policy/users.h"
#include "super/sandbox.h"
#include "tls/creds.h"

struct assets_maildir {
	int new_dir; /* -1: the route has none */
	int tmp_dir;
};

struct assets {
	struct config *config;
	struct sandbox_user user;
	struct creds *listener_creds[CONFIG_LISTENERS_MAX];
	struct creds *route_creds[CONFIG_ROUTES_MAX];
	struct assets_maildir maildirs[CONFIG_ROUTES_MAX];
	struct users *users;
	struct access *access; /* NULL: no map */
	int spool_dir;
	int segments_dir;
	int files_dir;
	int journal_dir;
};

/*
 * Reads the configuration `file` and all it names. `errors` gets a line per
 * mistake; NULL is returned when there was any. Warnings are lines too, with a
 * set returned.
 */
struct assets *assets_open(const char *file, struct ticket_keys *ticket_keys,
			   struct buf *errors);

/*
 * Makes and opens the directories for spool and mail, owned by the user of the
 * workers, and proves that the spool can be written. 0, or a negative errno
 * with a line in `errors`.
 */
int assets_open_directories(struct assets *a, struct buf *errors);

void assets_close(struct assets *a);

/* How many gateway workers the configuration asks for on this machine. */
uint32_t assets_workers(const struct config *config);
