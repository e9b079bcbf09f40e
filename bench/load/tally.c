#include "load/tally.h"

#include "base/must.h"

static const struct {
	const char *key;
	const char *help;
} latencies[TALLY_LATENCIES] = {
#define TALLY_LATENCY_ROW(name, key, help) [TALLY_##name] = { key, help },
	TALLY_LATENCY_TABLE(TALLY_LATENCY_ROW)
#undef TALLY_LATENCY_ROW
};

const char *tally_latency_key(enum tally_latency which)
{
	MUST(which < TALLY_LATENCIES);
	return latencies[which].key;
}

const char *tally_latency_help(enum tally_latency which)
{
	MUST(which < TALLY_LATENCIES);
	return latencies[which].help;
}

const char *tally_stage_name(enum tally_stage stage)
{
	static const char *const names[TALLY_STAGES] = {
		"connect",   "tls",     "greeting", "auth",
		"recipient", "message", "session",
	};

	MUST(stage < TALLY_STAGES);
	return names[stage];
}

void tally_clear(struct tally *t)
{
	memset(t, 0, sizeof(*t));
}

void tally_time(struct tally *t, enum tally_latency which, uint64_t ns)
{
	histogram_record(&t->latency[which], ns);
}

/* Replies that name a message or a queue differ, though they mean the same. */
static struct tally_failure *find(struct tally *t, enum tally_stage stage,
				  uint16_t code, struct span reason)
{
	for (uint32_t i = 0; i < t->failures_n; i++) {
		struct tally_failure *f = &t->failures[i];

		if (f->stage == stage && f->code == code &&
		    (code || span_equal(span_str(f->reason), reason)))
			return f;
	}
	return NULL;
}

static void count(struct tally *t, const struct tally_failure *what)
{
	struct span reason = span_str(what->reason);
	struct tally_failure *f = find(t, what->stage, what->code, reason);

	t->failed += what->n;
	if (!f && t->failures_n < TALLY_FAILURES_MAX) {
		f = &t->failures[t->failures_n++];
		*f = *what;
		return;
	}
	if (!f) {
		f = &t->failures[TALLY_FAILURES_MAX - 1];
		memcpy(f->reason, "others", sizeof("others"));
	}
	f->n += what->n;
}

void tally_fail(struct tally *t, enum tally_stage stage,
		const struct client_verdict *why)
{
	struct span text = client_reply_text(&why->reply);
	struct tally_failure f = { .stage = stage,
				   .code = why->reply.code,
				   .n = 1 };

	memcpy(f.reason, text.p, text.len);
	count(t, &f);
}

static uint64_t greater(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

void tally_add(struct tally *t, const struct tally *other)
{
	for (size_t i = 0; i < TALLY_LATENCIES; i++)
		histogram_add(&t->latency[i], &other->latency[i]);
	t->messages += other->messages;
	t->recipients += other->recipients;
	t->bytes += other->bytes;
	t->connections += other->connections;
	t->handshakes_full += other->handshakes_full;
	t->handshakes_resumed += other->handshakes_resumed;
	t->by_bdat += other->by_bdat;
	t->pipelined += other->pipelined;
	t->due += other->due;
	t->dropped += other->dropped;
	t->backlog_max += other->backlog_max; /* each thread has its own */
	t->late_max_ns = greater(t->late_max_ns, other->late_max_ns);
	t->last_ns = greater(t->last_ns, other->last_ns);
	if (other->tls.version)
		t->tls = other->tls;
	for (uint32_t i = 0; i < other->failures_n; i++)
		count(t, &other->failures[i]);
}
