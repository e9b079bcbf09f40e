#pragma once

/*
 * metric: the counters of the daemon, one table. Every process that counts has
 * a block of its own in memory shared with the supervisor, so counting is one
 * relaxed add by the block's only writer and reading is a sum over blocks. A
 * block outlives the process that filled it; a restarted one goes on counting.
 * The table generates the names in `sluicectl status` and the reference in the
 * manual. Gauges are named *_now and may go down.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define METRIC_TABLE(X)                                                        \
	X(CONNECTIONS_ACCEPTED, "connections accepted")                        \
	X(CONNECTIONS_NOW, "connections open")                                 \
	X(CONNECTIONS_REFUSED, "connections refused: all sessions in use")     \
	X(HANDSHAKES_OK, "TLS handshakes completed")                           \
	X(HANDSHAKES_RESUMED, "TLS handshakes that resumed a session")         \
	X(HANDSHAKES_REFUSED, "TLS handshakes refused: too many under way")    \
	X(HANDSHAKES_PUT_OFF, "turns that left handshakes waiting")            \
	X(HANDSHAKES_FAILED, "TLS handshakes failed or broken off")            \
	X(OFFLOAD_KERNEL, "sessions with records made by the kernel")          \
	X(OFFLOAD_UNTRIED, "sessions that ended before it was tried")          \
	X(OFFLOAD_OFF, "sessions in userspace: switched off")                  \
	X(OFFLOAD_NO_ULP, "sessions in userspace: the kernel has no kTLS")     \
	X(OFFLOAD_NO_CIPHER, "sessions in userspace: no cipher module")        \
	X(OFFLOAD_VERSION, "sessions in userspace: TLS version or suite")      \
	X(OFFLOAD_SHORT_RECORDS, "sessions in userspace: short records")       \
	X(OFFLOAD_PENDING, "sessions in userspace: a record was under way")    \
	X(OFFLOAD_REKEYED, "sessions in userspace: keys changed before")       \
	X(OFFLOAD_ENDING, "sessions in userspace: ending already")             \
	X(OFFLOAD_KERNEL_OLD,                                                  \
	  "sessions in userspace: the kernel's known bugs")                    \
	X(OFFLOAD_SELF_CHECK, "sessions in userspace: self check failed")      \
	X(OFFLOAD_ERROR, "sessions in userspace: the kernel refused")          \
	X(OFFLOAD_UNMET,                                                       \
	  "sessions ended: kernel records are required, and were not to be "   \
	  "had")                                                               \
	X(NIC_BOTH, "sessions with records made and opened by the card")       \
	X(NIC_TX, "sessions with records made by the card")                    \
	X(NIC_RX, "sessions with records opened by the card")                  \
	X(NIC_SOFTWARE, "sessions the card does nothing for")                  \
	X(NIC_UNKNOWN, "sessions of which the kernel did not tell")            \
	X(NIC_UNMET,                                                           \
	  "sessions ended: the card is required, and did not do it")           \
	X(SHARE_CONNECTIONS_REFUSED,                                           \
	  "connections refused: the client has its share")                     \
	X(SHARE_MESSAGES_REFUSED,                                              \
	  "messages refused: the client has its share under way")              \
	X(SHARE_BYTES_REFUSED,                                                 \
	  "messages refused: the client has its share of bytes under way")     \
	X(SESSIONS_TIMED_OUT, "sessions ended for idleness or slowness")       \
	X(SESSIONS_BROKEN, "sessions ended by the peer without QUIT")          \
	X(AUTH_OK, "authentications that succeeded")                           \
	X(AUTH_FAILED, "authentications that failed")                          \
	X(AUTH_CACHED, "authentications answered from the cache")              \
	X(AUTH_BUSY, "authentications put off: all helpers busy")              \
	X(COMMANDS, "SMTP commands answered")                                  \
	X(REPLIES_4XX, "temporary refusals sent")                              \
	X(REPLIES_5XX, "permanent refusals sent")                              \
	X(MESSAGES_ACCEPTED, "messages made durable and acknowledged")         \
	X(MESSAGES_REFUSED, "messages refused after their data")               \
	X(MESSAGES_ABANDONED, "messages broken off by the peer")               \
	X(RECIPIENTS_ACCEPTED, "recipients of acknowledged messages")          \
	X(BODY_BYTES, "bytes of acknowledged messages")                        \
	X(BODY_BYTES_SPLICED, "bytes of bodies received inside the kernel")    \
	X(REJECT_BARE_LF, "messages refused for a bare LF")                    \
	X(REJECT_BARE_CR, "messages refused for a bare CR")                    \
	X(REJECT_NUL, "messages refused for a NUL")                            \
	X(REJECT_LONG_LINE, "messages refused for a text line over the limit") \
	X(REJECT_TOO_BIG, "messages refused for their size")                   \
	X(REJECT_LOOP, "messages refused for too many Received fields")        \
	X(SPOOL_BATCHES, "group commits")                                      \
	X(SPOOL_SYNCS, "sync calls for them")                                  \
	X(SPOOL_WRITES, "write calls for them")                                \
	X(SPOOL_BYTES, "bytes appended to segments")                           \
	X(SPOOL_FILES, "messages large enough for a file of their own")        \
	X(SPOOL_ERRORS, "spool operations that failed")                        \
	X(QUEUE_NOW, "messages waiting for delivery")                          \
	X(QUEUE_DEFERRED_NOW, "of these, waiting for a retry")                 \
	X(QUEUE_HELD_NOW, "messages held: refused for good by the next hop")   \
	X(DELIVERIES_OK, "messages delivered")                                 \
	X(DELIVERIES_DEFERRED, "delivery attempts put off")                    \
	X(DELIVERIES_FAILED, "deliveries refused for good")                    \
	X(NEXT_HOPS_KERNEL, "TLS connections to next hops: kernel records")    \
	X(NEXT_HOPS_NIC, "of these: records made by the card")                 \
	X(NEXT_HOPS_USERSPACE,                                                 \
	  "TLS connections to next hops: userspace records")                   \
	X(NEXT_HOP_BYTES_COPIED, "bytes of bodies sent through the relay")     \
	X(NEXT_HOP_BYTES_SPLICED, "bytes of bodies sent inside the kernel")    \
	X(SEGMENTS_NOW, "segments on disk")                                    \
	X(SEGMENTS_RECLAIMED, "segments removed, all their messages gone")     \
	X(OFFENCES_LOST, "failures not told to the shield: it was busy")       \
	X(LOG_LINES_LOST, "log lines lost to a slow reader")                   \
	X(RING_ENTERS, "io_uring_enter calls")                                 \
	X(RECV_STARVED, "receives put off: no buffer free")                    \
	X(RECV_CROWDED, "receives of bodies that found no large buffer free")

enum metric {
#define METRIC_ENUM(name, help) METRIC_##name,
	METRIC_TABLE(METRIC_ENUM)
#undef METRIC_ENUM
		METRIC_N
};

struct metric_block {
	_Atomic uint64_t value[METRIC_N];
};

/* One writer per block: a load and a store, no locked instruction. */
static inline void metric_add(struct metric_block *b, enum metric m, uint64_t n)
{
	uint64_t old = atomic_load_explicit(&b->value[m], memory_order_relaxed);

	atomic_store_explicit(&b->value[m], old + n, memory_order_relaxed);
}

static inline void metric_sub(struct metric_block *b, enum metric m, uint64_t n)
{
	metric_add(b, m, 0 - n);
}

static inline void metric_set(struct metric_block *b, enum metric m,
			      uint64_t value)
{
	atomic_store_explicit(&b->value[m], value, memory_order_relaxed);
}

static inline uint64_t metric_read(const struct metric_block *b, enum metric m)
{
	return atomic_load_explicit(&b->value[m], memory_order_relaxed);
}

/* Name ("MESSAGES_ACCEPTED") and one-line help of a counter. */
const char *metric_name(enum metric m);
const char *metric_help(enum metric m);

/* The name in lower case, as documents have it. */
#define METRIC_NAME_BYTES 64
void metric_lower_name(enum metric m, char ret[METRIC_NAME_BYTES]);

/* True when it may go down, as its name tells. */
bool metric_is_gauge(enum metric m);
