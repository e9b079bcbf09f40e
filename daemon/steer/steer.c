/*
 * Loading, from the best to the least:
 *
 *   LOOKUP -----> REUSEPORT -----> PLAIN
 *     needs CAP_BPF and      needs CAP_BPF
 *     CAP_NET_ADMIN, Linux 5.9
 *
 * Nothing stays behind when a step fails: the next one loads anew, because one
 * socket cannot be in the maps of both.
 */
#include "steer/steer.h"

#include "steer/steer_inside.h"

#include "base/must.h"
#include "steer/excerpt.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <steer.skel.h>

/* Both sides have the same bounds and the same words. */
_Static_assert(STEER_LANES_MAX == SHARED_LANES, "lanes");
_Static_assert(STEER_WORKERS_MAX == SHARED_WORKERS, "workers");
_Static_assert(STEER_SERVICES_MAX == SHARED_SERVICES, "services");
_Static_assert(STEER_NAME_MAX == SHARED_NAME_BYTES, "names");
_Static_assert(sizeof(struct steer_load) == sizeof(struct shared_load),
	       "loads");
_Static_assert((int)STEER_BY_CPU == SHARED_BY_CPU, "choice by CPU");
_Static_assert((int)STEER_BY_LOAD == SHARED_BY_LOAD, "choice by load");

#define LOADS_BYTES (SHARED_WORKERS * sizeof(struct steer_load))

static struct steer_bpf *open_programs(enum steer_mode mode, char *log)
{
	const struct bpf_object_open_opts o = {
		.sz = sizeof(o),
		.kernel_log_buf = log,
		.kernel_log_size = EXCERPT_LOG_BYTES,
	};
	struct steer_bpf *b = steer_bpf__open_opts(&o);
	bool lookup = mode == STEER_LOOKUP;

	if (!b)
		return NULL;
	(void)bpf_map__set_autocreate(b->maps.listeners, lookup);
	(void)bpf_map__set_autocreate(b->maps.group, !lookup);
	(void)bpf_program__set_autoload(b->progs.steer, lookup);
	(void)bpf_program__set_autoload(b->progs.select, !lookup);
	return b;
}

/* To this process's network namespace, for as long as it lives. */
static int attach(struct steer_bpf *b)
{
	int net = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

	if (net < 0)
		return -errno;
	b->links.steer = bpf_program__attach_netns(b->progs.steer, net);
	if (!b->links.steer) {
		int error = -errno;

		(void)close(net);
		return error;
	}
	(void)close(net);
	return 0;
}

static int map_loads(struct steer *s)
{
	void *p = mmap(NULL, LOADS_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
		       s->maps[STEER_MAP_LOADS], 0);

	if (p == MAP_FAILED)
		return -errno;
	s->loads = p;
	return 0;
}

static void take_descriptors(struct steer *s)
{
	const struct steer_bpf *b = s->programs;
	const bool lookup = s->mode == STEER_LOOKUP;
	struct bpf_map *const maps[STEER_MAPS] = {
		[STEER_MAP_SETTINGS] = b->maps.settings,
		[STEER_MAP_SERVICES] = b->maps.services,
		[STEER_MAP_SOURCES] = b->maps.sources,
		[STEER_MAP_LANES] = b->maps.lanes,
		[STEER_MAP_LOADS] = b->maps.loads,
		[STEER_MAP_WORKER_COUNTS] = b->maps.worker_counts,
		[STEER_MAP_LANE_COUNTS] = b->maps.lane_counts,
		[STEER_MAP_LISTENERS] = lookup ? b->maps.listeners :
						 b->maps.group,
	};

	for (size_t i = 0; i < STEER_MAPS; i++)
		s->maps[i] = bpf_map__fd(maps[i]);
	s->select_fd = lookup ? -1 : bpf_program__fd(b->progs.select);
}

static int load_with_log(struct steer *s, enum steer_mode mode, char *log,
			 struct steer_report *report)
{
	struct steer_bpf *b = open_programs(mode, log);
	int result;

	if (!b)
		return -errno;
	report->pins_replaced |= pins_replace(&s->pins, b->obj, SHARED_VERSION,
					      &report->pins_version);
	result = pins_name(&s->pins, b->obj);
	if (!result)
		result = steer_bpf__load(b);
	if (result)
		excerpt_take(log, report->excerpt, sizeof(report->excerpt));
	s->programs = b;
	s->mode = mode;
	if (!result) {
		take_descriptors(s);
		result = map_loads(s);
	}
	if (!result && mode == STEER_LOOKUP)
		result = attach(b);
	return result;
}

static void unload(struct steer *s)
{
	steer_bpf__destroy(s->programs);
	s->programs = NULL;
	s->mode = STEER_PLAIN;
	s->select_fd = -1;
}

static int load(struct steer *s, enum steer_mode mode,
		struct steer_report *report)
{
	char *log = calloc(1, EXCERPT_LOG_BYTES);
	int result = -ENOMEM;

	if (log)
		result = load_with_log(s, mode, log, report);
	free(log);
	if (!result)
		return 0;
	if (s->loads)
		(void)munmap(s->loads, LOADS_BYTES);
	s->loads = NULL;
	unload(s);
	return result;
}

int steer_open(const struct steer_options *o, struct steer_report *report,
	       struct steer **ret)
{
	struct steer *s = calloc(1, sizeof(*s));

	*report = (struct steer_report){ 0 };
	if (!s)
		return -ENOMEM;
	s->select_fd = -1;
	s->pins.lock_fd = -1;
	(void)libbpf_set_print(NULL); /* the report says it */
	if (o->best != STEER_PLAIN)
		report->pins_error = pins_open(&s->pins, o->pins);
	if (report->pins_error == -EBUSY) {
		free(s);
		return -EBUSY;
	}
	if (o->best == STEER_LOOKUP)
		report->lookup_error = load(s, STEER_LOOKUP, report);
	if (o->best != STEER_PLAIN && !s->programs)
		report->reuseport_error = load(s, STEER_REUSEPORT, report);
	*ret = s;
	return 0;
}

void steer_close(struct steer *s)
{
	if (!s)
		return;
	unload(s);
	pins_close(&s->pins);
	free(s);
}

enum steer_mode steer_mode(const struct steer *s)
{
	return s->mode;
}

const char *steer_mode_name(enum steer_mode mode)
{
	switch (mode) {
	case STEER_PLAIN: return "none";
	case STEER_REUSEPORT: return "sk_reuseport";
	case STEER_LOOKUP: return "sk_lookup";
	}
	return "";
}

struct steer_load *steer_load(const struct steer *s, uint32_t worker)
{
	if (!s->loads)
		return NULL;
	MUST(worker < SHARED_WORKERS);
	return &s->loads[worker];
}
