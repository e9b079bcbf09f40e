// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * What steering is made of: a lane from an LPM map, a worker from a table of
 * that lane at an index that only the run knows, listeners until one is there,
 * with the loop unrolled or not.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define SPREAD 128
#define TRIES  16
#define NOBODY 63

struct lane {
	__u32 first;
	__u32 workers_n;
	__u8 spread[SPREAD];
};

struct address {
	__u32 bits;
	__u8 bytes[4];
};

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 8);
	__type(key, struct address);
	__type(value, __u32);
} services SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 8);
	__type(key, __u32);
	__type(value, struct lane);
} lanes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, __u64);
} counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_SOCKMAP);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, __u64);
} listeners SEC(".maps");

static __always_inline struct lane *lane_of(__u32 address)
{
	struct address key = { .bits = 32 };
	__u32 *index;

	__builtin_memcpy(key.bytes, &address, sizeof(key.bytes));
	index = bpf_map_lookup_elem(&services, &key);
	return index ? bpf_map_lookup_elem(&lanes, index) : NULL;
}

static __always_inline __u32 chosen(const struct lane *lane)
{
	return lane->spread[bpf_get_prandom_u32() % SPREAD];
}

static __always_inline __u32 next(const struct lane *lane, __u32 worker)
{
	return worker >= lane->workers_n ? worker - lane->workers_n : worker;
}

/* Not inlined: the verifier looks at it once, by itself. */
__noinline int count(__u32 worker)
{
	__u64 *seen = bpf_map_lookup_elem(&counts, &worker);

	if (seen)
		++*seen;
	return 0;
}

/* 0: it took the connection. */
static __always_inline long ask(struct bpf_sk_lookup *ctx, __u32 key)
{
	struct bpf_sock *sk = bpf_map_lookup_elem(&listeners, &key);
	long result;

	if (!sk)
		return -1;
	result = bpf_sk_assign(ctx, sk, BPF_SK_LOOKUP_F_NO_REUSEPORT);
	bpf_sk_release(sk);
	return result;
}

SEC("sk_lookup")
int lookup(struct bpf_sk_lookup *ctx)
{
	struct lane *lane = lane_of(ctx->local_ip4);
	__u32 worker;

	if (!lane)
		return SK_PASS;
	worker = chosen(lane);
#pragma unroll
	for (__u32 i = 0; i < TRIES; i++) {
		if (i >= lane->workers_n)
			break;
		count(i);
		if (!ask(ctx, lane->first + next(lane, worker + i)))
			return SK_PASS;
	}
	count(NOBODY);
	return SK_PASS;
}

SEC("sk_lookup")
int lookup_loop(struct bpf_sk_lookup *ctx)
{
	struct lane *lane = lane_of(ctx->local_ip4);
	__u32 worker;

	if (!lane)
		return SK_PASS;
	worker = chosen(lane);
#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < TRIES; i++) {
		if (i >= lane->workers_n)
			break;
		count(i);
		if (!ask(ctx, lane->first + next(lane, worker + i)))
			return SK_PASS;
	}
	count(NOBODY);
	return SK_PASS;
}

SEC("sk_reuseport")
int choose(struct sk_reuseport_md *ctx)
{
	struct lane *lane = lane_of(ctx->hash);
	__u32 worker;

	if (!lane)
		return SK_PASS;
	worker = chosen(lane);
	count(next(lane, worker));
	return SK_PASS;
}

SEC("sk_reuseport")
int choose_loop(struct sk_reuseport_md *ctx)
{
	struct lane *lane = lane_of(ctx->hash);
	__u32 worker;

	if (!lane)
		return SK_PASS;
	worker = chosen(lane);
#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < TRIES; i++) {
		if (i >= lane->workers_n)
			break;
		count(next(lane, worker + i));
	}
	return SK_PASS;
}

SEC("socket")
int filter(struct __sk_buff *skb)
{
	__u32 source = 0;
	struct lane *lane;

	if (bpf_skb_load_bytes_relative(skb, 12, &source, sizeof(source),
					BPF_HDR_START_NET))
		return -1;
	lane = lane_of(source);
	return lane ? 0 : -1;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
