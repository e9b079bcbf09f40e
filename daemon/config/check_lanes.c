#include "config/check_lanes.h"

#include "config/errors.h"
#include "config/lane.h"

static const char *text_of(const struct prefix *p, char text[PREFIX_TEXT_MAX])
{
	struct buf out;

	buf_init(&out, (uint8_t *)text, PREFIX_TEXT_MAX);
	prefix_put(&out, p);
	buf_put_byte(&out, '\0');
	return text;
}

/* Nothing but an sk_lookup program leads to all addresses of a range. */
static void check_ranges(const struct config *c,
			 const struct config_listener *l,
			 struct config_errors *errors)
{
	const bool may_look = c->steering.program == CONFIG_STEER_AUTO ||
			      c->steering.program == CONFIG_STEER_LOOKUP;

	for (uint32_t i = 0; i < l->addresses_n; i++) {
		if (!l->addresses[i].range_bits || (c->lanes_n && may_look))
			continue;
		errors_add(errors, l->line,
			   "listener \"%s\": %s is a range: it needs %s",
			   l->name, l->addresses[i].text,
			   c->lanes_n ? "steering.program = \"lookup\" or "
					"\"auto\"" :
					"lanes (a block `lane`)");
	}
}

static void check_listener_lanes(const struct config *c,
				 struct config_errors *errors)
{
	for (uint32_t i = 0; i < c->listeners_n; i++) {
		const struct config_listener *l = &c->listeners[i];
		bool known = c->lanes_n ? lane_named(c, span_str(l->lane)) !=
						  UINT32_MAX :
					  !strcmp(l->lane, "default");

		if (!known)
			errors_add(errors, l->line,
				   "listener \"%s\": there is no block lane "
				   "\"%s\"",
				   l->name, l->lane);
		check_ranges(c, l, errors);
	}
}

static bool overlap(const struct prefix *a, const struct prefix *b)
{
	return prefix_contains(a, b) || prefix_contains(b, a);
}

/* Compares source `s` of lane `l` with all before it. */
static void check_source(const struct config *c, uint32_t l, uint32_t s,
			 struct config_errors *errors)
{
	const struct prefix *mine = &c->lanes[l].sources.list[s];
	char text[PREFIX_TEXT_MAX], other_text[PREFIX_TEXT_MAX];

	for (uint32_t i = 0; i <= l; i++) {
		const struct config_lane *other = &c->lanes[i];
		uint32_t n = i == l ? s : other->sources.n;

		for (uint32_t k = 0; k < n; k++) {
			if (!overlap(mine, &other->sources.list[k]))
				continue;
			errors_add(errors, c->lanes[l].line,
				   "lane \"%s\": %s overlaps with %s of lane "
				   "\"%s\"",
				   c->lanes[l].name, text_of(mine, text),
				   text_of(&other->sources.list[k], other_text),
				   other->name);
			return;
		}
	}
}

static void check_lane(const struct config *c, uint32_t l,
		       struct config_errors *errors)
{
	const struct config_lane *lane = &c->lanes[l];

	if (!*lane->name || strlen(lane->name) > CONFIG_LANE_NAME_MAX ||
	    strcspn(lane->name, " /") != strlen(lane->name))
		errors_add(errors, lane->line,
			   "lane \"%s\": a name has 1 to %d characters, no "
			   "blank and no slash",
			   lane->name, CONFIG_LANE_NAME_MAX);
	if (lane_first_worker(c, l) <= CONFIG_LANE_WORKERS_MAX &&
	    lane_first_worker(c, l + 1) > CONFIG_LANE_WORKERS_MAX)
		errors_add(errors, lane->line,
			   "lane \"%s\": with it the lanes have more than %d "
			   "`workers`",
			   lane->name, CONFIG_LANE_WORKERS_MAX);
	for (uint32_t s = 0; s < lane->sources.n; s++)
		check_source(c, l, s, errors);
}

void check_lanes(const struct config *config, struct config_errors *errors)
{
	check_listener_lanes(config, errors);
	for (uint32_t l = 0; l < config->lanes_n; l++)
		check_lane(config, l, errors);
}
