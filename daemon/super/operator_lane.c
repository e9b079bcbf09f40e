/*
 * The operator's words about lanes: what they are and carry, and changes that
 * steering keeps, also over a restart where its maps are pinned.
 */
#include "super/supervisor_inside.h"

#include "config/lane.h"
#include "control/words.h"
#include "super/lanes.h"

#include <errno.h>

#define SOURCES_MAX 1000 /* shown */

static void refuse_lane(const struct control_request *r, struct span name)
{
	operator_refuse(r, "there is no lane \"%.*s\"", (int)name.len,
			(const char *)name.p);
}

/* While two programs feed the maps, nobody changes what they say. */
static bool is_steered(struct supervisor *s, const struct control_request *r)
{
	if (s->upgrade.state != UPGRADE_NONE) {
		operator_refuse(r, "an upgrade is under way: ask again");
		return false;
	}
	if (steer_mode(s->steer) != STEER_PLAIN)
		return true;
	operator_refuse(r,
			s->assets->config->lanes_n ?
				"no steering program is loaded: the log of the "
				"start says why" :
				"no lanes are configured");
	return false;
}

/* "bulk/1": the number of the worker, through all lanes. */
static bool take_worker(const struct supervisor *s,
			const struct control_request *r, struct span text,
			uint32_t *ret)
{
	const struct config *config = s->assets->config;
	size_t slash = span_find(text, '/');
	uint32_t lane = lane_named(config, span_head(text, slash));
	uint64_t n;

	if (lane == UINT32_MAX) {
		refuse_lane(r, span_head(text, slash));
		return false;
	}
	if (slash == text.len || !span_to_u64(span_tail(text, slash + 1), &n) ||
	    n >= config->lanes[lane].workers) {
		operator_refuse(r, "`%.*s' is no worker: say %s/0 to %s/%u",
				(int)text.len, (const char *)text.p,
				config->lanes[lane].name,
				config->lanes[lane].name,
				config->lanes[lane].workers - 1);
		return false;
	}
	*ret = lane_first_worker(config, lane) + (uint32_t)n;
	return true;
}

static void finish(const struct control_request *r, int result)
{
	if (result)
		operator_refuse(r, "%s", strerrordesc_np(-result));
}

/* Changes */

static void assign(struct supervisor *s, const struct control_request *r,
		   const struct words *words)
{
	struct span name = words->list[2];
	uint32_t lane = lane_named(s->assets->config, name);
	struct prefix prefix;

	if (!is_steered(s, r) || !operator_prefix(r, words->list[1], &prefix))
		return;
	if (lane == UINT32_MAX) {
		refuse_lane(r, name);
		return;
	}
	LOG(LOG_NOTICE, "lane-assigned", log_span("source", words->list[1]),
	    log_span("lane", name));
	finish(r, steer_assign(s->steer, &prefix, lane));
}

static void release(struct supervisor *s, const struct control_request *r,
		    const struct words *words)
{
	struct prefix prefix;
	int result;

	if (!is_steered(s, r) || !operator_prefix(r, words->list[1], &prefix))
		return;
	result = steer_release(s->steer, &prefix);
	if (result == -ENOENT) {
		operator_refuse(
			r, "nobody assigned that; what the configuration says "
			   "is changed there");
		return;
	}
	LOG(LOG_NOTICE, "lane-released", log_span("source", words->list[1]));
	/* The configuration may have a word about it. */
	if (!result)
		result = lanes_feed(s->steer, s->assets->config, &s->sockets);
	finish(r, result);
}

/* Would anybody of its lane be left with a weight? */
static bool is_last(const struct supervisor *s, uint32_t worker)
{
	const struct config *config = s->assets->config;
	uint32_t lane = lane_of_worker(config, worker);
	uint32_t first = lane_first_worker(config, lane);

	for (uint32_t i = 0; i < config->lanes[lane].workers; i++)
		if (first + i != worker && steer_weight(s->steer, first + i))
			return false;
	return true;
}

static void weigh(struct supervisor *s, const struct control_request *r,
		  struct span name, uint64_t weight)
{
	uint32_t worker;

	if (!is_steered(s, r) || !take_worker(s, r, name, &worker))
		return;
	if (!weight && is_last(s, worker)) {
		operator_refuse(
			r, "no other worker of that lane takes connections");
		return;
	}
	LOG(LOG_NOTICE, "lane-weighed", log_span("worker", name),
	    log_u64("weight", weight));
	finish(r, steer_weigh(s->steer, worker, (uint8_t)weight));
}

static void take_weight(struct supervisor *s, const struct control_request *r,
			const struct words *words)
{
	uint64_t weight;

	if (span_to_u64(words->list[2], &weight) && weight <= STEER_WEIGHT_MOST)
		weigh(s, r, words->list[1], weight);
	else
		operator_refuse(r, "a weight is a number from 0 to %d",
				STEER_WEIGHT_MOST);
}

/* The list */

static void put_worker(const struct supervisor *s, uint32_t lane, uint32_t i,
		       struct buf *out)
{
	const struct config *config = s->assets->config;
	uint32_t worker = lane_first_worker(config, lane) + i;
	struct steer_load *load = steer_load(s->steer, worker);
	struct steer_count count = steer_worker_count(s->steer, worker);

	buf_printf(out, "%-20.31s %6u %6u", config->lanes[lane].name, i,
		   steer_weight(s->steer, worker));
	if (load)
		buf_printf(out, " %8llu %8llu %11llu %8llu",
			   (unsigned long long)load->sessions,
			   (unsigned long long)count.chosen,
			   (unsigned long long)count.passed_over,
			   (unsigned long long)load->accepted);
	buf_put_byte(out, '\n');
}

static void put_lane(const struct supervisor *s, uint32_t lane, struct buf *out)
{
	const struct config *config = s->assets->config;
	struct steer_count count = steer_lane_count(s->steer, lane);

	for (uint32_t i = 0; i < config->lanes[lane].workers; i++)
		put_worker(s, lane, i, out);
	if (steer_mode(s->steer) != STEER_PLAIN)
		buf_printf(out, "%-20.31s %6s %6s %8s %8llu %11llu\n",
			   config->lanes[lane].name, "all", "", "",
			   (unsigned long long)count.chosen,
			   (unsigned long long)count.passed_over);
}

static void put_addresses(const struct config *config, struct buf *out)
{
	buf_put_str(out, "\naddresses:\n");
	for (uint32_t i = 0; i < config->listeners_n; i++) {
		const struct config_listener *l = &config->listeners[i];

		for (uint32_t a = 0; a < l->addresses_n; a++)
			buf_printf(out, "  %s %s (%s)\n", l->addresses[a].text,
				   l->lane, l->name);
	}
}

static void put_sources(const struct supervisor *s, struct buf *out)
{
	struct steer_source sources[SOURCES_MAX];
	uint32_t n = steer_sources(s->steer, sources, SOURCES_MAX);

	if (n)
		buf_put_str(out, "\nsources:\n");
	for (uint32_t i = 0; i < n && i < SOURCES_MAX; i++) {
		buf_put_str(out, "  ");
		prefix_put(out, &sources[i].prefix);
		buf_printf(out, " %s %s\n",
			   lane_name(s->assets->config, sources[i].lane),
			   sources[i].assigned ? "(assigned)" : "");
	}
	if (n > SOURCES_MAX)
		buf_printf(out, "  and %u more\n", n - SOURCES_MAX);
}

static void put_list(const struct supervisor *s, struct buf *out)
{
	const struct config *config = s->assets->config;

	if (!config->lanes_n) {
		buf_put_str(out, "no lanes are configured\n");
		return;
	}
	buf_printf(out, "program: %s\n\n",
		   steer_mode_name(steer_mode(s->steer)));
	buf_printf(out, "%-20s %6s %6s %8s %8s %11s %8s\n", "lane", "worker",
		   "weight", "sessions", "steered", "passed over", "accepted");
	for (uint32_t i = 0; i < config->lanes_n; i++)
		put_lane(s, i, out);
	put_addresses(config, out);
	put_sources(s, out);
}

void operator_lane(struct supervisor *s, const struct control_request *r)
{
	const struct words words = words_split(r->words);
	struct span verb = words.n ? words.list[0] : span_of(NULL, 0);

	if (span_equal(verb, SPAN("list")) && words.n == 1)
		put_list(s, r->answer);
	else if (span_equal(verb, SPAN("assign")) && words.n == 3)
		assign(s, r, &words);
	else if (span_equal(verb, SPAN("release")) && words.n == 2)
		release(s, r, &words);
	else if (span_equal(verb, SPAN("weigh")) && words.n == 3)
		take_weight(s, r, &words);
	else if (span_equal(verb, SPAN("drain")) && words.n == 2)
		weigh(s, r, words.list[1], 0);
	else
		operator_refuse(
			r, "say lane list, assign PREFIX LANE, release PREFIX, "
			   "weigh LANE/WORKER 0-100 or drain LANE/WORKER");
}
