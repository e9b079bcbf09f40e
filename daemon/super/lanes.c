#include "super/lanes.h"

#include "base/log.h"
#include "base/must.h"
#include "config/lane.h"

#include <errno.h>
#include <stdlib.h>

_Static_assert(CONFIG_LANES_MAX == STEER_LANES_MAX, "lanes");
_Static_assert(CONFIG_SERVICES_MAX == STEER_SERVICES_MAX, "addresses");
_Static_assert(CONFIG_LANE_WORKERS_MAX <= STEER_WORKERS_MAX, "workers");
_Static_assert(CONFIG_LANE_NAME_MAX < STEER_NAME_MAX, "names");
_Static_assert(CONFIG_CPUS_MAX <= STEER_WORKERS_MAX, "processors");
_Static_assert((int)CONFIG_CHOOSE_CPU == STEER_BY_CPU, "choice by CPU");
_Static_assert((int)CONFIG_CHOOSE_LOAD == STEER_BY_LOAD, "choice by load");

/* Opening */

static enum steer_mode best_mode(const struct config *config)
{
	if (!config->lanes_n)
		return STEER_PLAIN;
	switch (config->steering.program) {
	case CONFIG_STEER_AUTO:
	case CONFIG_STEER_LOOKUP: return STEER_LOOKUP;
	case CONFIG_STEER_REUSEPORT: return STEER_REUSEPORT;
	case CONFIG_STEER_NONE: break;
	}
	return STEER_PLAIN;
}

static bool is_refused(const struct config *config, enum steer_mode mode)
{
	return config->steering.program != CONFIG_STEER_AUTO &&
	       mode != best_mode(config);
}

static const char *cure(int error)
{
	if (error == -EPERM || error == -EACCES)
		return "start as root, or with CAP_BPF, CAP_NET_ADMIN and "
		       "CAP_PERFMON";
	return "`sluicectl doctor` says what this kernel lacks";
}

static bool has_sources(const struct config *config)
{
	for (uint32_t i = 0; i < config->lanes_n; i++)
		if (config->lanes[i].sources.n)
			return true;
	return false;
}

static void log_pins(const struct config *config,
		     const struct steer_report *report)
{
	if (report->pins_error)
		LOG(LOG_WARNING, "steering-not-pinned",
		    log_str("directory", config->steering.pins),
		    log_errno(report->pins_error),
		    log_str("means", "what `sluicectl lane` changes ends with "
				     "the daemon"),
		    log_str("cure", "mount -t bpf bpf /sys/fs/bpf"));
	if (report->pins_replaced)
		LOG(LOG_WARNING, "steering-pins-replaced",
		    log_str("directory", config->steering.pins),
		    log_u64("their_version", report->pins_version),
		    log_str("means", "what `sluicectl lane` changed is gone"));
}

static void log_opened(const struct config *config, enum steer_mode mode,
		       const struct steer_report *report)
{
	log_pins(config, report);
	if (report->lookup_error)
		LOG(LOG_WARNING, "no-sk_lookup",
		    log_errno(report->lookup_error),
		    log_str("verifier", report->excerpt),
		    log_str("cure", cure(report->lookup_error)));
	if (report->reuseport_error)
		LOG(LOG_WARNING, "no-sk_reuseport",
		    log_errno(report->reuseport_error),
		    log_str("verifier", report->excerpt),
		    log_str("cure", cure(report->reuseport_error)));
	if (mode == STEER_PLAIN && has_sources(config))
		LOG(LOG_WARNING, "sources-not-told-apart",
		    log_str("means", "connections stay in the lane of their "
				     "listener"));
	LOG(LOG_NOTICE, "steering", log_str("program", steer_mode_name(mode)),
	    log_u64("lanes", config->lanes_n));
}

static int refuse(const struct config *config, enum steer_mode mode,
		  const struct steer_report *report, const char *or_else,
		  struct buf *errors)
{
	bool lookup = mode == STEER_LOOKUP;
	int error = lookup ? report->lookup_error : report->reuseport_error;

	buf_printf(errors,
		   "%s:%u: steering: no %s program can be had: %s%s%s: %s, or "
		   "%s\n",
		   config->file, config->steering.line,
		   lookup ? "sk_lookup" : "sk_reuseport",
		   strerrordesc_np(-error), *report->excerpt ? ": " : "",
		   report->excerpt, cure(error), or_else);
	return error;
}

int lanes_open(const struct config *config, const struct steer_passed *passed,
	       struct steer **ret, struct buf *errors)
{
	const struct steer_options options = { .pins = config->steering.pins,
					       .best = best_mode(config),
					       .passed = passed };
	struct steer_report report;
	int result = steer_open(&options, &report, ret);

	if (result == -EPROTO)
		buf_printf(errors,
			   "%s:%u: steering: the running version's maps are of "
			   "another version: stop it, then start this one\n",
			   config->file, config->steering.line);
	else if (result && result != -ENOMEM && result != -EBUSY)
		return refuse(config, passed->mode, &report, "restart instead",
			      errors);
	else if (result == -EBUSY)
		buf_printf(errors,
			   "%s:%u: steering: another daemon has its maps in "
			   "%s: stop it, or set other `pins`\n",
			   config->file, config->steering.line,
			   config->steering.pins);
	else if (result)
		buf_put_str(errors, "no memory for steering\n");
	else if (is_refused(config, steer_mode(*ret)))
		return refuse(config, best_mode(config), &report,
			      "set program = \"auto\"", errors);
	else if (config->lanes_n)
		log_opened(config, steer_mode(*ret), &report);
	return result;
}

enum sockets_reach lanes_reach(const struct steer *steer)
{
	switch (steer_mode(steer)) {
	case STEER_PLAIN: return SOCKETS_OWN_LANE;
	case STEER_REUSEPORT: return SOCKETS_SHARED;
	case STEER_LOOKUP: return SOCKETS_HIDDEN;
	}
	return SOCKETS_OWN_LANE;
}

/* Feeding */

static void plan_lanes(const struct config *config, struct steer_plan *plan)
{
	plan->lanes_n = config->lanes_n;
	for (uint32_t i = 0; i < config->lanes_n; i++) {
		const struct config_lane *c = &config->lanes[i];
		struct steer_lane *lane = &plan->lanes[i];

		*lane = (struct steer_lane){
			.name = c->name,
			.first = lane_first_worker(config, i),
			.workers_n = c->workers,
			.choose = (enum steer_choose)c->choose,
			.cpus_n = c->cpus_n,
		};
		memcpy(lane->cpus, c->cpus, sizeof(lane->cpus));
	}
}

static void plan_listener(const struct config *config, uint32_t listener,
			  const struct sockets *sockets,
			  struct steer_plan *plan)
{
	const struct config_listener *l = &config->listeners[listener];

	for (uint32_t a = 0; a < l->addresses_n; a++) {
		const struct config_address *address = &l->addresses[a];

		MUST(plan->services_n < STEER_SERVICES_MAX);
		plan->services[plan->services_n++] = (struct steer_service){
			.local = config_served(address),
			.port = ntohs(address->in6.sin6_port), /* or v4's */
			.service = sockets_service(sockets, address->text),
			.lane = lane_of_listener(config, l),
		};
	}
}

/* The caller frees them. */
static struct steer_source *plan_sources(const struct config *config,
					 struct steer_plan *plan)
{
	struct steer_source *sources =
		calloc((size_t)CONFIG_LANES_MAX * CONFIG_SOURCES_MAX,
		       sizeof(*sources));

	for (uint32_t i = 0; sources && i < config->lanes_n; i++)
		for (uint32_t k = 0; k < config->lanes[i].sources.n; k++)
			sources[plan->sources_n++] = (struct steer_source){
				.prefix = config->lanes[i].sources.list[k],
				.lane = i,
			};
	plan->sources = sources;
	return sources;
}

/* Once for an address: every worker has a listener for it. */
static void log_served(const struct config *config,
		       const struct sockets_entry *e)
{
	const struct config_listener *l = &config->listeners[e->listener];

	if (!e->worker)
		LOG(LOG_INFO, "address-steered", log_str("address", e->address),
		    log_str("listener", l->name), log_str("lane", l->lane));
}

static int put_listeners(struct steer *steer, const struct config *config,
			 struct sockets *sockets)
{
	int result = 0;

	for (uint32_t i = 0; i < sockets->n && !result; i++) {
		struct sockets_entry *e = &sockets->entries[i];

		if (e->steered || !e->wanted)
			continue;
		result =
			steer_put_listener(steer, e->worker, e->service, e->fd);
		e->steered = !result;
		if (!result)
			log_served(config, e);
	}
	return result;
}

int lanes_feed(struct steer *steer, const struct config *config,
	       struct sockets *sockets)
{
	struct steer_report report = { 0 };
	struct steer_plan plan = { 0 };
	struct steer_source *room;
	int result;

	if (steer_mode(steer) == STEER_PLAIN)
		return 0;
	plan_lanes(config, &plan);
	for (uint32_t i = 0; i < config->listeners_n; i++)
		plan_listener(config, i, sockets, &plan);
	room = plan_sources(config, &plan);
	result = room ? put_listeners(steer, config, sockets) : -ENOMEM;
	if (!result)
		result = steer_apply(steer, &plan, &report);
	free(room);
	if (result)
		LOG(LOG_ERROR, "steering-not-fed", log_errno(result),
		    log_str("means", "connections may come to a wrong lane"));
	if (report.sources_dropped)
		LOG(LOG_WARNING, "sources-dropped",
		    log_u64("sources", report.sources_dropped),
		    log_str("means", "they were assigned to lanes that are "
				     "not configured any more"));
	return result;
}
