#include "control/expose.h"

#include "base/json.h"
#include "base/must.h"
#include "control/listing.h"

static const char *const state_names[] = {
	[EXPOSE_STARTING] = "starting", [EXPOSE_RUNNING] = "running",
	[EXPOSE_DRAINING] = "draining", [EXPOSE_WAITING] = "waiting",
	[EXPOSE_GONE] = "gone",
};

static uint64_t total(const struct expose_status *s, enum metric m)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < s->processes_n; i++)
		sum += metric_read(s->processes[i].metrics, m);
	return sum;
}

static uint64_t seconds_since(const struct expose_status *s, uint64_t then_s)
{
	return s->now_s > then_s ? s->now_s - then_s : 0;
}

/* Text */

/* "2d 3h", "5m 7s": the two largest units. */
static void put_age(struct buf *out, uint64_t s)
{
	if (s >= 86400)
		buf_printf(out, "%llud %lluh", (unsigned long long)s / 86400,
			   (unsigned long long)s / 3600 % 24);
	else if (s >= 3600)
		buf_printf(out, "%lluh %llum", (unsigned long long)s / 3600,
			   (unsigned long long)s / 60 % 60);
	else
		buf_printf(out, "%llum %llus", (unsigned long long)s / 60,
			   (unsigned long long)s % 60);
}

static void put_process(const struct expose_process *p, struct buf *out)
{
	buf_printf(out, "%-14.32s %8d %-9s %8u %11llu %12llu\n", p->name,
		   (int)p->pid, state_names[p->state], p->restarts,
		   (unsigned long long)metric_read(p->metrics,
						   METRIC_CONNECTIONS_NOW),
		   (unsigned long long)metric_read(p->metrics,
						   METRIC_MESSAGES_ACCEPTED));
}

void expose_text(const struct expose_status *s, struct buf *out)
{
	buf_put_str(out, "sluice ");
	buf_put_str(out, s->version);
	buf_put_str(out, ", up ");
	put_age(out, seconds_since(s, s->started_s));
	buf_put_str(out, ", generation ");
	buf_put_u64(out, s->generation);
	buf_printf(out, "\n\n%-14s %8s %-9s %8s %11s %12s\n", "process", "pid",
		   "state", "restarts", "connections", "messages");
	for (uint32_t i = 0; i < s->processes_n; i++)
		put_process(&s->processes[i], out);
	buf_put_str(out, "\nqueue: ");
	buf_put_u64(out, total(s, METRIC_QUEUE_NOW));
	buf_put_str(out, " waiting, ");
	buf_put_u64(out, total(s, METRIC_QUEUE_DEFERRED_NOW));
	buf_put_str(out, " of them deferred, ");
	buf_put_u64(out, total(s, METRIC_QUEUE_HELD_NOW));
	buf_put_str(out, " held\n\n");
	for (enum metric m = 0; m < METRIC_N; m++) {
		uint64_t value = total(s, m);

		if (value)
			buf_printf(out, "%12llu  %s\n",
				   (unsigned long long)value, metric_help(m));
	}
}

/* JSON */

static void json_process(struct json *j, const struct expose_process *p)
{
	json_open(j, NULL, '{');
	json_string(j, "name", p->name);
	json_number(j, "pid", (uint64_t)p->pid);
	json_string(j, "state", state_names[p->state]);
	json_number(j, "restarts", p->restarts);
	json_number(j, "started", p->started_s);
	json_number(j, "connections",
		    metric_read(p->metrics, METRIC_CONNECTIONS_NOW));
	json_number(j, "messages",
		    metric_read(p->metrics, METRIC_MESSAGES_ACCEPTED));
	json_close(j, '}');
}

static void json_totals(struct json *j, const struct expose_status *s)
{
	char name[METRIC_NAME_BYTES];

	json_open(j, "queue", '{');
	json_number(j, "waiting", total(s, METRIC_QUEUE_NOW));
	json_number(j, "deferred", total(s, METRIC_QUEUE_DEFERRED_NOW));
	json_number(j, "held", total(s, METRIC_QUEUE_HELD_NOW));
	json_close(j, '}');
	json_open(j, "totals", '{');
	for (enum metric m = 0; m < METRIC_N; m++) {
		metric_lower_name(m, name);
		json_number(j, name, total(s, m));
	}
	json_close(j, '}');
}

void expose_json(const struct expose_status *s, struct buf *out)
{
	struct json j = json_into(out);
	struct listing listing;

	json_open(&j, NULL, '{');
	json_string(&j, "version", s->version);
	json_number(&j, "generation", s->generation);
	json_number(&j, "started", s->started_s);
	json_number(&j, "uptime", seconds_since(s, s->started_s));
	json_open(&j, "processes", '[');
	for (uint32_t i = 0; i < s->processes_n; i++)
		json_process(&j, &s->processes[i]);
	json_close(&j, ']');
	json_totals(&j, s);
	listing_gather(s, &listing);
	listing_json(&listing, &j);
	json_close(&j, '}');
	buf_put_byte(out, '\n');
}

/* Counters */

static void put_metric_name(enum metric m, char ret[METRIC_NAME_BYTES])
{
	char name[METRIC_NAME_BYTES];
	int n;

	metric_lower_name(m, name);
	n = snprintf(ret, METRIC_NAME_BYTES, "sluice_%s%s", name,
		     metric_is_gauge(m) ? "" : "_total");
	MUST(n > 0 && n < METRIC_NAME_BYTES);
}

void expose_metrics(const struct expose_status *s, struct buf *out)
{
	char name[METRIC_NAME_BYTES];
	struct listing listing;

	for (enum metric m = 0; m < METRIC_N; m++) {
		put_metric_name(m, name);
		buf_printf(out, "# HELP %s %s\n", name, metric_help(m));
		buf_printf(out, "# TYPE %s %s\n", name,
			   metric_is_gauge(m) ? "gauge" : "counter");
		buf_printf(out, "%s %llu\n", name,
			   (unsigned long long)total(s, m));
	}
	listing_gather(s, &listing);
	listing_metrics(&listing, out);
}

void expose_print_metrics(FILE *out)
{
	char name[METRIC_NAME_BYTES];

	(void)fputs(".Bl -tag -width Ds\n", out);
	for (enum metric m = 0; m < METRIC_N; m++) {
		put_metric_name(m, name);
		(void)fprintf(out, ".It Dv %s\n%s\n", name, metric_help(m));
	}
	(void)fputs(".It Dv sluice_listener_sessions_total\n"
		    "The counters of offload and nic above for each listener "
		    "by itself: labels listener and records.\n",
		    out);
	(void)fputs(".El\n", out);
}
