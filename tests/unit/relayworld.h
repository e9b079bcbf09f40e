#pragma once

/*
 * relayworld: a spool with one writer, the test itself, and a relay in a
 * process of its own, below /tmp. SLUICE_TEST_LOG shows what the relay logs.
 */

#include "relay/runner.h"
#include "spool/store.h"

#include <sys/types.h>

/* A spool with one writer, us, and a relay. */
struct relayworld {
	char path[64];
	int dir;
	struct config config;
	struct runner_options options;
	struct board_slot *board;
	struct metric_block *metrics;
	struct store *store;
	int command_fd; /* our end: closing it drains the relay */
	pid_t relay;
	uint64_t next_id;
};

/* To one domain, or to all others; a maildir gets its two directories. */
void relayworld_add_route(struct relayworld *w, enum config_next_hop kind,
			  const char *domain);
void relayworld_open(struct relayworld *w);
/* Removes all of it. */
void relayworld_close(struct relayworld *w);
void relayworld_start(struct relayworld *w);
/* As by a crash. */
void relayworld_kill(struct relayworld *w);
/* It MUST end well, and not by its deadline. */
void relayworld_drain(struct relayworld *w);
/*
 * Recipients are separated by spaces. A body over 16 KiB gets its own file.
 * Returns the message's id.
 */
uint64_t relayworld_submit(struct relayworld *w, const char *recipients,
			   struct span body);
/* The segment is left; nothing more will come to it. */
void relayworld_seal(struct relayworld *w);
/* Until so many names are in the directory; fails the test after a while. */
void relayworld_wait_for_names(int dir, uint32_t n);
uint32_t relayworld_count_names(int dir);
void relayworld_wait_for_metric(const struct relayworld *w, enum metric m,
				uint64_t n);
/* The mail with that id in the first route's Maildir, until the next call. */
struct span relayworld_read_mail(const struct relayworld *w, uint64_t id);
/* Zeroed, shared with processes forked later. */
uint8_t *relayworld_shared_memory(size_t bytes);
