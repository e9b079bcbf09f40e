#pragma once

/*
 * config: the typed configuration, read by libconfuse through one table
 * (config/table.h) that also generates the sample file and the manual. Parsing
 * reads nothing but the text it is given, neither files nor the environment;
 * what the text names (certificates, users) is read by layer 4. Every mistake
 * is reported with file and line; what is missing, with the line where its
 * block ends. Strings belong to the struct config and die with it. Not for two
 * threads at once: libconfuse has one scanner.
 */

#include "base/buf.h"
#include "base/log.h"
#include "config/bounds.h"
#include "config/steering.h"

#include <netinet/in.h>

#define CONFIG_CERTIFICATES_MAX 64
#define CONFIG_LISTENERS_MAX    64
#define CONFIG_ADDRESSES_MAX    16
#define CONFIG_ROUTES_MAX       64
#define CONFIG_DOMAINS_MAX      64
#define CONFIG_SERVICES_MAX     64 /* addresses of all listeners */
#define CONFIG_ADDRESS_TEXT_MAX 64 /* with its end */

struct config_certificate {
	const char *name;
	const char *chain; /* path of the PEM chain, leaf first */
	const char *key;   /* path of the PEM key */
	unsigned int line; /* here and below: where the block ends; 0: absent */
};

enum config_tls_mode { CONFIG_TLS_IMPLICIT, CONFIG_TLS_STARTTLS };

/* In the order of enum offload_policy. */
enum config_ktls { CONFIG_KTLS_OFF, CONFIG_KTLS_PREFER, CONFIG_KTLS_REQUIRE };

/* Whether the network card is to make the records, in the order of enum
 * creds_device. */
enum config_nic { CONFIG_NIC_OFF, CONFIG_NIC_PREFER, CONFIG_NIC_REQUIRE };

/* How bodies move between files and sockets. */
enum config_body_path {
	CONFIG_BODY_AUTO,  /* what the measurements favour */
	CONFIG_BODY_COPY,  /* through this process */
	CONFIG_BODY_SPLICE /* inside the kernel, where the records allow it */
};

struct config_address {
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	};
	socklen_t len;
	uint8_t range_bits; /* that all addresses of a range have; 0: no range */
	const char *text;   /* as written: "[::]:465", "192.0.2.0/24:465" */
};

struct config_listener {
	const char *name;
	struct config_address addresses[CONFIG_ADDRESSES_MAX];
	uint32_t addresses_n;
	enum config_tls_mode tls;
	const char *lane;
	uint32_t tickets; /* TLS 1.3 tickets sent, 0 to 4; 0: none */
	bool resumption;  /* session tickets accepted at all */
	bool tls12;       /* TLS 1.2 allowed beside 1.3 */
	enum config_ktls ktls;
	enum config_body_path body_path;
	enum config_nic nic;
	unsigned int line;
};

enum config_next_hop {
	CONFIG_HOP_MAILDIR,
	CONFIG_HOP_DISCARD,
	CONFIG_HOP_SMTP, /* smtp://host:port, STARTTLS */
	CONFIG_HOP_SMTPS /* smtps://host:port, implicit TLS */
};

enum config_hop_tls {
	CONFIG_HOP_TLS_VERIFY,  /* the default: TLS with a verified name */
	CONFIG_HOP_TLS_ENCRYPT, /* TLS, any certificate */
	CONFIG_HOP_TLS_NONE     /* in clear: only where the operator says so */
};

struct config_route {
	const char *name;     /* "default" takes what no other route takes */
	const char *next_hop; /* as written */
	enum config_next_hop kind;
	const char *path; /* maildir */
	const char *host; /* smtp, smtps */
	uint16_t port;
	enum config_hop_tls tls;
	const char *tls_name; /* name to verify; NULL: host */
	const char *tls_ca;   /* PEM file; NULL: the system's */
	const char *domains[CONFIG_DOMAINS_MAX]; /* recipients'; none: all */
	uint32_t domains_n;
	uint32_t connections; /* at once to this next hop */
	enum config_ktls ktls;
	enum config_nic nic;
	enum config_body_path body_path;
	unsigned int line;
};

struct config_auth {
	const char *users;   /* path; key "file" */
	const char *senders; /* path of the map of senders, or NULL */
	uint32_t helpers;    /* threads per worker */
	uint32_t cache_entries;
	uint32_t cache_s;
	unsigned int line;
};

struct config_spool {
	const char *directory;
	uint64_t segment_bytes;
	uint32_t queue_messages; /* the index's size */
	uint64_t reserve_bytes;  /* free disk below which mail is refused */
	unsigned int line;
};

struct config {
	const char *hostname;
	const char *user;     /* unprivileged user; NULL: stay who we are */
	const char *pid_file; /* or NULL */
	const char *control;  /* path of the control socket, or NULL */
	uint32_t workers;     /* 0: one per CPU */
	bool any_ktls_kernel; /* use kTLS whatever its known bugs */
	enum log_level log_level;
	enum log_format log_format;
	struct config_certificate certificates[CONFIG_CERTIFICATES_MAX];
	uint32_t certificates_n;
	struct config_listener listeners[CONFIG_LISTENERS_MAX];
	uint32_t listeners_n;
	struct config_lane lanes[CONFIG_LANES_MAX];
	uint32_t lanes_n; /* 0: one lane without a name, for everything */
	struct config_steering steering;
	struct config_shield shield;
	struct config_auth auth;
	struct config_spool spool;
	struct config_route routes[CONFIG_ROUTES_MAX];
	uint32_t routes_n;
	struct config_limits limits;
	struct config_shares shares;
	struct config_timeouts timeouts;
	struct config_retry retry;
	const char *file;   /* name for messages */
	struct buf strings; /* storage of all strings */
};

/* Takes one line per mistake: "sluice.conf:12: `hops`: `x` is not a number". */
struct config_errors {
	uint32_t n;
	struct buf *text; /* lines ending in '\n'; overflow drops the rest */
	const char *file; /* set by config_open */
};

/*
 * Parses `text` (named `file` in messages) into a new struct config that the
 * caller closes. NULL when there was any mistake; each has its line in
 * `errors`. Limits that cannot work together are mistakes too.
 */
struct config *config_open(const char *file, const char *text,
			   struct config_errors *errors);
void config_close(struct config *config);

/* Local addresses that it stands for; 0.0.0.0 and [::]: all, with no bits. */
struct prefix config_served(const struct config_address *address);

/*
 * What a reload cannot change: appends a line for each such key that differs,
 * "workers: 2 -> 4 needs a restart". True when there was any.
 */
bool config_diff(const struct config *old, const struct config *new,
		 struct buf *lines);
