#include "config/table.h"

#include "config/table_steering.h"

#define KIB 1024ull
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)
#define DAY (24 * 3600ull)

/* In the order of the enums in config.h and base/log.h. */
static const char *const listener_tls[] = { "implicit", "starttls", NULL };
static const char *const policies[] = { "off", "prefer", "require", NULL };
static const char *const body_paths[] = { "auto", "copy", "splice", NULL };
static const char *const route_tls[] = { "verify", "encrypt", "none", NULL };
static const char *const log_levels[] = { "error", "warning", "notice",
					  "info",  "debug",   NULL };
static const char *const log_formats[] = { "text", "json", NULL };

#define AT(member) .offset = offsetof(struct config, member)
static const struct table_key top_keys[] = {
	{ .name = "hostname",
	  .type = TABLE_DOMAIN,
	  AT(hostname),
	  .required = true,
	  .example = "mx.example.org",
	  .help = "Name of this gateway in greetings and Received fields." },
	{ .name = "user",
	  .type = TABLE_STRING,
	  AT(user),
	  .example = "sluice",
	  .help = "Unprivileged user that the workers run as. Without it they "
		  "stay the user that started the daemon." },
	{ .name = "pid_file",
	  .type = TABLE_STRING,
	  AT(pid_file),
	  .example = "/run/sluice/sluiced.pid",
	  .help = "File that takes the supervisor's process id." },
	{ .name = "control",
	  .type = TABLE_STRING,
	  AT(control),
	  .example = "/run/sluice/control",
	  .help = "Socket on which sluicectl reaches the daemon." },
	{ .name = "workers",
	  .type = TABLE_NUMBER,
	  AT(workers),
	  .fallback = "0",
	  .max = 127, /* two generations fit the table of processes */
	  .help = "Gateway worker processes. 0: one per processor." },
	{ .name = "any_ktls_kernel",
	  .type = TABLE_BOOLEAN,
	  AT(any_ktls_kernel),
	  .fallback = "false",
	  .help = "Whether records go to the kernel also where its kTLS has "
		  "known bugs (`sluicectl doctor` names them)." },
};
#undef AT

#define AT(member) .offset = offsetof(struct config_certificate, member)
static const struct table_key certificate_keys[] = {
	{ .name = "chain",
	  .type = TABLE_STRING,
	  AT(chain),
	  .required = true,
	  .example = "/etc/sluice/fullchain.pem",
	  .help = "PEM file of the certificate and its intermediates, the "
		  "server's own first." },
	{ .name = "key",
	  .type = TABLE_STRING,
	  AT(key),
	  .required = true,
	  .example = "/etc/sluice/key.pem",
	  .help = "PEM file of the private key. Only the supervisor reads it." },
};
#undef AT

#define AT(member) .offset = offsetof(struct config_listener, member)
static const struct table_key listener_keys[] = {
	{ .name = "address",
	  .type = TABLE_ADDRESSES,
	  .required = true,
	  .example = "{ \"0.0.0.0:465\", \"[::]:465\" }",
	  .help = "Numeric addresses and ports to listen on. Ranges are "
		  "written like \"192.0.2.0/24:465\" or "
		  "\"[2001:db8::/64]:465\": every address of them that packets "
		  "are routed to this machine for is served. They need lanes and "
		  "an sk_lookup program; where there is none the daemon does "
		  "not start. Ranges and addresses with the same port must not "
		  "overlap; 0.0.0.0 and [::] stand for all that are left." },
	{ .name = "tls",
	  .type = TABLE_WORD,
	  AT(tls),
	  .required = true,
	  .words = listener_tls,
	  .example = "implicit",
	  .help = "TLS from the first byte (port 465) or after the STARTTLS "
		  "command (port 587). Neither AUTH nor mail is taken before." },
	{ .name = "lane",
	  .type = TABLE_STRING,
	  AT(lane),
	  .fallback = "default",
	  .example = "bulk",
	  .shown = true,
	  .help = "Lane of the connections that come here. Without any block "
		  "`lane' there is only the lane `default'." },
	{ .name = "tickets",
	  .type = TABLE_NUMBER,
	  AT(tickets),
	  .fallback = "1",
	  .max = 4,
	  .help = "Session tickets sent after a full TLS 1.3 handshake. Each "
		  "costs a twentieth of it; a client that resumes with one gets "
		  "another." },
	{ .name = "resumption",
	  .type = TABLE_BOOLEAN,
	  AT(resumption),
	  .fallback = "true",
	  .help = "Whether a client may resume an earlier TLS session." },
	{ .name = "tls12",
	  .type = TABLE_BOOLEAN,
	  AT(tls12),
	  .fallback = "true",
	  .help = "Whether TLS 1.2 is allowed beside 1.3." },
	{ .name = "ktls",
	  .type = TABLE_WORD,
	  AT(ktls),
	  .words = policies,
	  .fallback = "prefer",
	  .help = "Whether the kernel makes the TLS records: off, where it can "
		  "(prefer), or else no session (require): who cannot have it is "
		  "told so with a 421." },
	{ .name = "body_path",
	  .type = TABLE_WORD,
	  AT(body_path),
	  .words = body_paths,
	  .fallback = "auto",
	  .help = "How bodies come in: through the worker's buffers (copy), or, "
		  "of long BDAT chunks whose records the kernel opens, from "
		  "socket to file inside it, to be read back and checked there "
		  "(splice). auto takes what costs less: copy." },
	{ .name = "nic",
	  .type = TABLE_WORD,
	  AT(nic),
	  .words = policies,
	  .fallback = "off",
	  .help = "Whether the network card makes the TLS records. Cards take "
		  "TLS 1.2 with AES-GCM alone, so whoever can speak it gets it "
		  "instead of TLS 1.3, and others what they can (prefer); or "
		  "nothing else is spoken, and a session whose mail the card "
		  "does not decrypt is ended with a 421 (require). Needs `ktls' "
		  "and `tls12'." },
};
#undef AT

#define AT(member) .offset = offsetof(struct config_auth, member)
static const struct table_key auth_keys[] = {
	{ .name = "file",
	  .type = TABLE_STRING,
	  AT(users),
	  .required = true,
	  .example = "/etc/sluice/users",
	  .help = "Users, a line each: name:{crypt}hash, as "
		  "`sluicectl passwd' prints it." },
	{ .name = "senders",
	  .type = TABLE_STRING,
	  AT(senders),
	  .example = "/etc/sluice/senders",
	  .help = "Map of the addresses that each user may send as. Without "
		  "it every user may send as anybody." },
	{ .name = "helpers",
	  .type = TABLE_NUMBER,
	  AT(helpers),
	  .fallback = "2",
	  .min = 1,
	  .max = 64,
	  .help = "Threads per worker that compute password hashes." },
	{ .name = "cache_entries",
	  .type = TABLE_NUMBER,
	  AT(cache_entries),
	  .fallback = "4096",
	  .max = 1000000,
	  .help = "Successful authentications remembered per worker." },
	{ .name = "cache_time",
	  .type = TABLE_DURATION,
	  AT(cache_s),
	  .fallback = "5m",
	  .max = DAY,
	  .help = "How long they are remembered. 0: not at all." },
};
#undef AT

#define AT(member) .offset = offsetof(struct config_spool, member)
static const struct table_key spool_keys[] = {
	{ .name = "directory",
	  .type = TABLE_STRING,
	  AT(directory),
	  .required = true,
	  .example = "/var/spool/sluice",
	  .help = "Where acknowledged mail is kept until it is delivered." },
	{ .name = "segment_size",
	  .type = TABLE_SIZE,
	  AT(segment_bytes),
	  .fallback = "64M",
	  .min = MIB,
	  .max = 4 * GIB,
	  .help = "A worker begins a new segment when one is so long." },
	{ .name = "queue_messages",
	  .type = TABLE_NUMBER,
	  AT(queue_messages),
	  .fallback = "1000000",
	  .min = 1,
	  .max = 100000000,
	  .help = "Messages that the queue can hold; more are refused with a "
		  "temporary error." },
	{ .name = "reserve",
	  .type = TABLE_SIZE,
	  AT(reserve_bytes),
	  .fallback = "64M",
	  .max = 1024 * GIB,
	  .help = "Free disk space below which mail is refused with a "
		  "temporary error." },
};
#undef AT

#define AT(member) .offset = offsetof(struct config_route, member)
static const struct table_key route_keys[] = {
	{ .name = "next_hop",
	  .type = TABLE_HOP,
	  .required = true,
	  .example = "maildir:/var/mail/sluice",
	  .help = "maildir:PATH, smtp://HOST:PORT (STARTTLS), "
		  "smtps://HOST:PORT (TLS from the first byte) or discard." },
	{ .name = "domains",
	  .type = TABLE_DOMAINS,
	  .example = "{ \"example.org\", \"example.net\" }",
	  .help = "Domains of the recipients that take this route. The route "
		  "`default' has none: it takes all others." },
	{ .name = "connections",
	  .type = TABLE_NUMBER,
	  AT(connections),
	  .fallback = "4",
	  .min = 1,
	  .max = 1000,
	  .help = "Connections at once to the next hop." },
	{ .name = "tls",
	  .type = TABLE_WORD,
	  AT(tls),
	  .fallback = "verify",
	  .words = route_tls,
	  .help = "verify: TLS with a certificate for the right name; encrypt: "
		  "TLS with any certificate; none: in clear." },
	{ .name = "tls_name",
	  .type = TABLE_DOMAIN,
	  AT(tls_name),
	  .example = "relay.example.net",
	  .help = "Name that the certificate must have, instead of HOST." },
	{ .name = "tls_ca",
	  .type = TABLE_STRING,
	  AT(tls_ca),
	  .example = "/etc/sluice/relay-ca.pem",
	  .help = "PEM file of the authorities to trust, instead of the "
		  "system's." },
	{ .name = "ktls",
	  .type = TABLE_WORD,
	  AT(ktls),
	  .words = policies,
	  .fallback = "prefer",
	  .help = "Whether the kernel makes the TLS records: off, where it can "
		  "(prefer), or else no delivery (require)." },
	{ .name = "nic",
	  .type = TABLE_WORD,
	  AT(nic),
	  .words = policies,
	  .fallback = "off",
	  .help = "Whether the network card makes the TLS records. Cards take "
		  "TLS 1.2 with AES-GCM alone, so TLS 1.3 is not offered to "
		  "the next hop (prefer), nor any other cipher, and there is no "
		  "delivery unless the card encrypts it (require). Needs "
		  "`ktls'." },
	{ .name = "body_path",
	  .type = TABLE_WORD,
	  AT(body_path),
	  .words = body_paths,
	  .fallback = "auto",
	  .help = "How bodies leave the spool: through the relay (copy), from "
		  "file to socket inside the kernel wherever it makes the "
		  "records or there are none (splice), or the same for all but "
		  "short pieces (auto)." },
};
#undef AT

#define AT(member) .offset = offsetof(struct config_limits, member)
static const struct table_key limits_keys[] = {
	{ .name = "sessions",
	  .type = TABLE_NUMBER,
	  AT(sessions),
	  .fallback = "4096",
	  .min = 1,
	  .max = 1000000,
	  .help = "Connections at once, per worker." },
	{ .name = "messages",
	  .type = TABLE_NUMBER,
	  AT(messages),
	  .fallback = "512",
	  .min = 1,
	  .max = 1000000,
	  .help = "Messages being received at once, per worker; never more "
		  "than sessions. Each takes buffer_size and envelope_size of "
		  "memory." },
	{ .name = "handshakes",
	  .type = TABLE_NUMBER,
	  AT(handshakes),
	  .fallback = "1024",
	  .min = 1,
	  .max = 1000000,
	  .help = "TLS handshakes under way at once, per worker. Further "
		  "connections are closed, STARTTLS gets a temporary error." },
	{ .name = "message_size",
	  .type = TABLE_SIZE,
	  AT(message_bytes),
	  .fallback = "50M",
	  .min = 64 * KIB,
	  .max = 16 * GIB,
	  .help = "Size of a message." },
	{ .name = "header_size",
	  .type = TABLE_SIZE,
	  AT(header_bytes),
	  .fallback = "256K",
	  .min = 4 * KIB,
	  .max = 16 * MIB,
	  .help = "Size of a message's header section." },
	{ .name = "text_line",
	  .type = TABLE_SIZE,
	  AT(text_line_bytes),
	  .fallback = "64K",
	  .min = 1000,
	  .max = 16 * MIB,
	  .help = "Length of a line of a message, its end included." },
	{ .name = "envelope_size",
	  .type = TABLE_SIZE,
	  AT(envelope_bytes),
	  .fallback = "64K",
	  .min = 4 * KIB,
	  .max = 16 * MIB,
	  .help = "Memory for the envelope of a message: at least 64 bytes "
		  "for each of `recipients'." },
	{ .name = "buffer_size",
	  .type = TABLE_SIZE,
	  AT(buffer_bytes),
	  .fallback = "128K",
	  .min = 4 * KIB,
	  .max = 64 * MIB,
	  .help = "Body held in memory; a longer one gets a file of its own." },
	{ .name = "body_buffers",
	  .type = TABLE_NUMBER,
	  AT(body_buffers),
	  .fallback = "32",
	  .max = 4096,
	  .help = "Buffers of 256K, per worker, into which bodies are received "
		  "(the next power of two). When all are in use smaller ones "
		  "do." },
	{ .name = "recipients",
	  .type = TABLE_NUMBER,
	  AT(recipients),
	  .fallback = "1000",
	  .min = 1,
	  .max = 4096, /* INDEX_RECIPIENTS_MAX: what the relay tracks */
	  .help = "Recipients of a message." },
	{ .name = "messages_per_session",
	  .type = TABLE_NUMBER,
	  AT(messages_per_session),
	  .fallback = "0",
	  .max = 1000000,
	  .help = "Messages over one connection. 0: no limit." },
	{ .name = "hops",
	  .type = TABLE_NUMBER,
	  AT(hops),
	  .fallback = "50",
	  .min = 1,
	  .max = 1000,
	  .help = "Received fields above which a message is in a loop." },
	{ .name = "errors",
	  .type = TABLE_NUMBER,
	  AT(errors),
	  .fallback = "20",
	  .min = 1,
	  .max = 1000,
	  .help = "Refused commands before a connection is closed." },
	{ .name = "idle_commands",
	  .type = TABLE_NUMBER,
	  AT(idle_commands),
	  .fallback = "100",
	  .min = 1,
	  .max = 100000,
	  .help = "Commands without progress before a connection is closed." },
	{ .name = "normalise_bare_lf",
	  .type = TABLE_BOOLEAN,
	  AT(normalise_bare_lf),
	  .fallback = "false",
	  .help = "Whether a line feed without carriage return is made CRLF. "
		  "Otherwise the message is refused. It never ends a message." },
};
#undef AT

#define AT(member) .offset = offsetof(struct config_shares, member)
static const struct table_key shares_keys[] = {
	{ .name = "prefix_ipv4",
	  .type = TABLE_NUMBER,
	  AT(prefix_ipv4),
	  .fallback = "32",
	  .max = 32,
	  .help = "Clients whose IPv4 addresses agree in so many bits "
		  "are one client." },
	{ .name = "prefix_ipv6",
	  .type = TABLE_NUMBER,
	  AT(prefix_ipv6),
	  .fallback = "64",
	  .max = 128,
	  .help = "The same for IPv6." },
	{ .name = "prefix_connections",
	  .type = TABLE_NUMBER,
	  AT(prefix.connections),
	  .fallback = "0",
	  .max = 1000000,
	  .help = "Connections of one such client at once, per worker; "
		  "further ones get 421. 0: no limit." },
	{ .name = "prefix_messages",
	  .type = TABLE_NUMBER,
	  AT(prefix.messages),
	  .fallback = "0",
	  .max = 1000000,
	  .help = "Messages of one such client being received at once, "
		  "per worker; further ones get 452. 0: no limit." },
	{ .name = "prefix_bytes",
	  .type = TABLE_SIZE,
	  AT(prefix.bytes),
	  .fallback = "0",
	  .max = 1024 * GIB,
	  .help = "Bytes of these that are on their way to disk "
		  "already; what goes beyond gets 452. At least "
		  "message_size. 0: no limit." },
	{ .name = "user_connections",
	  .type = TABLE_NUMBER,
	  AT(user.connections),
	  .fallback = "0",
	  .max = 1000000,
	  .help = "Connections of one user at once, per worker; further "
		  "ones get 421. 0: no limit." },
	{ .name = "user_messages",
	  .type = TABLE_NUMBER,
	  AT(user.messages),
	  .fallback = "0",
	  .max = 1000000,
	  .help = "Messages of one user being received at once, per "
		  "worker; further ones get 452. 0: no limit." },
	{ .name = "user_bytes",
	  .type = TABLE_SIZE,
	  AT(user.bytes),
	  .fallback = "0",
	  .max = 1024 * GIB,
	  .help = "Bytes of these that are on their way to disk "
		  "already; what goes beyond gets 452. At least "
		  "message_size. 0: no limit." },
};
#undef AT

#define AT(member) .offset = offsetof(struct config_timeouts, member)
static const struct table_key timeouts_keys[] = {
	{ .name = "handshake",
	  .type = TABLE_DURATION,
	  AT(handshake),
	  .fallback = "30s",
	  .min = 1,
	  .max = DAY,
	  .help = "For a TLS handshake." },
	{ .name = "command",
	  .type = TABLE_DURATION,
	  AT(command),
	  .fallback = "5m",
	  .min = 1,
	  .max = DAY,
	  .help = "For the next command. RFC 5321 asks for 5m." },
	{ .name = "data",
	  .type = TABLE_DURATION,
	  AT(data),
	  .fallback = "3m",
	  .min = 1,
	  .max = DAY,
	  .help = "For the next piece of a message. RFC 5321 asks for 3m." },
	{ .name = "drain",
	  .type = TABLE_DURATION,
	  AT(drain),
	  .fallback = "30s",
	  .min = 1,
	  .max = DAY,
	  .help = "For sessions to end when the daemon stops, and for messages "
		  "on their way out whenever another relay goes on." },
	{ .name = "retire",
	  .type = TABLE_DURATION,
	  AT(retire),
	  .fallback = "1h",
	  .min = 1,
	  .max = 30 * DAY,
	  .help = "For sessions to end by themselves after a reload or an "
		  "upgrade, in the processes that they began in. Then these "
		  "drain." },
};
#undef AT

#define AT(member) .offset = offsetof(struct config_retry, member)
static const struct table_key retry_keys[] = {
	{ .name = "first",
	  .type = TABLE_DURATION,
	  AT(first),
	  .fallback = "5m",
	  .min = 1,
	  .max = 365 * DAY,
	  .help = "Until the second attempt to deliver a message." },
	{ .name = "longest",
	  .type = TABLE_DURATION,
	  AT(longest),
	  .fallback = "4h",
	  .min = 1,
	  .max = 365 * DAY,
	  .help = "Between later attempts, at most: the time doubles up to it." },
	{ .name = "give_up",
	  .type = TABLE_DURATION,
	  AT(give_up),
	  .fallback = "5d",
	  .min = 1,
	  .max = 365 * DAY,
	  .help = "After which a message counts as undeliverable." },
};
#undef AT

#define AT(member) .offset = offsetof(struct config, member)
static const struct table_key log_keys[] = {
	{ .name = "level",
	  .type = TABLE_WORD,
	  AT(log_level),
	  .fallback = "info",
	  .words = log_levels,
	  .help = "The least important events to log." },
	{ .name = "format",
	  .type = TABLE_WORD,
	  AT(log_format),
	  .fallback = "text",
	  .words = log_formats,
	  .help = "Lines of text or a JSON object per line." },
};
#undef AT

#define KEYS(array) .keys = (array), .keys_n = sizeof(array) / sizeof(*(array))
#define MANY(member, type)                                                 \
	.titled = true,                                                    \
	.max = sizeof(((struct config *)0)->member) / sizeof(struct type), \
	.offset = offsetof(struct config, member),                         \
	.stride = sizeof(struct type),                                     \
	.count = offsetof(struct config, member##_n),                      \
	.title = offsetof(struct type, name), .has_line = true,            \
	.line = offsetof(struct type, line)
#define ONE(member, type)                                                      \
	.max = 1, .offset = offsetof(struct config, member), .has_line = true, \
	.line = offsetof(struct type, line)

const struct table_block table_blocks[TABLE_BLOCKS] = {
	[TABLE_TOP] = { KEYS(top_keys), .max = 1,
			.help = "The daemon as a whole." },
	[TABLE_CERTIFICATE] = { .name = "certificate",
				KEYS(certificate_keys),
				MANY(certificates, config_certificate),
				.required = true,
				.title_example = "main",
				.help = "A certificate. A client gets the one for the name it "
					"asks for, else the first." },
	[TABLE_LISTENER] = { .name = "listener",
			     KEYS(listener_keys),
			     MANY(listeners, config_listener),
			     .required = true,
			     .title_example = "submissions",
			     .second = "listener \"submission\" {\n"
				       "\taddress = { \"0.0.0.0:587\", "
				       "\"[::]:587\" }\n"
				       "\ttls = \"starttls\"\n"
				       "\tlane = \"interactive\"\n"
				       "}\n",
			     .help = "Addresses on which mail is submitted." },
	[TABLE_LANE] = { .name = "lane",
			 KEYS(table_lane_keys),
			 MANY(lanes, config_lane),
			 .title_example = "bulk",
			 .second = "lane \"interactive\" {\n"
				   "\tworkers = 2\n"
				   "}\n",
			 .help = "A class of traffic with workers of its own." },
	[TABLE_STEERING] = { .name = "steering",
			     KEYS(table_steering_keys),
			     ONE(steering, config_steering),
			     .help = "How connections come to their lane. "
				     "Without lanes it means nothing." },
	[TABLE_SHIELD] = { .name = "shield",
			   KEYS(table_shield_keys),
			   ONE(shield, config_shield),
			   .help = "Drops connections in the kernel, before any "
				   "work is done for them. Without this block "
				   "there is no shield." },
	[TABLE_AUTH] = { .name = "auth",
			 KEYS(auth_keys),
			 ONE(auth, config_auth),
			 .required = true,
			 .help = "Who may submit mail." },
	[TABLE_SPOOL] = { .name = "spool",
			  KEYS(spool_keys),
			  ONE(spool, config_spool),
			  .required = true,
			  .help = "Mail on disk." },
	[TABLE_ROUTE] = { .name = "route",
			  KEYS(route_keys),
			  MANY(routes, config_route),
			  .required = true,
			  .title_example = "default",
			  .help = "Where mail goes. There must be a route \"default\"." },
	[TABLE_LIMITS] = { .name = "limits",
			   KEYS(limits_keys),
			   ONE(limits, config_limits),
			   .help = "Bounds of memory and patience, fixed at start." },
	[TABLE_SHARES] = { .name = "shares",
			   KEYS(shares_keys),
			   ONE(shares, config_shares),
			   .help = "What one client may take of a worker." },
	[TABLE_TIMEOUTS] = { .name = "timeouts",
			     KEYS(timeouts_keys),
			     ONE(timeouts, config_timeouts),
			     .help = "How long to wait for a client." },
	[TABLE_RETRY] = { .name = "retry",
			  KEYS(retry_keys),
			  ONE(retry, config_retry),
			  .help = "When a next hop cannot take a message now." },
	[TABLE_LOG] = { .name = "log",
			KEYS(log_keys),
			.max = 1,
			.help = "What is written to standard error." },
};
