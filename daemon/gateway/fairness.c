#include "gateway/fairness.h"

#include "base/prefix.h"
#include "gateway/message.h"
#include "gateway/session.h"
#include "gateway/worker.h"

#include <errno.h>
#include <sys/random.h>

static const struct config_shares *config_of(const struct worker *w)
{
	return &w->options->config->shares;
}

/* A session holds two shares, and so does a message. */
static uint32_t holders(uint32_t sessions, uint32_t messages)
{
	return 2 * (sessions + messages);
}

uint64_t fairness_bytes(uint32_t sessions, uint32_t messages)
{
	return shares_bytes(holders(sessions, messages));
}

int fairness_init(struct worker *w)
{
	uint64_t seed;

	if (getrandom(&seed, sizeof(seed), 0) != (ssize_t)sizeof(seed))
		return -EIO;
	return shares_init(&w->shares, holders(w->sessions.n, w->messages.n),
			   seed);
}

static bool over(uint64_t count, uint64_t most)
{
	return most && count > most;
}

static enum reply refuse(struct worker *w, enum metric m, enum reply reply)
{
	worker_count(w, m);
	return reply;
}

/* Connections */

static void join(struct worker *w, uint32_t *share, struct span client)
{
	*share = shares_hold(&w->shares, client);
	shares_at(&w->shares, *share)->connections++;
}

static void leave(struct worker *w, uint32_t *share)
{
	if (*share == SHARES_NONE)
		return;
	shares_at(&w->shares, *share)->connections--;
	shares_let_go(&w->shares, *share);
	*share = SHARES_NONE;
}

enum reply fairness_connect(struct worker *w, struct session *s,
			    const struct sockaddr *address)
{
	const struct config_shares *config = config_of(w);
	struct prefix p;

	s->prefix_share = s->user_share = SHARES_NONE;
	if (!prefix_of_address(address, &p))
		return REPLY_OK;
	prefix_cut(&p, p.family == PREFIX_V4 ? config->prefix_ipv4 :
					       config->prefix_ipv6);
	/* Its first byte, 4 or 6, begins no user's name. */
	join(w, &s->prefix_share, span_of((const uint8_t *)&p, sizeof(p)));
	if (!over(shares_at(&w->shares, s->prefix_share)->connections,
		  config->prefix.connections))
		return REPLY_OK;
	leave(w, &s->prefix_share);
	return refuse(w, METRIC_SHARE_CONNECTIONS_REFUSED,
		      REPLY_TOO_MANY_CONNECTIONS);
}

enum reply fairness_login(struct worker *w, struct session *s, struct span user)
{
	MUST(s->user_share == SHARES_NONE); /* RFC 4954 4: once a session */
	join(w, &s->user_share, user);
	if (!over(shares_at(&w->shares, s->user_share)->connections,
		  config_of(w)->user.connections))
		return REPLY_OK;
	return refuse(w, METRIC_SHARE_CONNECTIONS_REFUSED,
		      REPLY_TOO_MANY_CONNECTIONS);
}

void fairness_disconnect(struct worker *w, struct session *s)
{
	leave(w, &s->prefix_share);
	leave(w, &s->user_share);
}

/* Messages */

/* Would `more` bytes be too many for one of the message's clients? */
static bool too_many_bytes(const struct worker *w, const struct message *m,
			   uint64_t more)
{
	const struct share *prefix = shares_at(&w->shares, m->prefix_share);
	const struct share *user = shares_at(&w->shares, m->user_share);

	return (prefix &&
		over(prefix->bytes + more, config_of(w)->prefix.bytes)) ||
	       (user && over(user->bytes + more, config_of(w)->user.bytes));
}

static bool too_many_messages(const struct worker *w, const struct message *m)
{
	const struct share *prefix = shares_at(&w->shares, m->prefix_share);
	const struct share *user = shares_at(&w->shares, m->user_share);

	return (prefix &&
		over(prefix->messages, config_of(w)->prefix.messages)) ||
	       (user && over(user->messages, config_of(w)->user.messages));
}

enum reply fairness_open(struct worker *w, struct message *m,
			 const struct session *s, uint64_t declared_bytes)
{
	const uint32_t shares[] = { s->prefix_share, s->user_share };

	m->prefix_share = shares_hold_again(&w->shares, s->prefix_share);
	m->user_share = shares_hold_again(&w->shares, s->user_share);
	for (size_t i = 0; i < sizeof(shares) / sizeof(*shares); i++)
		if (shares[i] != SHARES_NONE)
			shares_at(&w->shares, shares[i])->messages++;
	if (too_many_messages(w, m))
		return refuse(w, METRIC_SHARE_MESSAGES_REFUSED,
			      REPLY_TOO_MUCH_AT_ONCE);
	if (too_many_bytes(w, m, declared_bytes))
		return refuse(w, METRIC_SHARE_BYTES_REFUSED,
			      REPLY_TOO_MUCH_AT_ONCE);
	return REPLY_OK;
}

enum reply fairness_store(struct worker *w, struct message *m, uint64_t bytes)
{
	struct share *prefix = shares_at(&w->shares, m->prefix_share);
	struct share *user = shares_at(&w->shares, m->user_share);

	if (too_many_bytes(w, m, bytes))
		return refuse(w, METRIC_SHARE_BYTES_REFUSED,
			      REPLY_TOO_MUCH_AT_ONCE);
	m->share_bytes += bytes;
	if (prefix)
		prefix->bytes += bytes;
	if (user)
		user->bytes += bytes;
	return REPLY_OK;
}

static void close_one(struct worker *w, uint32_t index, uint64_t bytes)
{
	struct share *e = shares_at(&w->shares, index);

	if (!e)
		return;
	MUST(e->messages && e->bytes >= bytes);
	e->messages--;
	e->bytes -= bytes;
	shares_let_go(&w->shares, index);
}

void fairness_close(struct worker *w, struct message *m)
{
	close_one(w, m->prefix_share, m->share_bytes);
	close_one(w, m->user_share, m->share_bytes);
}
