#include "doctor/bpf.h"

#include "doctor/reading.h"

#include <errno.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

#define AREA     "bpf"
#define ATTEMPTS 5

struct thing {
	const char *subject;
	enum bpf_map_type map;
	enum bpf_prog_type program; /* else it is a map */
	enum bpf_attach_type attach;
	uint32_t key_size;
	uint32_t map_flags;
	const char *means; /* when it fails */
};

static const char unsteered[] =
	"connections are spread by plain SO_REUSEPORT, not by lane";
static const char unlooked[] =
	"connections are spread by lane only within the group of an address, "
	"and ranges of addresses cannot be served";
static const char unshielded[] = "the shield denies and meters nobody";

static const struct thing things[BPF_THINGS] = {
	[BPF_THING_SOCKMAP] = { "SOCKMAP", .map = BPF_MAP_TYPE_SOCKMAP,
				.key_size = 4, .means = unlooked },
	[BPF_THING_LPM_TRIE] = { "LPM_TRIE", .map = BPF_MAP_TYPE_LPM_TRIE,
				 .key_size = 8, .map_flags = BPF_F_NO_PREALLOC,
				 .means = unshielded },
	[BPF_THING_SK_LOOKUP] = { "sk_lookup program",
				  .program = BPF_PROG_TYPE_SK_LOOKUP,
				  .attach = BPF_SK_LOOKUP, .means = unlooked },
	[BPF_THING_REUSEPORT] = { "sk_reuseport program",
				  .program = BPF_PROG_TYPE_SK_REUSEPORT,
				  .attach = BPF_SK_REUSEPORT_SELECT,
				  .means = unsteered },
	[BPF_THING_FILTER] = { "socket filter",
			       .program = BPF_PROG_TYPE_SOCKET_FILTER,
			       .means = unshielded },
};

/* Looking */

/*
 * Makes something and closes it again at once. The verifier gives up with
 * EAGAIN when a signal is pending, and the end of an io_uring looks like one.
 */
static int try_bpf(enum bpf_cmd command, union bpf_attr *attr)
{
	long fd = -1;

	for (int i = 0; i < ATTEMPTS; i++) {
		fd = syscall(SYS_bpf, command, attr, sizeof(*attr));
		if (fd >= 0 || errno != EAGAIN)
			break;
	}
	if (fd < 0)
		return -errno;
	(void)close((int)fd);
	return 0;
}

static int try_map(const struct thing *thing)
{
	union bpf_attr attr = { 0 };

	attr.map_type = thing->map;
	attr.key_size = thing->key_size;
	attr.value_size = 4;
	attr.max_entries = 1;
	attr.map_flags = thing->map_flags;
	return try_bpf(BPF_MAP_CREATE, &attr);
}

/* return 1: to pass, for a program of each of these kinds. */
static int try_program(const struct thing *thing)
{
	static const struct bpf_insn code[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K,
		  .dst_reg = BPF_REG_0,
		  .imm = 1 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	static const char license[] = "GPL";
	union bpf_attr attr = { 0 };

	attr.prog_type = thing->program;
	attr.expected_attach_type = thing->attach;
	attr.insns = (uintptr_t)code;
	attr.insn_cnt = sizeof(code) / sizeof(*code);
	attr.license = (uintptr_t)license;
	return try_bpf(BPF_PROG_LOAD, &attr);
}

static bool has_capability(const struct __user_cap_data_struct *data,
			   unsigned int capability)
{
	return data[capability / 32].effective >> capability % 32 & 1;
}

static void look_at_capabilities(struct bpf_facts *b)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { 0 };

	if (syscall(SYS_capget, &header, data))
		return;
	b->has_cap_bpf = has_capability(data, CAP_BPF) ||
			 has_capability(data, CAP_SYS_ADMIN);
	b->has_cap_net_admin = has_capability(data, CAP_NET_ADMIN);
	b->has_cap_perfmon = has_capability(data, CAP_PERFMON) ||
			     has_capability(data, CAP_SYS_ADMIN);
}

void bpf_look(const char *root, struct bpf_facts *ret)
{
	*ret = (struct bpf_facts){ 0 };
	look_at_capabilities(ret);
	(void)reading_line(root, "/proc/sys/kernel/unprivileged_bpf_disabled",
			   ret->unprivileged, sizeof(ret->unprivileged));
	for (enum bpf_thing i = 0; i < BPF_THINGS; i++)
		ret->results[i] = things[i].program ? try_program(&things[i]) :
						      try_map(&things[i]);
}

/* Judging */

static const char *advise(int error)
{
	switch (-error) {
	case EPERM:
		return "start the daemon as root, or with CAP_BPF and "
		       "CAP_NET_ADMIN; in a container, grant them";
	case ENOSYS: return "run a kernel with CONFIG_BPF_SYSCALL";
	case EINVAL:
		return "run a kernel with CONFIG_BPF_SYSCALL, CONFIG_INET and "
		       "CONFIG_NET, Linux 5.9 or later";
	case ENOMEM: return "raise RLIMIT_MEMLOCK";
	default: return "see the kernel's log";
	}
}

static void judge_capabilities(const struct bpf_facts *b, struct findings *f)
{
	struct finding finding = {
		.area = AREA,
		.subject = "capabilities",
		.found = findings_text(
			f, "CAP_BPF %s, CAP_NET_ADMIN %s, CAP_PERFMON %s",
			b->has_cap_bpf ? "yes" : "no",
			b->has_cap_net_admin ? "yes" : "no",
			b->has_cap_perfmon ? "yes" : "no"),
	};

	if (!b->has_cap_bpf || !b->has_cap_net_admin || !b->has_cap_perfmon) {
		finding.means = "what follows is what this user may do; the "
				"daemon, started as root, may more";
		finding.advice = "run the doctor as root";
		finding.grade = FINDING_NOTE;
	}
	findings_add(f, &finding);
}

static void judge_unprivileged(const struct bpf_facts *b, struct findings *f)
{
	struct finding finding = {
		.area = AREA,
		.subject = "kernel.unprivileged_bpf_disabled",
		.found = findings_text(f, "%s", b->unprivileged),
	};

	if (!strcmp(b->unprivileged, "0")) {
		finding.means = "any user may load programs; the daemon does "
				"not need that";
		finding.advice = "sysctl kernel.unprivileged_bpf_disabled=1";
		finding.grade = FINDING_NOTE;
	}
	findings_add(f, &finding);
}

static void judge_thing(const struct thing *thing, int result,
			struct findings *f)
{
	if (!result)
		FINDING(f, .area = AREA, .subject = thing->subject,
			.found = "works");
	else
		FINDING(f, .area = AREA, .subject = thing->subject,
			.found = finding_errno(f, result),
			.means = thing->means, .advice = advise(result),
			.grade = FINDING_LOSS);
}

void bpf_judge(const struct bpf_facts *b, struct findings *f)
{
	judge_capabilities(b, f);
	if (*b->unprivileged)
		judge_unprivileged(b, f);
	for (enum bpf_thing i = 0; i < BPF_THINGS; i++)
		judge_thing(&things[i], b->results[i], f);
}
