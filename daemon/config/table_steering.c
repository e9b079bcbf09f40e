#include "config/table_steering.h"

#define DAY (24 * 3600ull)

/* In the order of the enums in config/steering.h. */
static const char *const choices[] = { "hash", "cpu", "load", NULL };
static const char *const steer_programs[] = { "auto", "lookup", "reuseport",
					      "none", NULL };

#define AT(member) .offset = offsetof(struct config_lane, member)
const struct table_key table_lane_keys[] = {
	{ .name = "workers",
	  .type = TABLE_NUMBER,
	  AT(workers),
	  .fallback = "1",
	  .min = 1,
	  .max = CONFIG_LANE_WORKERS_MAX,
	  .help = "Worker processes of this lane, which serve no other. With "
		  "lanes, the key `workers' outside of blocks means nothing." },
	{ .name = "cpus",
	  .type = TABLE_CPUS,
	  .max = 1023,
	  .example = "{ 0, 1 }",
	  .help = "Processors that the lane's workers run on, one each, in "
		  "turn. Without them any." },
	{ .name = "choose",
	  .type = TABLE_WORD,
	  AT(choose),
	  .words = choices,
	  .fallback = "load",
	  .help = "Which of the workers gets a connection: by a hash of the "
		  "client's address and port, the worker of the processor "
		  "that took the packet (cpu), or the one that has fewer "
		  "sessions (load)." },
	{ .name = "sources",
	  .type = TABLE_PREFIXES,
	  AT(sources),
	  .example = "{ \"192.0.2.0/24\", \"2001:db8::/32\" }",
	  .help = "Addresses of clients that belong to this lane, whichever "
		  "listener they come to." },
	{ .name = "sessions",
	  .type = TABLE_NUMBER,
	  AT(sessions),
	  .fallback = "0",
	  .max = 1000000,
	  .help = "Connections at once, per worker. 0: as `limits' says." },
	{ .name = "handshakes",
	  .type = TABLE_NUMBER,
	  AT(handshakes),
	  .fallback = "0",
	  .max = 1000000,
	  .help = "TLS handshakes under way at once, per worker. 0: as "
		  "`limits' says." },
};
#undef AT

#define AT(member) .offset = offsetof(struct config_steering, member)
const struct table_key table_steering_keys[] = {
	{ .name = "program",
	  .type = TABLE_WORD,
	  AT(program),
	  .words = steer_programs,
	  .fallback = "auto",
	  .help = "What chooses lane and worker of a connection: an sk_lookup "
		  "program (lookup), an sk_reuseport program (reuseport), the "
		  "best of these that the machine allows (auto), or the "
		  "kernel alone, within the lane of the listener (none). What "
		  "is named and cannot be had keeps the daemon from "
		  "starting." },
	{ .name = "pins",
	  .type = TABLE_STRING,
	  AT(pins),
	  .fallback = "/sys/fs/bpf/sluice",
	  .help = "Directory on a BPF file system, where what `sluicectl "
		  "lane' changed outlives the daemon. One for each daemon." },
};
#undef AT

#define AT(member) .offset = offsetof(struct config_shield, member)
const struct table_key table_shield_keys[] = {
	{ .name = "allow",
	  .type = TABLE_PREFIXES,
	  AT(allow),
	  .example = "{ \"192.0.2.0/24\" }",
	  .help = "Addresses that are neither denied nor metered, whatever "
		  "else is said." },
	{ .name = "deny",
	  .type = TABLE_PREFIXES,
	  AT(deny),
	  .example = "{ \"198.51.100.0/24\" }",
	  .help = "Addresses whose connections are dropped without an "
		  "answer." },
	{ .name = "failures",
	  .type = TABLE_NUMBER,
	  AT(failures),
	  .fallback = "20",
	  .max = 1000000,
	  .help = "Authentications and TLS handshakes that a source may fail "
		  "within `window'; then it is denied. 0: no limit." },
	{ .name = "window",
	  .type = TABLE_DURATION,
	  AT(window_s),
	  .fallback = "1m",
	  .min = 1,
	  .max = DAY,
	  .help = "The time in which failures are counted." },
	{ .name = "deny_time",
	  .type = TABLE_DURATION,
	  AT(deny_s),
	  .fallback = "10m",
	  .min = 1,
	  .max = 365 * DAY,
	  .help = "How long such a source is denied." },
	{ .name = "entries",
	  .type = TABLE_NUMBER,
	  AT(entries),
	  .fallback = "10000",
	  .max = 60000,
	  .help = "Sources that can be denied at once for their failures." },
	{ .name = "syn_rate",
	  .type = TABLE_NUMBER,
	  AT(syn_rate),
	  .fallback = "0",
	  .max = 1000000,
	  .help = "Connections a second that a source may begin. 0: no "
		  "limit." },
	{ .name = "syn_burst",
	  .type = TABLE_NUMBER,
	  AT(syn_burst),
	  .fallback = "100",
	  .max = 1000000,
	  .help = "Connections that it may begin at once, beyond that." },
	{ .name = "prefix_ipv4",
	  .type = TABLE_NUMBER,
	  AT(prefix_ipv4),
	  .fallback = "32",
	  .min = 8,
	  .max = 32,
	  .help = "Bits of an IPv4 address that make a source." },
	{ .name = "prefix_ipv6",
	  .type = TABLE_NUMBER,
	  AT(prefix_ipv6),
	  .fallback = "64",
	  .min = 16,
	  .max = 128,
	  .help = "Bits of an IPv6 address that make a source." },
	{ .name = "required",
	  .type = TABLE_BOOLEAN,
	  AT(required),
	  .fallback = "false",
	  .help = "Whether the daemon starts only where the shield works." },
	{ .name = "pins",
	  .type = TABLE_STRING,
	  AT(pins),
	  .fallback = "/sys/fs/bpf/sluice-shield",
	  .help = "Directory on a BPF file system, where what is denied "
		  "outlives the daemon. One for each daemon." },
};
#undef AT
