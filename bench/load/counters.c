/*
 * Syncs are counted where file systems do them, not where processes ask: what
 * io_uring does for a process is no system call.
 */
#include "load/counters.h"

#include "load/processes.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TRACING "/sys/kernel/tracing/events/"

/* False: no such tracepoint, or tracefs is not mounted. */
static bool tracepoint_id(const char *name, uint64_t *ret)
{
	char path[256], text[32];

	(void)snprintf(path, sizeof(path), TRACING "%s/id", name);
	if (processes_read_file(path, text, sizeof(text)) <= 0)
		return false;
	*ret = strtoull(text, NULL, 10);
	return true;
}

/* One counter per processor, as groups are counted. */
static int add(struct counters *c, int group, uint64_t id)
{
	long processors = sysconf(_SC_NPROCESSORS_CONF);

	for (int cpu = 0; cpu < processors && c->n < COUNTERS_MAX; cpu++) {
		struct perf_event_attr attr = { .type = PERF_TYPE_TRACEPOINT,
						.size = sizeof(attr),
						.config = id };
		long fd = syscall(SYS_perf_event_open, &attr, group, cpu, -1,
				  PERF_FLAG_PID_CGROUP | PERF_FLAG_FD_CLOEXEC);

		if (fd < 0 && errno == ENODEV)
			continue; /* a processor that is switched off */
		if (fd < 0)
			return -errno;
		c->fds[c->n++] = (int)fd;
	}
	return 0;
}

static const char *open_all(struct counters *c, int group)
{
	static const char *const syncs[] = { "ext4/ext4_sync_file_enter",
					     "xfs/xfs_file_fsync",
					     "btrfs/btrfs_sync_file",
					     "f2fs/f2fs_sync_file_enter" };
	uint64_t id;
	int result;

	if (!tracepoint_id("raw_syscalls/sys_enter", &id))
		return "the kernel's tracepoints are not to be seen in " TRACING;
	result = add(c, group, id);
	c->calls_n = c->n;
	for (size_t i = 0; !result && i < sizeof(syncs) / sizeof(*syncs); i++)
		if (tracepoint_id(syncs[i], &id))
			result = add(c, group, id);
	return result ? "the kernel lets us not count: be root, with "
			"kernel.perf_event_paranoid at most 2" :
			NULL;
}

void counters_open(struct counters *c, const char *group)
{
	int fd;

	*c = (struct counters){ .missing = "only control groups are counted: "
					   "give --cgroup" };
	if (!group)
		return;
	fd = open(group, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) {
		c->missing = "the control group cannot be opened";
		return;
	}
	c->missing = open_all(c, fd);
	(void)close(fd);
	if (c->missing)
		counters_close(c);
}

void counters_close(struct counters *c)
{
	for (uint32_t i = 0; i < c->n; i++)
		(void)close(c->fds[i]);
	c->n = c->calls_n = 0;
}

struct counters_reading counters_read(const struct counters *c)
{
	struct counters_reading sum = { 0 };

	for (uint32_t i = 0; i < c->n; i++) {
		uint64_t value;

		if (read(c->fds[i], &value, sizeof(value)) != sizeof(value))
			continue;
		if (i < c->calls_n)
			sum.system_calls += value;
		else
			sum.syncs += value;
	}
	return sum;
}
