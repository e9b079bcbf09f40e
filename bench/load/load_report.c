#include "load/load_report.h"

#include "base/json.h"
#include "base/version.h"

#include <inttypes.h>

static const struct load_options *options(const struct outcome *o)
{
	return o->run->options;
}

static double per(double what, uint64_t n)
{
	return n ? what / (double)n : 0;
}

static double rate(const struct outcome *o, double what)
{
	return o->seconds > 0 ? what / o->seconds : 0;
}

static uint64_t handshakes(const struct outcome *o)
{
	return o->tally.handshakes_full + o->tally.handshakes_resumed;
}

/* What a cost is divided by. */
static uint64_t units(const struct outcome *o)
{
	switch ((enum load_mode)options(o)->mode) {
	case LOAD_MODE_MAIL: return o->tally.messages;
	case LOAD_MODE_HANDSHAKE: return handshakes(o);
	case LOAD_MODE_IDLE: break;
	}
	return o->opened;
}

static const char *unit_name(const struct outcome *o)
{
	static const char *const names[] = {
		[LOAD_MODE_MAIL] = "message",
		[LOAD_MODE_HANDSHAKE] = "handshake",
		[LOAD_MODE_IDLE] = "connection",
	};

	return names[options(o)->mode];
}

static const char *body_used(const struct outcome *o)
{
	if (!o->tally.messages)
		return "none";
	return 2 * o->tally.by_bdat > o->tally.messages ? "bdat" : "data";
}

static double grown(uint64_t before, uint64_t after, uint64_t n)
{
	return per((double)after - (double)before, n);
}

static uint64_t cpu_us(const struct outcome *o)
{
	return o->after.cpu_us - o->before.cpu_us;
}

/* -- the table ------------------------------------------------------------------- */

static void print_latencies(const struct outcome *o, FILE *out)
{
	(void)fprintf(out, "\n  %-12s %9s %9s %9s %9s %9s %9s   us\n",
		      "latency", "n", "mean", "p50", "p90", "p99", "max");
	for (unsigned int i = 0; i < TALLY_LATENCIES; i++) {
		const struct histogram *h = &o->tally.latency[i];

		if (!h->n)
			continue;
		(void)fprintf(out,
			      "  %-12s %9" PRIu64
			      " %9.0f %9.0f %9.0f %9.0f %9.0f   %s\n",
			      tally_latency_key((enum tally_latency)i), h->n,
			      (double)histogram_mean(h) / 1e3,
			      (double)histogram_quantile(h, 0.5) / 1e3,
			      (double)histogram_quantile(h, 0.9) / 1e3,
			      (double)histogram_quantile(h, 0.99) / 1e3,
			      (double)h->max / 1e3,
			      tally_latency_help((enum tally_latency)i));
	}
}

static void print_failures(const struct outcome *o, FILE *out)
{
	const struct tally *t = &o->tally;

	(void)fprintf(out, "\n  failed %" PRIu64 "\n", t->failed);
	for (uint32_t i = 0; i < t->failures_n; i++)
		(void)fprintf(out, "    %8" PRIu64 "  %-9s %03u  %s\n",
			      t->failures[i].n,
			      tally_stage_name(t->failures[i].stage),
			      t->failures[i].code, t->failures[i].reason);
	if (options(o)->rate > 0)
		(void)fprintf(out,
			      "  due %" PRIu64 ", dropped %" PRIu64
			      ", longest backlog %" PRIu64
			      ", latest begin %.1f ms\n",
			      t->due, t->dropped, t->backlog_max,
			      (double)t->late_max_ns / 1e6);
}

static void print_cost(const struct outcome *o, FILE *out)
{
	(void)fprintf(out,
		      "\n  server       %.3f s of processor (user %.3f, system "
		      "%.3f): %.1f us per %s\n",
		      (double)cpu_us(o) / 1e6,
		      (double)(o->after.user_us - o->before.user_us) / 1e6,
		      (double)(o->after.system_us - o->before.system_us) / 1e6,
		      per((double)cpu_us(o), units(o)), unit_name(o));
	(void)fprintf(out, "  memory       %.1f MiB proportional set size%s\n",
		      (double)o->after.pss / 1048576.0,
		      o->settled ? "" : "; it did not settle in time");
	if (o->counters_missing)
		(void)fprintf(out, "  calls        not counted: %s\n",
			      o->counters_missing);
	else
		(void)fprintf(
			out,
			"  calls        %.2f system calls, %.4f syncs per "
			"%s\n",
			per((double)o->counted.system_calls, units(o)),
			per((double)o->counted.syncs, units(o)), unit_name(o));
}

static void print_idle(const struct outcome *o, FILE *out)
{
	(void)fprintf(out,
		      "\n  held %" PRIu64 " connections for %.1f s; each takes "
		      "%.0f bytes of PSS, %.0f of the group's memory\n",
		      o->opened, o->held_s,
		      grown(o->before.pss, o->after.pss, o->opened),
		      grown(o->before.memory, o->after.memory, o->opened));
}

void load_report_comparison(const struct comparison *c, FILE *out)
{
	(void)fprintf(out,
		      "\n  verified     %" PRIu64 " sent, %" PRIu64
		      " arrived: %s\n",
		      c->sent, c->arrived,
		      comparison_is_good(c) ? "all as they were sent" :
					      "NOT as they were sent");
	for (unsigned int i = 0; i < COMPARE_FINDINGS; i++) {
		if (!c->found[i])
			continue;
		(void)fprintf(out, "    %8" PRIu64 "  %s:", c->found[i],
			      compare_finding_name((enum compare_finding)i));
		for (uint32_t k = 0; k < c->examples_n[i]; k++) {
			char id[ACCOUNT_ID_LEN];

			account_put_id(id, c->examples[i][k]);
			(void)fprintf(out, " %.*s", ACCOUNT_ID_LEN, id);
		}
		(void)fputc('\n', out);
	}
}

static void print_tls(const struct outcome *o, FILE *out)
{
	const struct tally *t = &o->tally;

	if (!t->tls.version)
		return;
	(void)fprintf(out,
		      "  TLS          %s %s, %" PRIu64 " full and %" PRIu64
		      " resumed handshakes\n",
		      t->tls.version, t->tls.cipher, t->handshakes_full,
		      t->handshakes_resumed);
}

static void print_amounts(const struct outcome *o, FILE *out)
{
	const struct tally *t = &o->tally;

	(void)fprintf(out, "  %-12s %.3f s: ", "measured", o->seconds);
	if (options(o)->mode == LOAD_MODE_MAIL)
		(void)fprintf(out,
			      "%" PRIu64 " messages (%.1f/s, %.2f MiB/s), ",
			      t->messages, rate(o, (double)t->messages),
			      rate(o, (double)t->bytes) / 1048576.0);
	(void)fprintf(out, "%" PRIu64 " connections (%.1f/s)\n", t->connections,
		      rate(o, (double)t->connections));
}

void load_report_table(const struct outcome *o, const struct comparison *verify,
		       FILE *out)
{
	const struct tally *t = &o->tally;

	(void)fprintf(out, "%s  %s, %s, %s loop%s\n", options(o)->target,
		      load_mode_name(options(o)->mode),
		      load_tls_name(options(o)->tls),
		      options(o)->rate > 0 ? "open" : "closed",
		      o->interrupted ? " (interrupted)" : "");
	print_amounts(o, out);
	print_tls(o, out);
	print_latencies(o, out);
	if (t->failed || options(o)->rate > 0)
		print_failures(o, out);
	if (options(o)->mode == LOAD_MODE_IDLE)
		print_idle(o, out);
	if (cost_is_wanted(options(o)))
		print_cost(o, out);
	if (verify)
		load_report_comparison(verify, out);
}

/* -- JSON -------------------------------------------------------------------------- */

static void put_text(struct json *j, const char *key, const char *value)
{
	json_string(j, key, value ? value : "");
}

static void put_head(struct json *j, const struct outcome *o)
{
	const struct load_options *opt = options(o);
	const struct tally *t = &o->tally;

	put_text(j, "tool", "sluice-load");
	put_text(j, "version", SLUICE_VERSION);
	put_text(j, "target", opt->target);
	put_text(j, "mode", load_mode_name(opt->mode));
	put_text(j, "loop", opt->rate > 0 ? "open" : "closed");
	json_open(j, "tls", '{');
	put_text(j, "mode", load_tls_name(opt->tls));
	put_text(j, "version", t->tls.version);
	put_text(j, "cipher", t->tls.cipher);
	json_number(j, "resume", opt->resume);
	json_close(j, '}');
	json_open(j, "load", '{');
	json_number(j, "connections", opt->connections);
	json_number(j, "threads", opt->threads);
	json_number(j, "per_connection", opt->per_connection);
	json_decimal(j, "rate", opt->rate, 3);
	json_number(j, "size", opt->size);
	json_number(j, "size_median", opt->size_median);
	json_decimal(j, "size_sigma", opt->size_sigma, 3);
	json_number(j, "size_max", opt->size_max);
	put_text(j, "folder", opt->folder);
	json_number(j, "recipients", opt->recipients);
	put_text(j, "body", body_used(o));
	json_number(j, "pipelining", 2 * t->pipelined > t->messages);
	json_number(j, "auth", opt->user != NULL);
	json_close(j, '}');
}

static void put_rates(struct json *j, const struct outcome *o)
{
	const struct tally *t = &o->tally;

	json_decimal(j, "seconds", o->seconds, 6);
	json_number(j, "interrupted", o->interrupted);
	json_number(j, "messages", t->messages);
	json_number(j, "warm_up_messages", o->warm_up_messages);
	json_number(j, "recipients", t->recipients);
	json_number(j, "bytes", t->bytes);
	json_number(j, "connections", t->connections);
	json_number(j, "handshakes_full", t->handshakes_full);
	json_number(j, "handshakes_resumed", t->handshakes_resumed);
	json_open(j, "per_second", '{');
	json_decimal(j, "messages", rate(o, (double)t->messages), 3);
	json_decimal(j, "mebibytes", rate(o, (double)t->bytes) / 1048576.0, 3);
	json_decimal(j, "connections", rate(o, (double)t->connections), 3);
	json_decimal(j, "handshakes", rate(o, (double)handshakes(o)), 3);
	json_close(j, '}');
}

static void put_latencies(struct json *j, const struct outcome *o)
{
	static const struct {
		const char *key;
		double share;
	} quantiles[] = { { "p50", 0.5 },
			  { "p90", 0.9 },
			  { "p99", 0.99 },
			  { "p999", 0.999 } };

	json_open(j, "latency_us", '{');
	for (unsigned int i = 0; i < TALLY_LATENCIES; i++) {
		const struct histogram *h = &o->tally.latency[i];

		json_open(j, tally_latency_key((enum tally_latency)i), '{');
		json_number(j, "n", h->n);
		json_decimal(j, "min", (double)h->min / 1e3, 1);
		json_decimal(j, "mean", (double)histogram_mean(h) / 1e3, 1);
		for (size_t k = 0; k < sizeof(quantiles) / sizeof(*quantiles);
		     k++)
			json_decimal(j, quantiles[k].key,
				     (double)histogram_quantile(
					     h, quantiles[k].share) /
					     1e3,
				     1);
		json_decimal(j, "max", (double)h->max / 1e3, 1);
		json_close(j, '}');
	}
	json_close(j, '}');
}

static void put_failures(struct json *j, const struct outcome *o)
{
	const struct tally *t = &o->tally;

	if (options(o)->rate > 0) {
		json_open(j, "open_loop", '{');
		json_number(j, "due", t->due);
		json_number(j, "dropped", t->dropped);
		json_number(j, "backlog_max", t->backlog_max);
		json_number(j, "late_max_us", t->late_max_ns / 1000);
		json_close(j, '}');
	}
	json_open(j, "failures", '[');
	for (uint32_t i = 0; i < t->failures_n; i++) {
		json_open(j, NULL, '{');
		put_text(j, "stage", tally_stage_name(t->failures[i].stage));
		json_number(j, "code", t->failures[i].code);
		put_text(j, "reason", t->failures[i].reason);
		json_number(j, "n", t->failures[i].n);
		json_close(j, '}');
	}
	json_close(j, ']');
	json_number(j, "failed", t->failed);
}

static void put_idle(struct json *j, const struct outcome *o)
{
	json_open(j, "idle", '{');
	json_number(j, "opened", o->opened);
	json_decimal(j, "held_seconds", o->held_s, 3);
	json_number(j, "pss_before", o->before.pss);
	json_number(j, "pss_after", o->after.pss);
	json_decimal(j, "pss_per_connection",
		     grown(o->before.pss, o->after.pss, o->opened), 1);
	json_number(j, "memory_before", o->before.memory);
	json_number(j, "memory_after", o->after.memory);
	json_decimal(j, "memory_per_connection",
		     grown(o->before.memory, o->after.memory, o->opened), 1);
	json_close(j, '}');
}

static void put_cost(struct json *j, const struct outcome *o)
{
	json_open(j, "cost", '{');
	put_text(j, "source", cost_source(options(o)));
	json_number(j, "cpu_us", cpu_us(o));
	json_number(j, "user_us", o->after.user_us - o->before.user_us);
	json_number(j, "system_us", o->after.system_us - o->before.system_us);
	json_decimal(j, "cpu_us_per_message", per((double)cpu_us(o), units(o)),
		     3);
	json_number(j, "pss", o->after.pss);
	json_number(j, "processes", o->after.processes);
	json_number(j, "settled", o->settled);
	json_decimal(j, "settle_seconds", o->settle_s, 3);
	put_text(j, "counted", o->counters_missing);
	json_number(j, "system_calls", o->counted.system_calls);
	json_number(j, "syncs", o->counted.syncs);
	json_decimal(j, "system_calls_per_message",
		     per((double)o->counted.system_calls, units(o)), 3);
	json_decimal(j, "syncs_per_message",
		     per((double)o->counted.syncs, units(o)), 6);
	json_number(j, "context_switches",
		    o->after.switches - o->before.switches);
	json_close(j, '}');
}

static void put_verify(struct json *j, const struct comparison *c)
{
	json_open(j, "verify", '{');
	json_number(j, "sent", c->sent);
	json_number(j, "arrived", c->arrived);
	for (unsigned int i = 0; i < COMPARE_FINDINGS; i++)
		json_number(j, compare_finding_name((enum compare_finding)i),
			    c->found[i]);
	json_number(j, "ok", comparison_is_good(c));
	json_close(j, '}');
}

void load_report_json(const struct outcome *o, const struct comparison *verify,
		      struct buf *out)
{
	struct json j = json_into(out);

	json_open(&j, NULL, '{');
	put_head(&j, o);
	put_rates(&j, o);
	put_latencies(&j, o);
	put_failures(&j, o);
	if (options(o)->mode == LOAD_MODE_IDLE)
		put_idle(&j, o);
	if (cost_is_wanted(options(o)))
		put_cost(&j, o);
	json_number(&j, "client_cpu_us", o->client_cpu_us);
	if (verify)
		put_verify(&j, verify);
	json_close(&j, '}');
	buf_put_byte(out, '\n');
}
