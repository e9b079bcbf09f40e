#include "doctor/live.h"

#include "base/tally.h"
#include "tls/offload.h"

#define AREA "daemon"

_Static_assert((int)TALLY_FIRST == (int)METRIC_OFFLOAD_KERNEL,
	       "a tally begins with the reasons, in their order");

struct live_listener {
	struct span name;
	uint64_t value[TALLY_N];
};

static uint64_t of(const struct live_listener *l, enum metric m)
{
	return l->value[m - TALLY_FIRST];
}

/* -- the answer ---------------------------------------------------------------- */

static struct span take_until(struct span *text, uint8_t end)
{
	size_t n = span_find(*text, end);
	struct span taken = span_head(*text, n);

	*text = span_tail(*text, n < text->len ? n + 1 : n);
	return taken;
}

/* A daemon of another version may know counters that we do not: they are left
 * out. */
static void add(struct live_listener *l, struct span counter, struct span value)
{
	for (uint32_t i = 0; i < TALLY_N; i++) {
		const char *name = metric_name((enum metric)(TALLY_FIRST + i));
		uint64_t n;

		if (span_equal(counter, span_str(name)) &&
		    span_to_u64(value, &n))
			l->value[i] = n;
	}
}

/* The lines of the first listener, which stand together. False: none is left. */
static bool next(struct span *answer, struct live_listener *ret)
{
	struct live_listener l = { 0 };

	while (answer->len) {
		struct span rest = *answer;
		struct span line = take_until(&rest, '\n');
		struct span name = take_until(&line, '\t');
		struct span counter = take_until(&line, '\t');

		if (l.name.len && !span_equal(name, l.name))
			break;
		l.name = name;
		add(&l, counter, line);
		*answer = rest;
	}
	*ret = l;
	return l.name.len;
}

/* -- the findings --------------------------------------------------------------- */

static uint64_t in_userspace(const struct live_listener *l)
{
	uint64_t n = 0;

	for (int r = 0; r < OFFLOAD_REASONS_N; r++)
		if (r != OFFLOAD_KERNEL)
			n += l->value[r];
	return n;
}

/* "no-ulp 3, version 1" */
static const char *reasons(const struct live_listener *l, struct findings *f)
{
	const char *text = "";

	for (int r = 0; r < OFFLOAD_REASONS_N; r++)
		if (r != OFFLOAD_KERNEL && l->value[r])
			text = findings_text(
				f, "%s%s%s %llu", text, *text ? ", " : "",
				offload_name((enum offload_reason)r),
				(unsigned long long)l->value[r]);
	return text;
}

/* What the most frequent reason means. */
static const char *explain(const struct live_listener *l)
{
	enum offload_reason most = OFFLOAD_KERNEL;
	uint64_t n = 0;

	for (int r = 0; r < OFFLOAD_REASONS_N; r++) {
		if (r == OFFLOAD_KERNEL || l->value[r] <= n)
			continue;
		n = l->value[r];
		most = (enum offload_reason)r;
	}
	return n ? offload_help(most) : NULL;
}

static void judge_refused(const struct live_listener *l, struct findings *f)
{
	uint64_t ktls = of(l, METRIC_OFFLOAD_UNMET);
	uint64_t nic = of(l, METRIC_NIC_UNMET);

	if (!ktls && !nic)
		return;
	FINDING(f, .area = AREA,
		.subject = findings_text(f, "%.*s: refused", (int)l->name.len,
					 (const char *)l->name.p),
		.found = findings_text(f, "%llu by ktls, %llu by nic",
				       (unsigned long long)ktls,
				       (unsigned long long)nic),
		.means = "sessions that could not have what the listener "
			 "requires were ended with a 421",
		.grade = FINDING_NOTE);
}

static void judge(const struct live_listener *l, struct findings *f)
{
	uint64_t kernel = of(l, METRIC_OFFLOAD_KERNEL);
	uint64_t userspace = in_userspace(l);
	uint64_t device = of(l, METRIC_NIC_BOTH) + of(l, METRIC_NIC_TX) +
			  of(l, METRIC_NIC_RX);
	const char *why = reasons(l, f);

	FINDING(f, .area = AREA,
		.subject = findings_text(f, "%.*s", (int)l->name.len,
					 (const char *)l->name.p),
		.found = findings_text(f,
				       "kernel %llu, of these device %llu; "
				       "userspace %llu%s%s%s",
				       (unsigned long long)kernel,
				       (unsigned long long)device,
				       (unsigned long long)userspace,
				       *why ? " (" : "", why, *why ? ")" : ""),
		.means = explain(l),
		.grade = userspace ? FINDING_NOTE : FINDING_WELL);
	judge_refused(l, f);
}

void live_judge(struct span answer, struct findings *f)
{
	struct live_listener l;
	bool any = false;

	while (next(&answer, &l)) {
		judge(&l, f);
		any = true;
	}
	if (!any)
		FINDING(f, .area = AREA, .subject = "running",
			.found = "serves no listener yet",
			.grade = FINDING_NOTE);
}

void live_absent(const char *why, struct findings *f)
{
	FINDING(f, .area = AREA, .subject = "running",
		.found = findings_text(f, "%s", why), .grade = FINDING_NOTE);
}
