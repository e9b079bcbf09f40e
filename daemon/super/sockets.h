#pragma once

/*
 * sockets: the listening sockets, one per address and worker (SO_REUSEPORT: the
 * kernel spreads connections over the workers of the listener's lane). The
 * supervisor binds them, with its privileges, and keeps them open as long as
 * the configuration names them, so that neither a reload nor a crashed worker
 * loses a connection that waits in an accept queue.
 */

#include "config/config.h"

#define SOCKETS_MAX 1024

/* Where workers of other lanes listen on behalf of an address. */
enum sockets_reach {
	SOCKETS_OWN_LANE, /* nowhere: a listener's own lane serves it */
	SOCKETS_SHARED,   /* there, too: a program chooses within the group */
	SOCKETS_HIDDEN,   /* on loopback, where a program sends connections */
};

struct sockets_entry {
	char address[CONFIG_ADDRESS_TEXT_MAX]; /* as configured: the key together with worker */
	uint32_t worker;
	uint32_t listener; /* index into config->listeners */
	uint32_t service;  /* number of the address, while it is listened on */
	int fd;
	bool wanted;  /* by the newest configuration */
	bool steered; /* programs know it */
	bool shielded;
};

struct sockets {
	enum sockets_reach reach; /* set before the first sockets_bind */
	bool patient; /* waits a while for a busy port: not while we serve */
	uint32_t n;
	struct sockets_entry entries[SOCKETS_MAX];
};

/*
 * Binds what `config` names and is not bound yet, for `workers` workers, and
 * refreshes which listener each belongs to. On failure what was newly bound is
 * closed again, the other entries are as they were, and `error` holds one line
 * with the cure.
 */
int sockets_bind(struct sockets *s, const struct config *config,
		 uint32_t workers, struct buf *error);

/* Number of an address that is listened on, below CONFIG_SERVICES_MAX. */
uint32_t sockets_service(const struct sockets *s, const char *address);

/*
 * Takes over a socket that another supervisor bound, with address, worker,
 * service and descriptor. False, and it is not ours: no room, it does not
 * listen, or the service is another address's.
 */
bool sockets_take(struct sockets *s, const struct sockets_entry *e);

/* Closes what the newest configuration does not name any more. */
void sockets_prune(struct sockets *s);

/* Closes all, or all but those of one worker: for a forked child. */
void sockets_close_but(struct sockets *s, uint32_t worker);
#define SOCKETS_NO_WORKER UINT32_MAX
