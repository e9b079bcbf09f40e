#pragma once

/*
 * bounds: the part of the configuration that says how much and how long: of
 * memory, of a client, of patience. `line` is where a block ends; 0: absent.
 */

#include <stdbool.h>
#include <stdint.h>

struct config_limits {
	uint32_t sessions;   /* per worker */
	uint32_t messages;   /* being received at once, per worker */
	uint32_t handshakes; /* under way at once, per worker */
	uint64_t message_bytes;
	uint64_t header_bytes;
	uint64_t text_line_bytes;
	uint64_t envelope_bytes;
	uint64_t buffer_bytes; /* body held in memory before a file */
	uint32_t body_buffers; /* to receive bodies into, per worker */
	uint32_t recipients;
	uint32_t messages_per_session;
	uint32_t hops;
	uint32_t errors;
	uint32_t idle_commands;
	bool normalise_bare_lf;
	unsigned int line;
};

/* Of a worker, for one client; 0: no limit. */
struct config_share {
	uint32_t connections;
	uint32_t messages; /* being received at once */
	uint64_t bytes;    /* of these, beyond limits.buffer_size */
};

struct config_shares {
	uint32_t prefix_ipv4; /* bits that make a client of an address */
	uint32_t prefix_ipv6;
	struct config_share prefix;
	struct config_share user;
	unsigned int line;
};

struct config_timeouts { /* seconds */
	uint32_t handshake;
	uint32_t command;
	uint32_t data;
	uint32_t drain;
	uint32_t retire;
	unsigned int line;
};

struct config_retry { /* seconds */
	uint32_t first;
	uint32_t longest;
	uint32_t give_up;
	unsigned int line;
};
