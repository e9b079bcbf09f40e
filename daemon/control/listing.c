#include "control/listing.h"

static struct listing_entry *entry_of(struct listing *l, const char *name)
{
	for (uint32_t i = 0; i < l->n; i++)
		if (!strcmp(l->entries[i].name, name))
			return &l->entries[i];
	if (l->n == TALLY_ROWS)
		return NULL;
	l->entries[l->n] = (struct listing_entry){ .name = name };
	return &l->entries[l->n++];
}

static void add(struct listing *l, const struct tally *t)
{
	for (uint32_t i = 0; i < TALLY_ROWS; i++) {
		const char *name = tally_name(t, i);
		struct listing_entry *e = name ? entry_of(l, name) : NULL;

		for (uint32_t k = 0; e && k < TALLY_N; k++)
			e->value[k] += tally_read(
				&t->rows[i], (enum metric)(TALLY_FIRST + k));
	}
}

void listing_gather(const struct expose_status *status, struct listing *ret)
{
	ret->n = 0;
	for (uint32_t i = 0; i < status->processes_n; i++)
		if (status->processes[i].tally)
			add(ret, status->processes[i].tally);
}

static uint8_t printable(char c)
{
	return (uint8_t)c < ' ' || c == 0x7f ? (uint8_t)'?' : (uint8_t)c;
}

static void put_printable(struct buf *out, const char *name)
{
	for (; *name; name++)
		buf_put_byte(out, printable(*name));
}

void listing_text(const struct listing *l, struct buf *out)
{
	for (uint32_t i = 0; i < l->n; i++) {
		const struct listing_entry *e = &l->entries[i];

		for (uint32_t k = 0; k < TALLY_N; k++) {
			if (k && !e->value[k])
				continue;
			put_printable(out, e->name);
			buf_printf(out, "\t%s\t%llu\n",
				   metric_name((enum metric)(TALLY_FIRST + k)),
				   (unsigned long long)e->value[k]);
		}
	}
}

void listing_json(const struct listing *l, struct json *j)
{
	char name[METRIC_NAME_BYTES];

	json_open(j, "listeners", '[');
	for (uint32_t i = 0; i < l->n; i++) {
		json_open(j, NULL, '{');
		json_string(j, "name", l->entries[i].name);
		for (uint32_t k = 0; k < TALLY_N; k++) {
			metric_lower_name((enum metric)(TALLY_FIRST + k), name);
			json_number(j, name, l->entries[i].value[k]);
		}
		json_close(j, '}');
	}
	json_close(j, ']');
}

/* As the text format 0.0.4 wants a label's value. */
static void put_label(struct buf *out, const char *name)
{
	for (; *name; name++) {
		if (*name == '"' || *name == '\\')
			buf_put_byte(out, '\\');
		buf_put_byte(out, printable(*name));
	}
}

void listing_metrics(const struct listing *l, struct buf *out)
{
	static const char series[] = "sluice_listener_sessions_total";
	char name[METRIC_NAME_BYTES];

	buf_printf(out,
		   "# HELP %s sessions of a listener by who makes the records, "
		   "or why not the kernel\n# TYPE %s counter\n",
		   series, series);
	for (uint32_t i = 0; i < l->n; i++) {
		for (uint32_t k = 0; k < TALLY_N; k++) {
			metric_lower_name((enum metric)(TALLY_FIRST + k), name);
			buf_printf(out, "%s{listener=\"", series);
			put_label(out, l->entries[i].name);
			buf_printf(out, "\",records=\"%s\"} %llu\n", name,
				   (unsigned long long)l->entries[i].value[k]);
		}
	}
}
