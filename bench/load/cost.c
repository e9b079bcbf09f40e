#include "load/cost.h"

#include "load/processes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

bool cost_is_wanted(const struct load_options *o)
{
	return o->cgroup || o->pids.n;
}

const char *cost_source(const struct load_options *o)
{
	return o->cgroup ? "cgroup" : "pids";
}

/* -- a control group ---------------------------------------------------------- */

static int read_group_cpu(const char *group, struct cost_reading *ret)
{
	char path[PROCESSES_PATH_MAX], text[4096];
	ssize_t len;

	(void)snprintf(path, sizeof(path), "%s/cpu.stat", group);
	len = processes_read_file(path, text, sizeof(text));
	if (len < 0)
		return (int)len;
	ret->cpu_us = processes_number_after(text, "usage_usec ");
	ret->user_us = processes_number_after(text, "user_usec ");
	ret->system_us = processes_number_after(text, "system_usec ");
	return 0;
}

/* The root group has no such file. */
static void read_group_memory(const char *group, struct cost_reading *ret)
{
	char path[PROCESSES_PATH_MAX], text[64];

	(void)snprintf(path, sizeof(path), "%s/memory.current", group);
	if (processes_read_file(path, text, sizeof(text)) > 0)
		ret->memory = strtoull(text, NULL, 10);
}

/* -- processes ------------------------------------------------------------------ */

static int find_tree(const struct load_options *o, struct processes *p)
{
	for (uint32_t i = 0; i < o->pids.n; i++) {
		uint64_t pid;
		int result;

		if (!span_to_u64(span_str(o->pids.at[i]), &pid))
			return -EINVAL;
		result = processes_add_tree(p, (pid_t)pid);
		if (result)
			return result;
	}
	return p->n ? 0 : -ESRCH;
}

static void add_cpu(const struct processes *p, struct cost_reading *ret)
{
	uint64_t tick_us = 1000000u / (uint64_t)sysconf(_SC_CLK_TCK);

	for (size_t i = 0; i < p->n; i++) {
		ret->user_us += p->at[i].user_ticks * tick_us;
		ret->system_us += p->at[i].system_ticks * tick_us;
	}
	ret->cpu_us = ret->user_us + ret->system_us;
}

int cost_read_cpu(const struct load_options *o, struct cost_reading *ret)
{
	struct processes p = { 0 };
	int result;

	*ret = (struct cost_reading){ 0 };
	if (o->cgroup)
		return read_group_cpu(o->cgroup, ret);
	result = find_tree(o, &p);
	if (!result)
		add_cpu(&p, ret);
	processes_fini(&p);
	return result;
}

static void add_memory(const struct processes *p, struct cost_reading *ret)
{
	for (size_t i = 0; i < p->n; i++) {
		ret->pss += processes_pss(p->at[i].pid);
		ret->switches += processes_switches(p->at[i].pid);
	}
	ret->processes = (uint32_t)p->n;
}

int cost_read(const struct load_options *o, struct cost_reading *ret)
{
	struct processes p = { 0 };
	int result = cost_read_cpu(o, ret);

	if (result)
		return result;
	result = o->cgroup ? processes_add_group(&p, o->cgroup) :
			     find_tree(o, &p);
	if (!result)
		add_memory(&p, ret);
	if (!result && o->cgroup)
		read_group_memory(o->cgroup, ret);
	processes_fini(&p);
	return result;
}
