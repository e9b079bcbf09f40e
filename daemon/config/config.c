#include "config/config.h"

#include "base/must.h"
#include "config/check.h"
#include "config/errors.h"
#include "config/lane.h"
#include "config/read.h"
#include "config/source.h"
#include "config/tree.h"

#include <stdlib.h>

/*
 * From text to struct, each step in a file of its own: source removes what
 * libconfuse would misread, tree parses, read gives the values their types,
 * check looks at the whole. The first two end the work at a mistake; the last
 * two report all that they find.
 */

/* Defaults that are strings; those of the file are no longer than its text. */
#define DEFAULT_STRINGS 4096

/* Room for every string twice: a next hop is kept whole and in parts. */
static struct config *allocate(const char *file, const char *text)
{
	size_t strings = 2 * strlen(text) + strlen(file) + DEFAULT_STRINGS;
	struct config *c = calloc(1, sizeof(*c));
	uint8_t *storage = malloc(strings);

	if (!c || !storage || strings > UINT32_MAX) {
		free(c);
		free(storage);
		return NULL;
	}
	buf_init(&c->strings, storage, strings);
	c->file = (const char *)storage;
	buf_put_str(&c->strings, file);
	buf_put_byte(&c->strings, '\0');
	return c;
}

static struct cfg_t *parse(const char *text, struct config_errors *errors)
{
	char *source = source_open(text, errors);
	struct cfg_t *root = source ? tree_open(source, errors) : NULL;

	free(source);
	return root;
}

struct config *config_open(const char *file, const char *text,
			   struct config_errors *errors)
{
	uint32_t before = errors->n;
	struct config *config;
	struct cfg_t *root;

	errors->file = file;
	root = parse(text, errors);
	if (!root)
		return NULL;
	config = allocate(file, text);
	if (config)
		read_tree(root, config, errors);
	else
		errors_add(errors, 0, "out of memory");
	tree_close(root);
	/* Without its values right, the whole is not worth a look. */
	if (errors->n == before)
		check_config(config, errors);
	if (errors->n == before)
		return config;
	config_close(config);
	return NULL;
}

void config_close(struct config *config)
{
	if (!config)
		return;
	free(config->strings.p);
	free(config);
}

struct prefix config_served(const struct config_address *address)
{
	struct prefix p = { 0 };
	static const uint8_t any[sizeof(p.address)];

	MUST(prefix_of_address(&address->sa, &p));
	if (address->range_bits)
		prefix_cut(&p, address->range_bits);
	else if (!memcmp(p.address, any, sizeof(any)))
		p.bits = 0;
	return p;
}

static bool diff_string(struct buf *lines, const char *key, const char *old,
			const char *new)
{
	const char *before = old ? old : "(none)";
	const char *after = new ? new : "(none)";

	if (!strcmp(before, after))
		return false;
	buf_put_str(lines, key);
	buf_put_str(lines, ": ");
	buf_put_str(lines, before);
	buf_put_str(lines, " -> ");
	buf_put_str(lines, after);
	buf_put_str(lines, " needs a restart\n");
	return true;
}

/* Workers belong to one lane for life, and their sockets to a listener. */
static bool diff_lanes(struct buf *lines, const struct config *old,
		       const struct config *new)
{
	bool any = old->lanes_n != new->lanes_n;

	for (uint32_t i = 0; i < new->lanes_n && !any; i++)
		any = strcmp(old->lanes[i].name, new->lanes[i].name) != 0 ||
		      old->lanes[i].workers != new->lanes[i].workers;
	for (uint32_t i = 0; i < old->listeners_n && !any; i++) {
		const struct config_listener *l = &old->listeners[i];
		const struct config_listener *same =
			lane_listener_named(new, l->name);

		any = same && strcmp(same->lane, l->lane) != 0;
	}
	if (any)
		buf_put_str(lines, "lanes, their workers and the lane of a "
				   "listener: a change needs a restart\n");
	if (new->lanes_n &&
	    (old->steering.program != new->steering.program ||
	     strcmp(old->steering.pins, new->steering.pins) != 0)) {
		buf_put_str(lines, "steering: a change needs a restart\n");
		any = true;
	}
	return any;
}

static bool diff_shield(struct buf *lines, const struct config_shield *old,
			const struct config_shield *new)
{
	if (!old->line == !new->line && old->required == new->required &&
	    !strcmp(old->pins, new->pins))
		return false;
	buf_put_str(lines, "shield: to begin, to end or to move it needs a "
			   "restart\n");
	return true;
}

bool config_diff(const struct config *old, const struct config *new,
		 struct buf *lines)
{
	bool any = old->workers != new->workers;

	if (any)
		buf_printf(lines, "workers: %u -> %u needs a restart\n",
			   old->workers, new->workers);
	any |= diff_string(lines, "user", old->user, new->user);
	any |= diff_string(lines, "pid_file", old->pid_file, new->pid_file);
	any |= diff_string(lines, "control", old->control, new->control);
	any |= diff_string(lines, "spool directory", old->spool.directory,
			   new->spool.directory);
	any |= diff_lanes(lines, old, new);
	any |= diff_shield(lines, &old->shield, &new->shield);
	return any;
}
