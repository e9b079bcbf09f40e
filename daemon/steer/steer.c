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
static int attach(struct steer *s)
{
	int net = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

	if (net < 0)
		return -errno;
	s->link_fd = bpf_link_create(s->program_fd, net, BPF_SK_LOOKUP, NULL);
	(void)close(net);
	return s->link_fd < 0 ? s->link_fd : 0;
}

static bool was_passed(const struct steer_options *o)
{
	return o->passed && o->passed->fds.fds_n;
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
	s->program_fd =
		bpf_program__fd(lookup ? b->progs.steer : b->progs.select);
}

/* Counts go on, and its program stays attached until steer_apply. */
static int take_over(struct steer *s, const char *directory,
		     const struct steer_passed *from)
{
	struct pins_passed maps = from->fds;

	if (s->mode == STEER_LOOKUP)
		s->link_fd = maps.fds[--maps.fds_n];
	s->started = true;
	return pins_take(&s->pins, directory, s->programs->obj, SHARED_VERSION,
			 &maps);
}

static int prepare_maps(struct steer *s, const struct steer_options *o,
			struct steer_report *report)
{
	int result = 0;

	if (was_passed(o))
		result = take_over(s, o->pins, o->passed);
	else
		report->pins_replaced |=
			pins_replace(&s->pins, s->programs->obj, SHARED_VERSION,
				     &report->pins_version);
	return result ? result : pins_name(&s->pins, s->programs->obj);
}

static int load_with_log(struct steer *s, const struct steer_options *o,
			 char *log, struct steer_report *report)
{
	int result;

	s->programs = open_programs(s->mode, log);
	if (!s->programs)
		return -errno;
	result = prepare_maps(s, o, report);
	if (result)
		return result;
	result = steer_bpf__load(s->programs);
	if (result)
		excerpt_take(log, report->excerpt, sizeof(report->excerpt));
	if (!result) {
		take_descriptors(s);
		result = map_loads(s);
	}
	if (!result && s->mode == STEER_LOOKUP && s->link_fd < 0)
		result = attach(s);
	return result;
}

static void unload(struct steer *s)
{
	steer_bpf__destroy(s->programs);
	s->programs = NULL;
	s->mode = STEER_PLAIN;
	s->program_fd = -1;
	if (s->link_fd >= 0)
		(void)close(s->link_fd);
	s->link_fd = -1;
}

static int load(struct steer *s, enum steer_mode mode,
		const struct steer_options *o, struct steer_report *report)
{
	char *log = calloc(1, EXCERPT_LOG_BYTES);
	int result = -ENOMEM;

	s->mode = mode;
	if (log)
		result = load_with_log(s, o, log, report);
	free(log);
	if (!result)
		return 0;
	if (s->loads)
		(void)munmap(s->loads, LOADS_BYTES);
	s->loads = NULL;
	unload(s);
	return result;
}

static int begin_anew(struct steer *s, const struct steer_options *o,
		      struct steer_report *report)
{
	if (o->best == STEER_PLAIN)
		return 0;
	report->pins_error = pins_open(&s->pins, o->pins);
	if (report->pins_error == -EBUSY)
		return -EBUSY;
	if (o->best == STEER_LOOKUP)
		report->lookup_error = load(s, STEER_LOOKUP, o, report);
	if (!s->programs)
		report->reuseport_error = load(s, STEER_REUSEPORT, o, report);
	if (!s->programs)
		pins_close(&s->pins);
	return 0;
}

static int go_on(struct steer *s, const struct steer_options *o,
		 struct steer_report *report)
{
	int result = load(s, o->passed->mode, o, report);

	if (o->passed->mode == STEER_LOOKUP)
		report->lookup_error = result;
	else
		report->reuseport_error = result;
	return result;
}

int steer_open(const struct steer_options *o, struct steer_report *report,
	       struct steer **ret)
{
	struct steer *s = calloc(1, sizeof(*s));
	int result;

	*report = (struct steer_report){ 0 };
	if (!s)
		return -ENOMEM;
	s->program_fd = -1;
	s->link_fd = -1;
	s->pins.lock_fd = -1;
	(void)libbpf_set_print(NULL); /* the report says it */
	result = was_passed(o) ? go_on(s, o, report) : begin_anew(s, o, report);
	if (result)
		steer_close(s);
	else
		*ret = s;
	return result;
}

void steer_close(struct steer *s)
{
	if (!s)
		return;
	unload(s);
	pins_close(&s->pins);
	free(s);
}

void steer_pass(const struct steer *s, struct steer_passed *ret)
{
	*ret = (struct steer_passed){ .mode = s->mode };
	if (s->mode == STEER_PLAIN)
		return;
	pins_pass(&s->pins, s->programs->obj, &ret->fds);
	if (s->mode != STEER_LOOKUP)
		return;
	MUST(ret->fds.fds_n < PINS_FDS_MAX);
	ret->fds.fds[ret->fds.fds_n++] = s->link_fd;
}

void steer_let_go(struct steer *s)
{
	unload(s);
	pins_close(&s->pins);
	s->lanes_n = 0;
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
