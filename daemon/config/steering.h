#pragma once

/*
 * steering: the part of the configuration that says which connections go where:
 * the lanes, and the program that tells them apart. `line` is where a block
 * ends; 0: absent.
 */

#include "base/prefix.h"

#define CONFIG_LANES_MAX        16
#define CONFIG_LANE_NAME_MAX    31
#define CONFIG_LANE_WORKERS_MAX 60 /* of all lanes: two sets fit side by side */
#define CONFIG_CPUS_MAX         64
#define CONFIG_SOURCES_MAX      256

struct config_prefixes {
	struct prefix list[CONFIG_SOURCES_MAX];
	uint32_t n;
};

/* How a lane's connections are spread over its workers. */
enum config_choose {
	CONFIG_CHOOSE_HASH, /* of the client's address and port */
	CONFIG_CHOOSE_CPU,  /* the worker of the CPU that took the packet */
	CONFIG_CHOOSE_LOAD  /* the one with fewer sessions */
};

/* A class of traffic with its own workers. */
struct config_lane {
	const char *name;
	uint32_t workers;
	uint16_t cpus[CONFIG_CPUS_MAX]; /* worker i runs on cpus[i % cpus_n] */
	uint32_t cpus_n;
	enum config_choose choose;
	struct config_prefixes sources; /* whose connections it has */
	uint32_t sessions;              /* per worker; 0: limits.sessions */
	uint32_t handshakes;            /* likewise */
	unsigned int line;
};

/* Which program may steer connections, at best. */
enum config_steer {
	CONFIG_STEER_AUTO, /* the best that this machine allows */
	CONFIG_STEER_LOOKUP,
	CONFIG_STEER_REUSEPORT,
	CONFIG_STEER_NONE
};

struct config_steering {
	enum config_steer program;
	const char *pins; /* directory on a bpffs */
	unsigned int line;
};

/* Which SYNs are dropped; line 0: none. */
struct config_shield {
	struct config_prefixes allow; /* never denied nor metered */
	struct config_prefixes deny;
	uint32_t failures; /* within window_s that deny a source; 0: none do */
	uint32_t window_s;
	uint32_t deny_s;
	uint32_t entries;  /* denied at once, beside the configured ones */
	uint32_t syn_rate; /* a second, of each source; 0: no limit */
	uint32_t syn_burst;
	uint32_t prefix_ipv4; /* bits that make a source of an address */
	uint32_t prefix_ipv6;
	bool required;
	const char *pins; /* directory on a bpffs */
	unsigned int line;
};
