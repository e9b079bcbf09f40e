#pragma once

/*
 * bpf: whether programs that steer connections to workers and meter them can be
 * loaded: maps and the smallest programs of the kinds wanted are made and
 * dropped at once, nothing is attached. Without them the kernel spreads
 * connections in its own way (SO_REUSEPORT).
 */

#include "doctor/finding.h"

enum bpf_thing {
	BPF_THING_SOCKMAP,   /* map of listeners */
	BPF_THING_LPM_TRIE,  /* map of prefixes */
	BPF_THING_SK_LOOKUP, /* program that chooses the listener */
	BPF_THING_REUSEPORT, /* the same, one of a group */
	BPF_THING_FILTER,    /* program that drops and meters */
	BPF_THINGS
};

struct bpf_facts {
	bool has_cap_bpf; /* or CAP_SYS_ADMIN, which holds it */
	bool has_cap_net_admin;
	bool has_cap_perfmon; /* likewise; the verifier of Linux 6.1 wants it */
	char unprivileged[16];   /* kernel.unprivileged_bpf_disabled, or "" */
	int results[BPF_THINGS]; /* 0 or a negative errno */
};

void bpf_look(const char *root, struct bpf_facts *ret);
void bpf_judge(const struct bpf_facts *b, struct findings *f);
