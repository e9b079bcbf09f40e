// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* Sends connections to `port` to the first listener still in the map. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define LISTENERS 2

struct {
	__uint(type, BPF_MAP_TYPE_SOCKMAP);
	__uint(max_entries, LISTENERS);
	__type(key, __u32);
	__type(value, __u64);
} listeners SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_REUSEPORT_SOCKARRAY);
	__uint(max_entries, LISTENERS);
	__type(key, __u32);
	__type(value, __u64);
} group SEC(".maps");

/* 0: the port to steer; 1: the member of the group to choose. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u32);
} wishes SEC(".maps");

SEC("sk_lookup")
int steer(struct bpf_sk_lookup *ctx)
{
	__u32 wish = 0, *port = bpf_map_lookup_elem(&wishes, &wish);

	if (!port || ctx->local_port != *port)
		return SK_PASS;
	for (__u32 i = 0; i < LISTENERS; i++) {
		__u32 key = i;
		struct bpf_sock *sk = bpf_map_lookup_elem(&listeners, &key);
		long result;

		if (!sk)
			continue;
		result = bpf_sk_assign(ctx, sk, BPF_SK_LOOKUP_F_NO_REUSEPORT);
		bpf_sk_release(sk);
		return result ? SK_DROP : SK_PASS;
	}
	return SK_DROP;
}

SEC("sk_reuseport")
int choose(struct sk_reuseport_md *ctx)
{
	__u32 wish = 1, *key = bpf_map_lookup_elem(&wishes, &wish);

	if (!key)
		return SK_DROP;
	return bpf_sk_select_reuseport(ctx, &group, key, 0) ? SK_DROP : SK_PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
