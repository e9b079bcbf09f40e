/*
 * A connection may come at any moment, so maps are filled from the far end: a
 * lane before the sources and services that name it, a listener before its
 * service. Each single update is seen whole or not at all, but for a lane's
 * table, of which each byte is valid by itself.
 */
#include "steer/steer.h"

#include "steer/spread.h"
#include "steer/steer_inside.h"

#include "base/must.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#ifndef SO_ATTACH_REUSEPORT_EBPF
#define SO_ATTACH_REUSEPORT_EBPF 52
#endif

/* Keys */

static struct shared_source_key source_key(const struct prefix *p)
{
	struct shared_source_key key = { .bits = SHARED_SOURCE_BITS + p->bits,
					 .family = p->family };

	memcpy(key.address, p->address, sizeof(key.address));
	return key;
}

static struct prefix source_prefix(const struct shared_source_key *key)
{
	struct prefix p = { .family = key->family,
			    .bits = (uint8_t)(key->bits - SHARED_SOURCE_BITS) };

	memcpy(p.address, key->address, sizeof(p.address));
	return p;
}

static struct shared_service_key service_key(const struct steer_service *v)
{
	struct shared_service_key key = {
		.bits = SHARED_SERVICE_BITS + v->local.bits,
		.family = v->local.family,
		.port = htons(v->port),
	};

	memcpy(key.address, v->local.address, sizeof(key.address));
	return key;
}

/* Lanes */

static bool cpu_is_of(const struct steer_lane *plan, uint32_t worker,
		      uint32_t cpu)
{
	return plan->cpus_n && plan->cpus[worker % plan->cpus_n] == cpu;
}

/* Where the choice goes by CPU, a worker's own CPU chooses it. */
static void spread_by_cpu(const struct steer_lane *plan, const uint8_t *weights,
			  uint8_t *table)
{
	for (uint32_t cpu = 0; cpu < SHARED_SPREAD; cpu++)
		for (uint32_t w = plan->workers_n; w-- > 0;)
			if (weights[w] && cpu_is_of(plan, w, cpu))
				table[cpu] = (uint8_t)w;
}

/* Computes the table of a lane, from weights and who is down, and writes it. */
static int write_lane(struct steer *s, uint32_t i)
{
	const struct steer_lane *plan = &s->plan[i];
	struct shared_lane *lane = &s->lanes[i];
	uint8_t weights[SHARED_WORKERS] = { 0 };

	for (uint32_t w = 0; w < lane->workers_n; w++)
		weights[w] = s->down[lane->first + w] ? 0 : lane->weights[w];
	spread_fill(weights, lane->workers_n, lane->spread, SHARED_SPREAD);
	if (lane->choose == SHARED_BY_CPU)
		spread_by_cpu(plan, weights, lane->spread);
	return bpf_map_update_elem(s->maps[STEER_MAP_LANES], &i, lane, BPF_ANY);
}

/* Weights are the operator's: an earlier daemon's lane of that name has them. */
static void take_weights(struct shared_lane *lane,
			 const struct shared_lane *old)
{
	memset(lane->weights, STEER_WEIGHT_MOST, sizeof(lane->weights));
	for (uint32_t i = 0; i < SHARED_LANES; i++)
		if (!strncmp(old[i].name, lane->name, SHARED_NAME_BYTES))
			memcpy(lane->weights, old[i].weights,
			       old[i].workers_n < SHARED_WORKERS ?
				       old[i].workers_n :
				       SHARED_WORKERS);
}

static int apply_lanes(struct steer *s, const struct steer_plan *plan,
		       const struct shared_lane *old)
{
	int result = 0;

	s->lanes_n = plan->lanes_n;
	for (uint32_t i = 0; i < plan->lanes_n && !result; i++) {
		const struct steer_lane *p = &plan->lanes[i];
		struct shared_lane *lane = &s->lanes[i];

		MUST(p->workers_n && p->first + p->workers_n <= SHARED_WORKERS);
		*lane = (struct shared_lane){ .first = p->first,
					      .workers_n = p->workers_n,
					      .choose = p->choose };
		(void)snprintf(lane->name, sizeof(lane->name), "%s", p->name);
		take_weights(lane, old);
		s->plan[i] = *p;
		s->plan[i].name = NULL;
		result = write_lane(s, i);
	}
	return result;
}

/* Nobody shall find an earlier daemon's lane where there is none now. */
static void empty_lanes_above(struct steer *s)
{
	static const struct shared_lane none;

	for (uint32_t i = s->lanes_n; i < SHARED_LANES; i++)
		(void)bpf_map_update_elem(s->maps[STEER_MAP_LANES], &i, &none,
					  BPF_ANY);
}

static uint32_t lane_named(const struct steer *s, const char *name)
{
	for (uint32_t i = 0; i < s->lanes_n; i++)
		if (!strncmp(s->lanes[i].name, name, SHARED_NAME_BYTES))
			return i;
	return UINT32_MAX;
}

/* Sources */

/* Copies all keys of the map; the caller frees them. */
static int all_sources(const struct steer *s, struct shared_source_key **ret,
		       uint32_t *ret_n)
{
	struct shared_source_key *keys = malloc(SHARED_SOURCES * sizeof(*keys));
	struct shared_source_key *last = NULL;
	uint32_t n = 0;

	if (!keys)
		return -ENOMEM;
	while (n < SHARED_SOURCES &&
	       !bpf_map_get_next_key(s->maps[STEER_MAP_SOURCES], last,
				     &keys[n]))
		last = &keys[n++];
	*ret = keys;
	*ret_n = n;
	return 0;
}

static int put_source(struct steer *s, const struct steer_source *source)
{
	struct shared_source_key key = source_key(&source->prefix);
	struct shared_source value = {
		.lane = source->lane,
		.origin = source->assigned ? SHARED_ASSIGNED :
					     SHARED_CONFIGURED,
	};

	return bpf_map_update_elem(s->maps[STEER_MAP_SOURCES], &key, &value,
				   BPF_ANY);
}

static bool get_source(const struct steer *s, struct shared_source_key *key,
		       struct shared_source *ret)
{
	return !bpf_map_lookup_elem(s->maps[STEER_MAP_SOURCES], key, ret);
}

static bool is_planned(const struct steer_plan *plan, const struct prefix *p)
{
	for (uint32_t i = 0; i < plan->sources_n; i++)
		if (!memcmp(&plan->sources[i].prefix, p, sizeof(*p)))
			return true;
	return false;
}

/*
 * What becomes of a source that an earlier daemon left: its lane may have
 * another number now, or be gone.
 */
static void renumber(struct steer *s, struct shared_source_key *key,
		     const struct shared_lane *old, struct steer_report *report)
{
	struct shared_source value;
	uint32_t lane = UINT32_MAX;

	if (!get_source(s, key, &value) || value.origin != SHARED_ASSIGNED)
		return;
	if (value.lane < SHARED_LANES && *old[value.lane].name)
		lane = lane_named(s, old[value.lane].name);
	if (lane == UINT32_MAX) {
		report->sources_dropped++;
		(void)bpf_map_delete_elem(s->maps[STEER_MAP_SOURCES], key);
		return;
	}
	value.lane = lane;
	(void)bpf_map_update_elem(s->maps[STEER_MAP_SOURCES], key, &value,
				  BPF_EXIST);
}

static void drop_unplanned(struct steer *s, struct shared_source_key *key,
			   const struct steer_plan *plan)
{
	struct prefix p = source_prefix(key);
	struct shared_source value;

	if (get_source(s, key, &value) && value.origin == SHARED_CONFIGURED &&
	    !is_planned(plan, &p))
		(void)bpf_map_delete_elem(s->maps[STEER_MAP_SOURCES], key);
}

static int apply_sources(struct steer *s, const struct steer_plan *plan,
			 const struct shared_lane *old,
			 struct steer_report *report)
{
	struct shared_source_key *keys;
	uint32_t n;
	int result = all_sources(s, &keys, &n);

	if (result)
		return result;
	for (uint32_t i = 0; i < n; i++) {
		if (!s->started)
			renumber(s, &keys[i], old, report);
		drop_unplanned(s, &keys[i], plan);
	}
	free(keys);
	for (uint32_t i = 0; i < plan->sources_n && !result; i++) {
		struct shared_source_key key =
			source_key(&plan->sources[i].prefix);
		struct shared_source value;

		if (get_source(s, &key, &value) &&
		    value.origin == SHARED_ASSIGNED)
			continue; /* the operator's word */
		result = put_source(s, &plan->sources[i]);
	}
	return result;
}

/* Services and listeners */

static bool is_wanted(const struct steer_plan *plan,
		      const struct shared_service_key *key)
{
	for (uint32_t i = 0; i < plan->services_n; i++) {
		struct shared_service_key wanted =
			service_key(&plan->services[i]);

		if (!memcmp(&wanted, key, sizeof(wanted)))
			return true;
	}
	return false;
}

static int apply_services(struct steer *s, const struct steer_plan *plan)
{
	struct shared_service_key keys[SHARED_SERVICES];
	struct shared_service_key *last = NULL;
	const int map = s->maps[STEER_MAP_SERVICES];
	uint32_t n = 0;
	int result = 0;

	while (n < SHARED_SERVICES &&
	       !bpf_map_get_next_key(map, last, &keys[n]))
		last = &keys[n++];
	for (uint32_t i = 0; i < n; i++)
		if (!is_wanted(plan, &keys[i]))
			(void)bpf_map_delete_elem(map, &keys[i]);
	for (uint32_t i = 0; i < plan->services_n && !result; i++) {
		const struct steer_service *v = &plan->services[i];
		struct shared_service_key key = service_key(v);
		struct shared_service value = { .service = v->service,
						.lane = v->lane };

		result = bpf_map_update_elem(map, &key, &value, BPF_ANY);
	}
	return result;
}

/* Maps of sockets are read as cookies. */
static bool has_listener(const struct steer *s, uint32_t key, int fd)
{
	uint64_t there = 0, cookie = 0;
	socklen_t len = sizeof(cookie);

	return !bpf_map_lookup_elem(s->maps[STEER_MAP_LISTENERS], &key,
				    &there) &&
	       !getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len) &&
	       there == cookie;
}

int steer_put_listener(struct steer *s, uint32_t worker, uint32_t service,
		       int fd)
{
	uint32_t key = shared_slot(worker, service);
	uint64_t value = (uint64_t)fd;

	MUST(worker < SHARED_WORKERS && service < SHARED_SERVICES);
	if (s->mode == STEER_PLAIN)
		return 0;
	if (s->mode == STEER_REUSEPORT &&
	    setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_EBPF, &s->program_fd,
		       sizeof(s->program_fd)))
		return -errno;
	if (has_listener(s, key, fd))
		return 0; /* a group takes none twice */
	return bpf_map_update_elem(s->maps[STEER_MAP_LISTENERS], &key, &value,
				   BPF_ANY);
}

/* The whole */

static void forget_counts(struct steer *s)
{
	const int cpus = libbpf_num_possible_cpus();
	struct shared_count *zeros;

	if (cpus <= 0)
		return;
	zeros = calloc((size_t)cpus, sizeof(*zeros));
	if (!zeros)
		return;
	for (uint32_t i = 0; i < SHARED_WORKERS; i++)
		(void)bpf_map_update_elem(s->maps[STEER_MAP_WORKER_COUNTS], &i,
					  zeros, BPF_ANY);
	for (uint32_t i = 0; i < SHARED_LANES; i++)
		(void)bpf_map_update_elem(s->maps[STEER_MAP_LANE_COUNTS], &i,
					  zeros, BPF_ANY);
	free(zeros);
	for (uint32_t i = 0; i < SHARED_WORKERS; i++)
		s->loads[i] = (struct steer_load){ 0 };
}

/*
 * In one update the place of whichever program is attached, as a predecessor's
 * is, or a successor's that did not come up.
 */
static int put_program(const struct steer *s)
{
	return s->mode == STEER_LOOKUP ?
		       bpf_link_update(s->link_fd, s->program_fd, NULL) :
		       0;
}

static int apply(struct steer *s, const struct steer_plan *plan,
		 const struct shared_lane *old, struct steer_report *report)
{
	const struct shared_settings settings = { .version = SHARED_VERSION };
	const uint32_t zero = 0;
	int result = apply_lanes(s, plan, old);

	if (!s->started)
		forget_counts(s);
	if (!result)
		result = apply_sources(s, plan, old, report);
	empty_lanes_above(s);
	if (!result)
		result = bpf_map_update_elem(s->maps[STEER_MAP_SETTINGS], &zero,
					     &settings, BPF_ANY);
	if (!result)
		result = apply_services(s, plan);
	if (!result)
		result = put_program(s);
	s->started = s->started || !result;
	return result;
}

int steer_apply(struct steer *s, const struct steer_plan *plan,
		struct steer_report *report)
{
	struct shared_lane *old;
	int result;

	if (s->mode == STEER_PLAIN)
		return 0;
	old = calloc(SHARED_LANES, sizeof(*old));
	if (!old)
		return -ENOMEM;
	for (uint32_t i = 0; i < SHARED_LANES; i++)
		(void)bpf_map_lookup_elem(s->maps[STEER_MAP_LANES], &i,
					  &old[i]);
	result = apply(s, plan, old, report);
	free(old);
	return result;
}

/* The operator's changes */

int steer_assign(struct steer *s, const struct prefix *prefix, uint32_t lane)
{
	const struct steer_source source = { *prefix, lane, true };

	MUST(lane < SHARED_LANES);
	return s->mode == STEER_PLAIN ? 0 : put_source(s, &source);
}

int steer_release(struct steer *s, const struct prefix *prefix)
{
	struct shared_source_key key = source_key(prefix);
	struct shared_source value;

	if (s->mode == STEER_PLAIN || !get_source(s, &key, &value) ||
	    value.origin != SHARED_ASSIGNED)
		return -ENOENT;
	return bpf_map_delete_elem(s->maps[STEER_MAP_SOURCES], &key);
}

static uint32_t lane_of_worker(const struct steer *s, uint32_t worker)
{
	for (uint32_t i = 0; i < s->lanes_n; i++)
		if (worker >= s->lanes[i].first &&
		    worker < s->lanes[i].first + s->lanes[i].workers_n)
			return i;
	return UINT32_MAX;
}

int steer_weigh(struct steer *s, uint32_t worker, uint8_t weight)
{
	uint32_t lane = lane_of_worker(s, worker);

	if (lane == UINT32_MAX)
		return 0;
	s->lanes[lane].weights[worker - s->lanes[lane].first] = weight;
	return write_lane(s, lane);
}

uint8_t steer_weight(const struct steer *s, uint32_t worker)
{
	uint32_t lane = lane_of_worker(s, worker);

	if (lane == UINT32_MAX)
		return STEER_WEIGHT_MOST;
	return s->lanes[lane].weights[worker - s->lanes[lane].first];
}

int steer_set_down(struct steer *s, uint32_t worker, bool down)
{
	uint32_t lane = lane_of_worker(s, worker);

	if (lane == UINT32_MAX || s->down[worker] == down)
		return 0;
	s->down[worker] = down;
	return write_lane(s, lane);
}

/* Reading */

uint32_t steer_sources(const struct steer *s, struct steer_source *ret,
		       uint32_t max)
{
	struct shared_source_key *keys;
	uint32_t n;

	if (s->mode == STEER_PLAIN || all_sources(s, &keys, &n))
		return 0;
	for (uint32_t i = 0; i < n && i < max; i++) {
		struct shared_source value = { 0 };

		(void)get_source(s, &keys[i], &value);
		ret[i] = (struct steer_source){
			.prefix = source_prefix(&keys[i]),
			.lane = value.lane,
			.assigned = value.origin == SHARED_ASSIGNED,
		};
	}
	free(keys);
	return n;
}

static struct steer_count sum(int map, uint32_t key)
{
	const int cpus = libbpf_num_possible_cpus();
	struct steer_count count = { 0 };
	struct shared_count *each;

	each = cpus > 0 ? calloc((size_t)cpus, sizeof(*each)) : NULL;
	if (each && !bpf_map_lookup_elem(map, &key, each)) {
		for (int i = 0; i < cpus; i++) {
			count.chosen += each[i].chosen;
			count.passed_over += each[i].passed_over;
		}
	}
	free(each);
	return count;
}

struct steer_count steer_worker_count(const struct steer *s, uint32_t worker)
{
	if (s->mode == STEER_PLAIN)
		return (struct steer_count){ 0 };
	return sum(s->maps[STEER_MAP_WORKER_COUNTS], worker);
}

struct steer_count steer_lane_count(const struct steer *s, uint32_t lane)
{
	if (s->mode == STEER_PLAIN)
		return (struct steer_count){ 0 };
	return sum(s->maps[STEER_MAP_LANE_COUNTS], lane);
}
