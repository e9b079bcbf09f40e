// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* Counts the packets it sees; drops them when told so. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

/* 0: packets seen; 1: whether to drop; 2: the destination port seen last. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 3);
	__type(key, __u32);
	__type(value, __u32);
} state SEC(".maps");

SEC("socket")
int filter(struct __sk_buff *skb)
{
	__u32 zero = 0, one = 1, two = 2;
	__u32 *seen = bpf_map_lookup_elem(&state, &zero);
	__u32 *drop = bpf_map_lookup_elem(&state, &one);
	__u32 *port = bpf_map_lookup_elem(&state, &two);
	__u16 word = 0;

	if (!seen || !drop || !port)
		return 0;
	__sync_fetch_and_add(seen, 1);
	if (bpf_skb_load_bytes(skb, 2, &word, sizeof(word)) == 0)
		*port = __builtin_bswap16(word);
	return *drop ? 0 : -1;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
