/* Which programs like ours the verifier takes, and from whom. */
#include "../probe.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define BIT(capability) (UINT64_C(1) << (capability))

struct who {
	const char *name;
	uint64_t capabilities;
};

static const struct who WHO[] = {
	{ "BPF, NET_ADMIN, PERFMON",
	  BIT(CAP_BPF) | BIT(CAP_NET_ADMIN) | BIT(CAP_PERFMON) },
	{ "BPF, NET_ADMIN", BIT(CAP_BPF) | BIT(CAP_NET_ADMIN) },
	{ "BPF, PERFMON", BIT(CAP_BPF) | BIT(CAP_PERFMON) },
	{ "BPF", BIT(CAP_BPF) },
	{ "NET_ADMIN, PERFMON", BIT(CAP_NET_ADMIN) | BIT(CAP_PERFMON) },
};

static const char *const PROGRAMS[] = { "lookup", "lookup_loop", "choose",
					"choose_loop", "filter" };

static void keep_only(uint64_t capabilities)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[2];

	MUST(syscall(SYS_capget, &header, data) == 0);
	data[0].effective &= (uint32_t)capabilities;
	data[1].effective &= (uint32_t)(capabilities >> 32);
	MUST(syscall(SYS_capset, &header, data) == 0);
}

/* One program, with the maps that it uses. */
static int load(const char *wanted)
{
	struct bpf_object *object = bpf_open("capabilities.bpf.o");
	struct bpf_program *program;

	bpf_object__for_each_program(program, object) bpf_program__set_autoload(
		program, !strcmp(bpf_program__name(program), wanted));
	if (strncmp(wanted, "lookup", 6) != 0)
		MUST(bpf_map__set_autocreate(
			     bpf_object__find_map_by_name(object, "listeners"),
			     false) == 0);
	return -bpf_object__load(object);
}

int main(void)
{
	probe_start();
	if (!getenv("PROBE_LOG")) /* what the verifier says */
		(void)libbpf_set_print(NULL);
	for (size_t p = 0; p < sizeof(PROGRAMS) / sizeof(*PROGRAMS); p++) {
		for (size_t w = 0; w < sizeof(WHO) / sizeof(*WHO); w++) {
			char name[128];
			int status;
			pid_t pid = fork();

			if (!pid) {
				keep_only(WHO[w].capabilities);
				_exit(load(PROGRAMS[p]));
			}
			MUST(waitpid(pid, &status, 0) == pid &&
			     WIFEXITED(status));
			snprintf(name, sizeof(name), "%s by %s", PROGRAMS[p],
				 WHO[w].name);
			say_result(name, -WEXITSTATUS(status));
		}
	}
	return 0;
}
