// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * Steers a new connection to a lane and to a worker's own listener. `steer`
 * (sk_lookup) looks at every connection that comes to the network namespace
 * and lets alone what is none of ours; `select` (sk_reuseport) does the same
 * within the group of one address, where sk_lookup cannot be had.
 *
 *   address and port -> service, lane     services, longest prefix first
 *   source           -> another lane      sources, longest prefix first
 *   lane             -> worker            lanes[].spread, by hash, CPU or load
 *   worker, service  -> listener          listeners or group
 *
 * A worker without a listener is passed over; when SHARED_TRIES of them have
 * none the kernel goes on as if the program were not there.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <stdbool.h>
#include <stddef.h>

#include "shared.h"

/* Not read here: by it another daemon knows these maps, once they are pinned. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct shared_settings);
} settings SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, SHARED_SERVICES);
	__type(key, struct shared_service_key);
	__type(value, struct shared_service);
} services SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, SHARED_SOURCES);
	__type(key, struct shared_source_key);
	__type(value, struct shared_source);
} sources SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SHARED_LANES);
	__type(key, __u32);
	__type(value, struct shared_lane);
} lanes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SHARED_WORKERS);
	__type(key, __u32);
	__type(value, struct shared_load);
} loads SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SHARED_WORKERS);
	__type(key, __u32);
	__type(value, struct shared_count);
} worker_counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SHARED_LANES);
	__type(key, __u32);
	__type(value, struct shared_count);
} lane_counts SEC(".maps");

/* One socket cannot be in both of these: the daemon makes one of them. */
struct {
	__uint(type, BPF_MAP_TYPE_SOCKMAP);
	__uint(max_entries, SHARED_SLOTS);
	__type(key, __u32);
	__type(value, __u64);
} listeners SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_REUSEPORT_SOCKARRAY);
	__uint(max_entries, SHARED_SLOTS);
	__type(key, __u32);
	__type(value, __u64);
} group SEC(".maps");

/* Either end of a connection; the keys are ready for their maps. */
struct ends {
	struct shared_service_key local;
	struct shared_source_key remote;
	__u32 hash;
};

/* What was found out about a connection, as far as the worker. */
struct choice {
	struct shared_lane *lane;
	__u32 lane_index;
	__u32 first_slot; /* of the lane's first worker */
	__u32 worker;     /* within the lane */
};

static __always_inline __u32 mix(__u32 hash, __u32 word)
{
	hash = (hash ^ word) * 0x9e3779b1;
	return hash ^ hash >> 15;
}

static __always_inline __u64 load_of(__u32 worker)
{
	struct shared_load *load = bpf_map_lookup_elem(&loads, &worker);

	return load ? load->sessions : 0;
}

/* The better of two: a flood between two reports does not hit one worker. */
static __always_inline __u32 less_loaded(const struct shared_lane *lane)
{
	__u32 random = bpf_get_prandom_u32();
	__u32 a = lane->spread[random % SHARED_SPREAD];
	/* An odd distance: with two workers always the other one. */
	__u32 b = lane->spread[(random + (random >> 8 | 1)) % SHARED_SPREAD];

	return load_of(lane->first + b) < load_of(lane->first + a) ? b : a;
}

static __always_inline __u32 choose_worker(const struct shared_lane *lane,
					   __u32 hash)
{
	switch (lane->choose) {
	case SHARED_BY_LOAD: return less_loaded(lane);
	case SHARED_BY_CPU:
		return lane->spread[bpf_get_smp_processor_id() % SHARED_SPREAD];
	default: return lane->spread[hash % SHARED_SPREAD];
	}
}

/* False: the connection is none of ours. */
static __always_inline bool choose(const struct ends *ends,
				   struct choice *choice)
{
	struct shared_service *service =
		bpf_map_lookup_elem(&services, &ends->local);
	struct shared_source *source;

	if (!service)
		return false;
	choice->lane_index = service->lane;
	source = bpf_map_lookup_elem(&sources, &ends->remote);
	if (source)
		choice->lane_index = source->lane;
	choice->lane = bpf_map_lookup_elem(&lanes, &choice->lane_index);
	if (!choice->lane)
		return false;
	choice->worker = choose_worker(choice->lane, ends->hash);
	choice->first_slot = shared_slot(choice->lane->first, service->service);
	return true;
}

/* The n-th to be asked, beginning with the one that was chosen. */
static __always_inline __u32 candidate(const struct choice *choice, __u32 n)
{
	__u32 worker = choice->worker + n;

	if (worker >= choice->lane->workers_n)
		worker -= choice->lane->workers_n;
	return worker;
}

/*
 * Without CAP_PERFMON the verifier also follows paths that a processor takes by
 * mistake, and then sees no end to a loop: those below are unrolled. Global
 * functions it looks at once, not anew for each path that leads there.
 */
__noinline int count_worker(__u32 worker, __u32 taken)
{
	struct shared_count *count =
		bpf_map_lookup_elem(&worker_counts, &worker);

	if (count && taken)
		count->chosen++;
	else if (count)
		count->passed_over++;
	return 0;
}

__noinline int count_lane(__u32 lane, __u32 taken)
{
	struct shared_count *count = bpf_map_lookup_elem(&lane_counts, &lane);

	if (count && taken)
		count->chosen++;
	else if (count)
		count->passed_over++;
	return 0;
}

static __always_inline void describe_lookup(const struct bpf_sk_lookup *ctx,
					    struct ends *ends)
{
	__u32 *local = (__u32 *)ends->local.address;
	__u32 *remote = (__u32 *)ends->remote.address;

	ends->local.port = bpf_htons((__u16)ctx->local_port);
	if (ctx->family == 2 /* AF_INET */) {
		ends->local.family = ends->remote.family = SHARED_V4;
		local[0] = ctx->local_ip4;
		remote[0] = ctx->remote_ip4;
	} else {
		ends->local.family = ends->remote.family = SHARED_V6;
		local[0] = ctx->local_ip6[0];
		local[1] = ctx->local_ip6[1];
		local[2] = ctx->local_ip6[2];
		local[3] = ctx->local_ip6[3];
		remote[0] = ctx->remote_ip6[0];
		remote[1] = ctx->remote_ip6[1];
		remote[2] = ctx->remote_ip6[2];
		remote[3] = ctx->remote_ip6[3];
	}
	ends->hash = mix(mix(mix(mix(mix(0, remote[0]), remote[1]), remote[2]),
			     remote[3]),
			 (__u32)ctx->remote_port);
}

static __always_inline void ask_for_all_bits(struct ends *ends)
{
	ends->local.bits = SHARED_SERVICE_BITS + 8 * SHARED_BYTES_MAX;
	ends->remote.bits = SHARED_SOURCE_BITS + 8 * SHARED_BYTES_MAX;
}

SEC("sk_lookup")
int steer(struct bpf_sk_lookup *ctx)
{
	struct ends ends = {};
	struct choice choice = {};

	if (ctx->protocol != IPPROTO_TCP)
		return SK_PASS;
	ask_for_all_bits(&ends);
	describe_lookup(ctx, &ends);
	if (!choose(&ends, &choice))
		return SK_PASS;
#pragma unroll
	for (__u32 i = 0; i < SHARED_TRIES; i++) {
		__u32 worker, key;
		struct bpf_sock *sk;
		long result;

		if (i >= choice.lane->workers_n)
			break;
		worker = candidate(&choice, i);
		key = choice.first_slot + worker * SHARED_SERVICES;
		sk = bpf_map_lookup_elem(&listeners, &key);
		if (!sk) {
			count_worker(choice.lane->first + worker, false);
			continue;
		}
		result = bpf_sk_assign(ctx, sk, BPF_SK_LOOKUP_F_NO_REUSEPORT);
		bpf_sk_release(sk);
		count_worker(choice.lane->first + worker, !result);
		if (result)
			continue;
		count_lane(choice.lane_index, true);
		return SK_PASS;
	}
	count_lane(choice.lane_index, false);
	return SK_PASS;
}

/* The group's port and address are read from the packet, as the source is. */
static __always_inline bool describe_packet(struct sk_reuseport_md *ctx,
					    struct ends *ends)
{
	struct iphdr four;
	struct ipv6hdr six;

	if (bpf_skb_load_bytes(ctx, offsetof(struct tcphdr, dest),
			       &ends->local.port, 2))
		return false;
	ends->hash = ctx->hash;
	if (ctx->eth_protocol == bpf_htons(ETH_P_IP)) {
		if (bpf_skb_load_bytes_relative(ctx, 0, &four, sizeof(four),
						BPF_HDR_START_NET))
			return false;
		ends->local.family = ends->remote.family = SHARED_V4;
		__builtin_memcpy(ends->local.address, &four.daddr, 4);
		__builtin_memcpy(ends->remote.address, &four.saddr, 4);
		return true;
	}
	if (bpf_skb_load_bytes_relative(ctx, 0, &six, sizeof(six),
					BPF_HDR_START_NET))
		return false;
	ends->local.family = ends->remote.family = SHARED_V6;
	__builtin_memcpy(ends->local.address, &six.daddr, 16);
	__builtin_memcpy(ends->remote.address, &six.saddr, 16);
	return true;
}

SEC("sk_reuseport")
int select(struct sk_reuseport_md *ctx)
{
	struct ends ends = {};
	struct choice choice = {};

	if (ctx->ip_protocol != IPPROTO_TCP)
		return SK_PASS;
	ask_for_all_bits(&ends);
	if (!describe_packet(ctx, &ends) || !choose(&ends, &choice))
		return SK_PASS;
#pragma unroll
	for (__u32 i = 0; i < SHARED_TRIES; i++) {
		__u32 worker, key;

		if (i >= choice.lane->workers_n)
			break;
		worker = candidate(&choice, i);
		key = choice.first_slot + worker * SHARED_SERVICES;
		if (bpf_sk_select_reuseport(ctx, &group, &key, 0)) {
			count_worker(choice.lane->first + worker, false);
			continue;
		}
		count_worker(choice.lane->first + worker, true);
		count_lane(choice.lane_index, true);
		return SK_PASS;
	}
	count_lane(choice.lane_index, false);
	return SK_PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
