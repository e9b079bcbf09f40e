#include "super/guard.h"

#include "base/log.h"
#include "gateway/offence.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/random.h>
#include <unistd.h>

#define OFFENDERS_N    65536 /* followed at once */
#define REPORTS_A_TURN 4096
#define SWEEP_MS       1000

/* Opening */

static void log_opened(const struct config_shield *config,
		       const struct shield_report *report)
{
	if (report->pins_error)
		LOG(LOG_WARNING, "shield-not-pinned",
		    log_str("directory", config->pins),
		    log_errno(report->pins_error),
		    log_str("means", "what is denied ends with the daemon"),
		    log_str("cure", "mount -t bpf bpf /sys/fs/bpf"));
	if (report->pins_replaced)
		LOG(LOG_WARNING, "shield-pins-replaced",
		    log_str("directory", config->pins),
		    log_u64("their_version", report->pins_version),
		    log_str("means", "what was denied is not any more"));
	if (report->error)
		LOG(LOG_WARNING, "no-shield", log_errno(report->error),
		    log_str("verifier", report->excerpt),
		    log_str("means", "nobody is denied or metered"),
		    log_str("cure", "start as root, or with CAP_BPF "
				    "and CAP_PERFMON; "
				    "`sluicectl doctor` says more"));
	else
		LOG(LOG_NOTICE, "shield", log_u64("allow", config->allow.n),
		    log_u64("deny", config->deny.n),
		    log_u64("syn_rate", config->syn_rate));
}

static int open_shield(struct guard *g, const struct config *config,
		       const struct pins_passed *passed, struct buf *errors)
{
	const struct config_shield *c = &config->shield;
	const struct shield_options options = { .wanted = c->line != 0,
						.pins = c->pins,
						.passed = passed };
	struct shield_report report;
	int result = shield_open(&options, &report, &g->shield);

	if (result == -EPROTO)
		buf_printf(errors,
			   "%s:%u: shield: the running version's maps are of "
			   "another version: stop it, then start this one\n",
			   config->file, c->line);
	if (result == -EBUSY)
		buf_printf(errors,
			   "%s:%u: shield: another daemon has its maps in %s: "
			   "stop it, or set other `pins`\n",
			   config->file, c->line, c->pins);
	if (c->line && report.error && result != -EPROTO &&
	    (c->required || result)) {
		buf_printf(errors,
			   "%s:%u: shield: it is required and cannot be had: "
			   "%s%s%s: start as root, or with CAP_BPF and "
			   "CAP_PERFMON\n",
			   config->file, c->line,
			   strerrordesc_np(-report.error),
			   *report.excerpt ? ": " : "", report.excerpt);
		return report.error;
	}
	if (result)
		return result;
	if (c->line)
		log_opened(c, &report);
	return 0;
}

int guard_open(struct guard *g, const struct config *config,
	       const struct pins_passed *passed, struct buf *errors)
{
	uint64_t seed;
	int result;

	*g = (struct guard){ .fds = { -1, -1 } };
	result = open_shield(g, config, passed, errors);
	if (result || !shield_works(g->shield))
		return result;
	if (getrandom(&seed, sizeof(seed), 0) != (ssize_t)sizeof(seed))
		return -EIO;
	if (pipe2(g->fds, O_CLOEXEC | O_NONBLOCK))
		return -errno;
	return offenders_init(&g->offenders, OFFENDERS_N, seed);
}

void guard_close(struct guard *g)
{
	shield_close(g->shield);
	g->shield = NULL;
	offenders_fini(&g->offenders);
}

/* Rules */

static int attach_all(const struct guard *g, struct sockets *sockets)
{
	int result = 0;

	for (uint32_t i = 0; i < sockets->n && !result; i++) {
		struct sockets_entry *e = &sockets->entries[i];

		if (!e->shielded)
			result = shield_attach(g->shield, e->fd);
		e->shielded = !result;
	}
	return result;
}

int guard_apply(struct guard *g, const struct config *config,
		struct sockets *sockets)
{
	const struct config_shield *c = &config->shield;
	const struct shield_rules rules = {
		.syn_rate = c->syn_rate,
		.syn_burst = c->syn_burst,
		.prefix_ipv4 = c->prefix_ipv4,
		.prefix_ipv6 = c->prefix_ipv6,
		.allowed = c->allow.list,
		.allowed_n = c->allow.n,
		.denied = c->deny.list,
		.denied_n = c->deny.n,
	};
	int result;

	if (!shield_works(g->shield))
		return 0;
	result = shield_apply(g->shield, &rules);
	if (!result)
		result = attach_all(g, sockets);
	if (result)
		LOG(LOG_ERROR, "shield-not-fed", log_errno(result),
		    log_str("means", "not all that is configured is denied"));
	return result;
}

/* Reports */

static const char *why_text(enum shield_why why)
{
	return why == SHIELD_AUTH ? "authentication" : "handshake";
}

static void deny(struct guard *g, const struct config_shield *config,
		 const struct shield_denial *d)
{
	char text[PREFIX_TEXT_MAX];
	struct buf out;
	int result = g->denied_n < config->entries ? shield_deny(g->shield, d) :
						     -ENOSPC;

	buf_init(&out, (uint8_t *)text, sizeof(text));
	prefix_put(&out, &d->prefix);
	buf_put_byte(&out, '\0');
	if (!result) {
		g->denied_n++;
		LOG(LOG_NOTICE, "denied", log_str("source", text),
		    log_str("failures", why_text(d->why)),
		    log_u64("seconds", config->deny_s));
	} else if (!g->full_told) {
		g->full_told = true;
		LOG(LOG_WARNING, "not-denied", log_str("source", text),
		    log_errno(result),
		    log_str("cure", "raise shield.entries, or deny a prefix"));
	}
}

static void note(struct guard *g, const struct config_shield *config,
		 const struct offence_report *report, uint64_t now_ms)
{
	const struct offenders_limit limit = { config->failures,
					       config->window_s * 1000ull };
	struct shield_denial known;
	struct shield_denial d = {
		.prefix = report->source,
		.why = report->kind == OFFENCE_AUTH ? SHIELD_AUTH :
						      SHIELD_HANDSHAKE,
		.since_ms = now_ms,
		.until_ms = now_ms + config->deny_s * 1000ull,
	};

	if (!config->failures ||
	    (d.prefix.family != PREFIX_V4 && d.prefix.family != PREFIX_V6))
		return;
	prefix_cut(&d.prefix, d.prefix.family == PREFIX_V4 ?
				      config->prefix_ipv4 :
				      config->prefix_ipv6);
	/* Of those denied already, sessions may be left; the address counts. */
	if (shield_explain(g->shield, &report->source, now_ms, &known) !=
	    SHIELD_OPEN)
		return;
	if (offenders_note(&g->offenders, &d.prefix, now_ms, limit))
		deny(g, config, &d);
}

static void sweep(struct guard *g, uint64_t now_ms)
{
	struct shield_swept swept;

	if (now_ms < g->sweep_ms)
		return;
	g->sweep_ms = now_ms + SWEEP_MS;
	g->full_told = false;
	swept = shield_sweep(g->shield, now_ms);
	g->denied_n = swept.left;
	if (swept.over)
		LOG(LOG_NOTICE, "denials-over", log_u64("sources", swept.over),
		    log_u64("left", g->denied_n));
}

void guard_turn(struct guard *g, const struct config *config, uint64_t now_ms)
{
	struct offence_report report;

	if (!shield_works(g->shield))
		return;
	for (int i = 0; i < REPORTS_A_TURN; i++) {
		if (read(g->fds[0], &report, sizeof(report)) !=
		    (ssize_t)sizeof(report))
			break;
		note(g, &config->shield, &report, now_ms);
	}
	sweep(g, now_ms);
}
