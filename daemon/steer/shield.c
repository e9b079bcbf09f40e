#include "steer/shield.h"

#include "../../bpf/shared.h"
#include "base/must.h"
#include "steer/excerpt.h"
#include "steer/pins.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <shield.skel.h>

#define NS_PER_MS 1000000ull
#define NS_PER_S  1000000000ull

struct shield {
	struct shield_bpf *program; /* NULL: there is none */
	struct pins pins;
	int settings, allowed, denied, verdicts;
};

/* Loading */

static bool was_passed(const struct shield_options *o)
{
	return o->passed && o->passed->fds_n;
}

static int prepare_maps(struct shield *s, const struct shield_options *o,
			struct shield_report *report)
{
	struct bpf_object *object = s->program->obj;
	int result = 0;

	if (was_passed(o))
		result = pins_take(&s->pins, o->pins, object, SHARED_VERSION,
				   o->passed);
	else
		report->pins_replaced = pins_replace(&s->pins, object,
						     SHARED_VERSION,
						     &report->pins_version);
	return result ? result : pins_name(&s->pins, object);
}

static int load_with_log(struct shield *s, const struct shield_options *options,
			 char *log, struct shield_report *report)
{
	const struct bpf_object_open_opts o = {
		.sz = sizeof(o),
		.kernel_log_buf = log,
		.kernel_log_size = EXCERPT_LOG_BYTES,
	};
	int result;

	s->program = shield_bpf__open_opts(&o);
	if (!s->program)
		return -errno;
	result = prepare_maps(s, options, report);
	if (result)
		return result;
	result = shield_bpf__load(s->program);
	if (result)
		excerpt_take(log, report->excerpt, sizeof(report->excerpt));
	return result;
}

static int load(struct shield *s, const struct shield_options *o,
		struct shield_report *report)
{
	char *log = calloc(1, EXCERPT_LOG_BYTES);
	int result = -ENOMEM;

	if (log)
		result = load_with_log(s, o, log, report);
	free(log);
	if (result) {
		shield_bpf__destroy(s->program);
		s->program = NULL;
		pins_close(&s->pins);
		return result;
	}
	s->settings = bpf_map__fd(s->program->maps.settings);
	s->allowed = bpf_map__fd(s->program->maps.allowed);
	s->denied = bpf_map__fd(s->program->maps.denied);
	s->verdicts = bpf_map__fd(s->program->maps.verdicts);
	return 0;
}

static void forget_counts(const struct shield *s)
{
	int cpus = libbpf_num_possible_cpus();
	uint64_t *zeros = cpus > 0 ? calloc((size_t)cpus, sizeof(*zeros)) :
				     NULL;

	for (uint32_t i = 0; zeros && i < SHARED_VERDICTS; i++)
		(void)bpf_map_update_elem(s->verdicts, &i, zeros, BPF_ANY);
	free(zeros);
}

int shield_open(const struct shield_options *o, struct shield_report *report,
		struct shield **ret)
{
	struct shield *s = calloc(1, sizeof(*s));
	const bool begins = o->wanted && !was_passed(o);

	*report = (struct shield_report){ 0 };
	if (!s)
		return -ENOMEM;
	s->pins.lock_fd = -1;
	(void)libbpf_set_print(NULL); /* the report says it */
	if (begins)
		report->pins_error = pins_open(&s->pins, o->pins);
	if (report->pins_error == -EBUSY) {
		free(s);
		return -EBUSY;
	}
	if (o->wanted)
		report->error = load(s, o, report);
	if (was_passed(o) && report->error) {
		free(s);
		return report->error;
	}
	if (begins && s->program)
		forget_counts(s);
	*ret = s;
	return 0;
}

void shield_pass(const struct shield *s, struct pins_passed *ret)
{
	ret->fds_n = 0;
	if (s->program)
		pins_pass(&s->pins, s->program->obj, ret);
}

void shield_close(struct shield *s)
{
	if (!s)
		return;
	shield_bpf__destroy(s->program);
	pins_close(&s->pins);
	free(s);
}

bool shield_works(const struct shield *s)
{
	return s->program;
}

int shield_program(const struct shield *s)
{
	return s->program ? bpf_program__fd(s->program->progs.shield) : -1;
}

int shield_attach(const struct shield *s, int fd)
{
	const int program = shield_program(s);

	if (!s->program)
		return 0;
	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_BPF, &program,
			  sizeof(program)) ?
		       -errno :
		       0;
}

int shield_detach(int fd)
{
	const int ignored = 0;

	return setsockopt(fd, SOL_SOCKET, SO_DETACH_BPF, &ignored,
			  sizeof(ignored)) ?
		       -errno :
		       0;
}

/* Lists */

static struct shared_source_key key_of(const struct prefix *p)
{
	struct shared_source_key key = { .bits = SHARED_SOURCE_BITS + p->bits,
					 .family = p->family };

	memcpy(key.address, p->address, sizeof(key.address));
	return key;
}

static struct prefix prefix_of(const struct shared_source_key *key)
{
	struct prefix p = { .family = key->family,
			    .bits = (uint8_t)(key->bits - SHARED_SOURCE_BITS) };

	memcpy(p.address, key->address, sizeof(p.address));
	return p;
}

/* Copies all keys of a map; the caller frees them. NULL: none, or no memory. */
static struct shared_source_key *all_keys(int map, uint32_t *ret_n)
{
	struct shared_source_key *keys = malloc(SHARED_DENIED * sizeof(*keys));
	struct shared_source_key *last = NULL;
	uint32_t n = 0;

	while (keys && n < SHARED_DENIED &&
	       !bpf_map_get_next_key(map, last, &keys[n]))
		last = &keys[n++];
	*ret_n = n;
	return keys;
}

static struct shield_denial denial_of(const struct shared_source_key *key,
				      const struct shared_denial *value)
{
	return (struct shield_denial){
		.prefix = prefix_of(key),
		.why = (enum shield_why)value->why,
		.since_ms = value->since_ns / NS_PER_MS,
		.until_ms = value->until_ns / NS_PER_MS,
	};
}

int shield_deny(struct shield *s, const struct shield_denial *denial)
{
	struct shared_source_key key = key_of(&denial->prefix);
	const struct shared_denial value = {
		.until_ns = denial->until_ms * NS_PER_MS,
		.since_ns = denial->since_ms * NS_PER_MS,
		.bits = denial->prefix.bits,
		.why = denial->why,
	};

	if (!s->program)
		return 0;
	return bpf_map_update_elem(s->denied, &key, &value, BPF_ANY);
}

int shield_remove(struct shield *s, const struct prefix *prefix)
{
	struct shared_source_key key = key_of(prefix);

	if (!s->program)
		return -ENOENT;
	return bpf_map_delete_elem(s->denied, &key);
}

static bool is_listed(const struct prefix *list, uint32_t n,
		      const struct prefix *p)
{
	for (uint32_t i = 0; i < n; i++)
		if (!memcmp(&list[i], p, sizeof(*p)))
			return true;
	return false;
}

static int apply_allowed(struct shield *s, const struct shield_rules *rules)
{
	const uint32_t one = 1;
	uint32_t n;
	struct shared_source_key *keys = all_keys(s->allowed, &n);
	int result = keys ? 0 : -ENOMEM;

	for (uint32_t i = 0; i < rules->allowed_n && !result; i++) {
		struct shared_source_key key = key_of(&rules->allowed[i]);

		result = bpf_map_update_elem(s->allowed, &key, &one, BPF_ANY);
	}
	for (uint32_t i = 0; i < n && !result; i++) {
		struct prefix p = prefix_of(&keys[i]);

		if (!is_listed(rules->allowed, rules->allowed_n, &p))
			result = bpf_map_delete_elem(s->allowed, &keys[i]);
	}
	free(keys);
	return result;
}

static int apply_denied(struct shield *s, const struct shield_rules *rules)
{
	uint32_t n;
	struct shared_source_key *keys = all_keys(s->denied, &n);
	int result = keys ? 0 : -ENOMEM;

	for (uint32_t i = 0; i < n && !result; i++) {
		struct prefix p = prefix_of(&keys[i]);
		struct shared_denial value;

		if (!bpf_map_lookup_elem(s->denied, &keys[i], &value) &&
		    value.why == SHIELD_CONFIGURED &&
		    !is_listed(rules->denied, rules->denied_n, &p))
			result = bpf_map_delete_elem(s->denied, &keys[i]);
	}
	for (uint32_t i = 0; i < rules->denied_n && !result; i++)
		result = shield_deny(
			s, &(struct shield_denial){ .prefix = rules->denied[i],
						    .why = SHIELD_CONFIGURED });
	free(keys);
	return result;
}

static void fill_mask(uint32_t bits, uint8_t *mask, size_t len)
{
	memset(mask, 0, len);
	for (uint32_t i = 0; i < bits; i++)
		mask[i / 8] |= (uint8_t)(0x80 >> i % 8);
}

int shield_apply(struct shield *s, const struct shield_rules *rules)
{
	struct shared_shield settings = { .version = SHARED_VERSION };
	const uint32_t zero = 0;
	int result;

	if (!s->program)
		return 0;
	MUST(rules->prefix_ipv4 <= 32 && rules->prefix_ipv6 <= 128);
	fill_mask(rules->prefix_ipv4, (uint8_t *)&settings.mask_ipv4, 4);
	fill_mask(rules->prefix_ipv6, (uint8_t *)settings.mask_ipv6, 16);
	if (rules->syn_rate) {
		settings.interval_ns = NS_PER_S / rules->syn_rate;
		settings.burst_ns = settings.interval_ns * rules->syn_burst;
	}
	/* Who is allowed is so before anybody is denied. */
	result = apply_allowed(s, rules);
	if (!result)
		result = apply_denied(s, rules);
	if (!result)
		result = bpf_map_update_elem(s->settings, &zero, &settings,
					     BPF_ANY);
	return result;
}

struct shield_swept shield_sweep(struct shield *s, uint64_t now_ms)
{
	struct shield_swept swept = { 0 };
	struct shared_source_key *keys;
	uint32_t n;

	if (!s->program)
		return swept;
	keys = all_keys(s->denied, &n);
	for (uint32_t i = 0; i < n; i++) {
		struct shared_denial value;

		if (bpf_map_lookup_elem(s->denied, &keys[i], &value))
			continue;
		if (value.until_ns && value.until_ns <= now_ms * NS_PER_MS)
			swept.over += !bpf_map_delete_elem(s->denied, &keys[i]);
		else if (value.why == SHIELD_AUTH ||
			 value.why == SHIELD_HANDSHAKE)
			swept.left++;
	}
	free(keys);
	return swept;
}

/* Reading */

uint32_t shield_list(const struct shield *s, struct shield_denial *ret,
		     uint32_t max)
{
	struct shared_source_key *keys;
	uint32_t n;

	if (!s->program)
		return 0;
	keys = all_keys(s->denied, &n);
	for (uint32_t i = 0; i < n && i < max; i++) {
		struct shared_denial value = { 0 };

		(void)bpf_map_lookup_elem(s->denied, &keys[i], &value);
		ret[i] = denial_of(&keys[i], &value);
	}
	free(keys);
	return n;
}

/* As the program looks it up: what is over gives way to a shorter prefix. */
enum shield_answer shield_explain(const struct shield *s,
				  const struct prefix *prefix, uint64_t now_ms,
				  struct shield_denial *ret)
{
	struct shared_source_key key = key_of(prefix);
	struct shared_denial value;
	uint32_t any;

	if (!s->program)
		return SHIELD_OPEN;
	if (!bpf_map_lookup_elem(s->allowed, &key, &any))
		return SHIELD_ALLOWED;
	for (int i = 0; i < 2; i++) {
		if (bpf_map_lookup_elem(s->denied, &key, &value))
			return SHIELD_OPEN;
		if (!value.until_ns || value.until_ns > now_ms * NS_PER_MS) {
			*ret = denial_of(&key, &value);
			prefix_cut(&ret->prefix, value.bits);
			return SHIELD_DENIED;
		}
		if (!value.bits)
			return SHIELD_OPEN;
		key.bits = SHARED_SOURCE_BITS + value.bits - 1;
	}
	return SHIELD_OPEN;
}

static uint64_t sum(int map, uint32_t key)
{
	const int cpus = libbpf_num_possible_cpus();
	uint64_t *each = cpus > 0 ? calloc((size_t)cpus, sizeof(*each)) : NULL;
	uint64_t n = 0;

	if (each && !bpf_map_lookup_elem(map, &key, each))
		for (int i = 0; i < cpus; i++)
			n += each[i];
	free(each);
	return n;
}

struct shield_counts shield_counts(const struct shield *s)
{
	if (!s->program)
		return (struct shield_counts){ 0 };
	return (struct shield_counts){
		.passed = sum(s->verdicts, SHARED_PASSED),
		.allowed = sum(s->verdicts, SHARED_ALLOWED),
		.denied = sum(s->verdicts, SHARED_DROPPED_DENIED),
		.metered = sum(s->verdicts, SHARED_DROPPED_METERED),
	};
}
