// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * Drops SYNs before any work is done for them: those of denied prefixes, and
 * those of a source that sends them too fast. A socket filter on listeners; it
 * runs for each of their packets, so all but SYNs pass at once.
 *
 * Addresses are read at the IP header, which is found alike in a packet on its
 * way to a listener and in a test run. A header that is not understood counts
 * as a SYN: nobody hides behind extension headers.
 */
#include <linux/bpf.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <stdbool.h>
#include <stddef.h>

#include "shared.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct shared_shield);
} settings SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, SHARED_DENIED);
	__type(key, struct shared_source_key);
	__type(value, __u32);
} allowed SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, SHARED_DENIED);
	__type(key, struct shared_source_key);
	__type(value, struct shared_denial);
} denied SEC(".maps");

/* When the next SYN of a source would be in time, if it came evenly. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, SHARED_METERED);
	__type(key, struct shared_source_key);
	__type(value, __u64);
} meters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SHARED_VERDICTS);
	__type(key, __u32);
	__type(value, __u64);
} verdicts SEC(".maps");

#define DROP         0
#define PASS         -1
#define SYN          0x02
#define ACK          0x10
#define FLAGS_OFFSET 13
#define HEADERS_MAX  4 /* extensions that are followed */

static __always_inline bool load(struct __sk_buff *skb, __u32 at, void *to,
				 __u32 len)
{
	return !bpf_skb_load_bytes_relative(skb, at, to, len,
					    BPF_HDR_START_NET);
}

static __always_inline bool is_syn(struct __sk_buff *skb, __u32 tcp)
{
	__u8 flags;

	return !load(skb, tcp + FLAGS_OFFSET, &flags, 1) ||
	       (flags & (SYN | ACK)) == SYN;
}

/* Takes the source; true for a SYN. */
static __always_inline bool look_at_four(struct __sk_buff *skb,
					 struct shared_source_key *source)
{
	struct iphdr ip;

	source->family = SHARED_V4;
	if (!load(skb, 0, &ip, sizeof(ip)))
		return true;
	__builtin_memcpy(source->address, &ip.saddr, 4);
	return is_syn(skb, (__u32)ip.ihl * 4);
}

static __always_inline bool look_at_six(struct __sk_buff *skb,
					struct shared_source_key *source)
{
	__u32 at = sizeof(struct ipv6hdr);
	struct ipv6hdr ip;
	__u8 next;

	source->family = SHARED_V6;
	if (!load(skb, 0, &ip, sizeof(ip)))
		return true;
	__builtin_memcpy(source->address, &ip.saddr, 16);
	next = ip.nexthdr;
#pragma unroll
	for (int i = 0; i < HEADERS_MAX; i++) {
		__u8 head[2];

		if (next == IPPROTO_TCP)
			break;
		if (!load(skb, at, head, sizeof(head)))
			return true;
		next = head[0];
		at += 8 * (head[1] + 1);
	}
	return next != IPPROTO_TCP || is_syn(skb, at);
}

/* The length of what denies it, which a shorter prefix may outlast. */
static __always_inline bool is_denied(struct shared_source_key *source,
				      __u64 now)
{
#pragma unroll
	for (int i = 0; i < 2; i++) {
		struct shared_denial *d = bpf_map_lookup_elem(&denied, source);

		if (!d)
			return false;
		if (!d->until_ns || d->until_ns > now)
			return true;
		if (!d->bits)
			return false;
		source->bits = SHARED_SOURCE_BITS + d->bits - 1;
	}
	return false;
}

static __always_inline void cut(struct shared_source_key *source,
				const struct shared_shield *shield)
{
	__u32 *words = (__u32 *)source->address;

	source->bits = 0; /* one key for all of a prefix */
	if (source->family == SHARED_V4) {
		words[0] &= shield->mask_ipv4;
		return;
	}
	words[0] &= shield->mask_ipv6[0];
	words[1] &= shield->mask_ipv6[1];
	words[2] &= shield->mask_ipv6[2];
	words[3] &= shield->mask_ipv6[3];
}

/* GCRA: a token bucket that needs one number. */
static __always_inline bool is_too_fast(const struct shared_shield *shield,
					struct shared_source_key *source,
					__u64 now)
{
	__u64 due = now;
	__u64 *stored;

	if (!shield->interval_ns)
		return false;
	cut(source, shield);
	stored = bpf_map_lookup_elem(&meters, source);
	if (stored && *stored > now)
		due = *stored;
	if (due - now > shield->burst_ns)
		return true;
	due += shield->interval_ns;
	bpf_map_update_elem(&meters, source, &due, BPF_ANY);
	return false;
}

static __always_inline int judge(enum shared_verdict verdict)
{
	__u32 key = verdict;
	__u64 *count = bpf_map_lookup_elem(&verdicts, &key);

	if (count)
		++*count;
	return verdict == SHARED_PASSED || verdict == SHARED_ALLOWED ? PASS :
								       DROP;
}

SEC("socket")
int shield(struct __sk_buff *skb)
{
	struct shared_source_key source = {};
	struct shared_shield *now_set;
	__u32 zero = 0;
	__u64 now;
	__u8 version = 0;

	if (!load(skb, 0, &version, 1))
		return PASS;
	if (!(version >> 4 == 4 ? look_at_four(skb, &source) :
				  look_at_six(skb, &source)))
		return PASS;
	now_set = bpf_map_lookup_elem(&settings, &zero);
	if (!now_set)
		return PASS;
	now = bpf_ktime_get_ns();
	source.bits = SHARED_SOURCE_BITS + 8 * SHARED_BYTES_MAX;
	if (bpf_map_lookup_elem(&allowed, &source))
		return judge(SHARED_ALLOWED);
	if (is_denied(&source, now))
		return judge(SHARED_DROPPED_DENIED);
	if (is_too_fast(now_set, &source, now))
		return judge(SHARED_DROPPED_METERED);
	return judge(SHARED_PASSED);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
