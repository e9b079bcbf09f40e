#include "super/supervisor_inside.h"

#include "base/clock.h"
#include "base/version.h"

#include <stdarg.h>
#include <stdio.h>
#include "control/listing.h"

static struct expose_status describe(struct supervisor *s)
{
	struct status_clock clock = { s->now_ms, clock_unix_s() };
	struct expose_status status =
		status_describe(&s->shared, clock, &s->described);

	status.version = SLUICE_VERSION;
	status.generation = s->generation;
	status.started_s = s->started_s;
	return status;
}

void operator_refuse(const struct control_request *r, const char *format, ...)
{
	char text[256];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	control_refuse(r, text);
}

bool operator_prefix(const struct control_request *r, struct span text,
		     struct prefix *ret)
{
	if (prefix_parse(text, ret))
		return true;
	operator_refuse(r,
			"`%.*s' is no address and no prefix like 192.0.2.0/24, "
			"without bits beyond its length",
			(int)text.len, (const char *)text.p);
	return false;
}

/* NULL: what we were started from; false: refused. */
static bool upgrade_path(const struct control_request *request,
			 char ret[PATH_MAX])
{
	struct span path = request->words;

	if (!request->trusted) {
		control_refuse(request,
			       "not permitted: only root and the user that the "
			       "daemon was started by may name a program");
		return false;
	}
	if (path.len >= PATH_MAX || span_find(path, '\0') < path.len) {
		control_refuse(request, "that is no path");
		return false;
	}
	memcpy(ret, path.p, path.len);
	ret[path.len] = '\0';
	return true;
}

/* True: begun, and answered when it has ended. */
static bool begin_upgrade(struct supervisor *s,
			  const struct control_request *request)
{
	char path[PATH_MAX];
	struct buf errors;
	bool named = request->words.len;

	if (named && !upgrade_path(request, path))
		return false;
	if (!upgrade_begin(s, named ? path : NULL, &errors)) {
		errors.p[errors.end] = '\0'; /* kept free */
		control_refuse(request, (const char *)errors.p);
		return false;
	}
	s->upgrade.asked = true;
	s->upgrade.request = *request;
	return true;
}

/* False: it will be answered later. */
static bool serve_request(struct supervisor *s,
			  const struct control_request *request)
{
	struct expose_status status = describe(s);
	struct listing listing;
	struct buf errors;

	switch (request->verb) {
	case CONTROL_STATUS: expose_text(&status, request->answer); break;
	case CONTROL_STATUS_JSON: expose_json(&status, request->answer); break;
	case CONTROL_METRICS: expose_metrics(&status, request->answer); break;
	case CONTROL_LISTENERS:
		listing_gather(&status, &listing);
		listing_text(&listing, request->answer);
		break;
	case CONTROL_RELOAD:
		if (!reload_run(s, &errors)) {
			errors.p[errors.end] = '\0'; /* kept free */
			control_refuse(request, (const char *)errors.p);
		}
		break;
	case CONTROL_UPGRADE: return !begin_upgrade(s, request);
	case CONTROL_STOP: supervisor_drain(s); break;
	case CONTROL_SHIELD: operator_shield(s, request); break;
	case CONTROL_LANE: operator_lane(s, request); break;
	case CONTROL_LOG_LEVEL:
		log_setup(request->log_level, supervisor_log_format(s),
			  "supervisor");
		break;
	}
	return true;
}

void operator_serve(struct supervisor *s)
{
	struct control_request request;

	while (s->has_control && control_next(&s->control, &request)) {
		if (serve_request(s, &request))
			control_answer(&s->control, &request, s->now_ms);
	}
}

void operator_upgraded(struct supervisor *s, bool done)
{
	const struct control_request *request = &s->upgrade.request;
	uint8_t text[HANDOVER_BYTES + 1];
	struct buf lines;

	if (!s->upgrade.asked)
		return;
	s->upgrade.asked = false;
	if (done) {
		buf_printf(request->answer, "process %d serves\n",
			   (int)s->upgrade.program.pid);
	} else {
		buf_init(&lines, text, sizeof(text) - 1);
		buf_put(&lines, buf_span(&s->upgrade.lines));
		text[lines.end] = '\0';
		control_refuse(request, (const char *)text);
	}
	control_answer(&s->control, request, s->now_ms);
}

void operator_retire(struct supervisor *s)
{
	s->settled = false;
	if (s->has_control)
		control_close(&s->control);
	s->has_control = false;
}

int operator_open(struct supervisor *s, struct buf *errors)
{
	const struct config *config = s->assets->config;
	int result;

	if (!config->control)
		return 0;
	if (s->takeover.control_fd >= 0)
		result = control_adopt(&s->control, config->control,
				       s->assets->user.uid, s->assets->user.gid,
				       s->takeover.control_fd);
	else
		result = control_open(&s->control, config->control,
				      s->assets->user.uid, s->assets->user.gid);
	if (result)
		buf_printf(errors, "%s: control socket %s: %s\n", config->file,
			   config->control, strerrordesc_np(-result));
	s->has_control = !result;
	return result;
}

void operator_close(struct supervisor *s)
{
	if (!s->has_control)
		return;
	if (s->settled)
		control_remove(&s->control);
	control_close(&s->control);
}
