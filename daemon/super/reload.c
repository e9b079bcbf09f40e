#include "super/supervisor_inside.h"

#include "super/ktls.h"

static struct assets *load(struct supervisor *s, struct buf *errors)
{
	struct assets *a = assets_open(s->options->config_file,
				       &s->shared.common->ticket_keys, errors);

	if (!a)
		return NULL;
	if (s->assets && config_diff(s->assets->config, a->config, errors)) {
		assets_close(a);
		return NULL;
	}
	if (ktls_prepare(a->config, errors) ||
	    assets_open_directories(a, errors) ||
	    sockets_bind(&s->sockets, a->config, s->workers, errors)) {
		assets_close(a);
		return NULL;
	}
	return a;
}

/* False with at least a line in `errors`; what ran before runs on. */
static bool reload(struct supervisor *s, struct buf *errors)
{
	struct assets *fresh;

	if (s->state != SUPERVISOR_RUNNING) {
		buf_put_str(errors, "draining: too late to reload\n");
		return false;
	}
	if (s->upgrade.state != UPGRADE_NONE) {
		buf_put_str(errors, "an upgrade is under way: it reads the "
				    "configuration, too\n");
		return false;
	}
	fresh = load(s, errors); /* I2 */
	if (!fresh)
		return false;
	if (!children_begin_generation(s)) {
		assets_close(fresh);
		buf_put_str(errors, "older generations still have sessions: "
				    "wait, or restart\n");
		return false;
	}
	children_retire_older(s);
	assets_close(s->assets);
	s->assets = fresh;
	children_dismiss_older(s);
	(void)supervisor_feed(s);
	sockets_prune(&s->sockets);
	log_setup(fresh->config->log_level, supervisor_log_format(s),
		  "supervisor");
	return true;
}

bool reload_run(struct supervisor *s, struct buf *errors)
{
	bool done;

	buf_init(errors, s->errors, sizeof(s->errors) - 1);
	done = reload(s, errors);
	supervisor_log_lines(done ? LOG_WARNING : LOG_ERROR,
			     done ? "reload-warning" : "reload-refused",
			     errors);
	if (done)
		LOG(LOG_NOTICE, "reloaded",
		    log_u64("generation", s->generation));
	return done;
}
