/* The operator's words about the shield: who is denied, why, for how long. */
#include "super/supervisor_inside.h"

#include "control/words.h"

#include <errno.h>

#define LIST_MAX 1000           /* shown */
#define MOST_S   (365 * 86400u) /* that a denial can last */
#define MS_PER_S 1000

static const char *why_text(enum shield_why why)
{
	switch (why) {
	case SHIELD_CONFIGURED: return "configured";
	case SHIELD_OPERATOR: return "added";
	case SHIELD_AUTH: return "failed authentications";
	case SHIELD_HANDSHAKE: return "failed handshakes";
	}
	return "";
}

static void put_denial(const struct supervisor *s,
		       const struct shield_denial *d, struct buf *out)
{
	uint64_t left_ms = d->until_ms > s->now_ms ? d->until_ms - s->now_ms :
						     0;

	prefix_put(out, &d->prefix);
	buf_printf(out, " denied (%s), ", why_text(d->why));
	if (d->until_ms)
		buf_printf(out, "%llu s left\n",
			   (unsigned long long)left_ms / MS_PER_S);
	else
		buf_put_str(out, "until it is removed\n");
}

static void put_list(const struct supervisor *s, struct buf *out)
{
	struct shield_denial list[LIST_MAX];
	struct shield_counts counts = shield_counts(s->guard.shield);
	uint32_t n = shield_list(s->guard.shield, list, LIST_MAX);

	buf_printf(out,
		   "connections: %llu passed, %llu allowed, %llu denied, "
		   "%llu too fast\n",
		   (unsigned long long)counts.passed,
		   (unsigned long long)counts.allowed,
		   (unsigned long long)counts.denied,
		   (unsigned long long)counts.metered);
	for (uint32_t i = 0; i < n && i < LIST_MAX; i++)
		put_denial(s, &list[i], out);
	if (n > LIST_MAX)
		buf_printf(out, "and %u more\n", n - LIST_MAX);
}

static void add(struct supervisor *s, const struct control_request *r,
		const struct words *words)
{
	struct shield_denial d = { .why = SHIELD_OPERATOR,
				   .since_ms = s->now_ms };
	uint64_t seconds = 0;
	int result;

	if (!operator_prefix(r, words->list[1], &d.prefix))
		return;
	if (words->n == 3 && (!span_to_u64(words->list[2], &seconds) ||
			      !seconds || seconds > MOST_S)) {
		operator_refuse(r, "for how many seconds? 1 to %u", MOST_S);
		return;
	}
	if (seconds)
		d.until_ms = s->now_ms + seconds * MS_PER_S;
	result = shield_deny(s->guard.shield, &d);
	if (result)
		operator_refuse(r, "%s", strerrordesc_np(-result));
	else
		LOG(LOG_NOTICE, "shield-added",
		    log_span("source", words->list[1]),
		    log_u64("seconds", seconds));
}

static void drop(struct supervisor *s, const struct control_request *r,
		 const struct words *words)
{
	struct prefix p;

	if (!operator_prefix(r, words->list[1], &p))
		return;
	if (shield_remove(s->guard.shield, &p))
		operator_refuse(r, "that is not denied; `shield explain' says "
				   "what denies an address");
	else
		LOG(LOG_NOTICE, "shield-removed",
		    log_span("source", words->list[1]));
}

static void explain(const struct supervisor *s, const struct control_request *r,
		    const struct words *words)
{
	struct shield_denial d;
	struct prefix p;

	if (!operator_prefix(r, words->list[1], &p))
		return;
	switch (shield_explain(s->guard.shield, &p, s->now_ms, &d)) {
	case SHIELD_OPEN: buf_put_str(r->answer, "not denied\n"); break;
	case SHIELD_ALLOWED:
		buf_put_str(r->answer, "allowed by the configuration\n");
		break;
	case SHIELD_DENIED: put_denial(s, &d, r->answer); break;
	}
}

void operator_shield(struct supervisor *s, const struct control_request *r)
{
	const struct words words = words_split(r->words);
	struct span verb = words.n ? words.list[0] : span_of(NULL, 0);

	if (!shield_works(s->guard.shield))
		operator_refuse(r, "there is no shield: %s",
				s->assets->config->shield.line ?
					"the log of the start says why" :
					"add a block `shield'");
	else if (span_equal(verb, SPAN("list")) && words.n == 1)
		put_list(s, r->answer);
	else if (span_equal(verb, SPAN("add")) &&
		 (words.n == 2 || words.n == 3))
		add(s, r, &words);
	else if (span_equal(verb, SPAN("remove")) && words.n == 2)
		drop(s, r, &words);
	else if (span_equal(verb, SPAN("explain")) && words.n == 2)
		explain(s, r, &words);
	else
		operator_refuse(r, "say shield list, add PREFIX [SECONDS], "
				   "remove PREFIX or explain ADDRESS");
}
