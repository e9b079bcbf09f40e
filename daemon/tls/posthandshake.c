#include "tls/posthandshake.h"

#include <openssl/ssl.h>

#define TICKET_MAX 65536

static uint32_t body_len(const struct posthandshake *p)
{
	return (uint32_t)p->head[1] << 16 | (uint32_t)p->head[2] << 8 |
	       p->head[3];
}

static enum posthandshake_event judge_head(const struct posthandshake *p)
{
	uint32_t len = body_len(p);

	if (!p->tls13)
		return POSTHANDSHAKE_UNEXPECTED;
	switch (p->head[0]) {
	case SSL3_MT_KEY_UPDATE:
		return len == 1 ? POSTHANDSHAKE_NOTHING :
				  POSTHANDSHAKE_MALFORMED;
	case SSL3_MT_NEWSESSION_TICKET:
		if (p->server)
			return POSTHANDSHAKE_UNEXPECTED;
		return len && len <= TICKET_MAX ? POSTHANDSHAKE_NOTHING :
						  POSTHANDSHAKE_MALFORMED;
	default: return POSTHANDSHAKE_UNEXPECTED;
	}
}

static enum posthandshake_event take_head(struct posthandshake *p,
					  struct span *in)
{
	p->head[p->head_n++] = in->p[0];
	*in = span_tail(*in, 1);
	if (p->head_n < sizeof(p->head))
		return POSTHANDSHAKE_NOTHING;
	p->body_left = body_len(p);
	return judge_head(p);
}

static enum posthandshake_event take_body(struct posthandshake *p,
					  struct span *in)
{
	uint8_t first = in->p[0];
	size_t n = in->len < p->body_left ? in->len : p->body_left;

	*in = span_tail(*in, n);
	p->body_left -= (uint32_t)n;
	if (p->body_left)
		return POSTHANDSHAKE_NOTHING;
	p->head_n = 0;
	if (p->head[0] == SSL3_MT_NEWSESSION_TICKET)
		return POSTHANDSHAKE_TICKET;
	if (in->len)
		return POSTHANDSHAKE_UNEXPECTED;
	switch (first) {
	case SSL_KEY_UPDATE_NOT_REQUESTED: return POSTHANDSHAKE_KEY_UPDATE;
	case SSL_KEY_UPDATE_REQUESTED:
		return POSTHANDSHAKE_KEY_UPDATE_REQUESTED;
	default: return POSTHANDSHAKE_ILLEGAL;
	}
}

enum posthandshake_event posthandshake_next(struct posthandshake *p,
					    struct span *in)
{
	enum posthandshake_event event = POSTHANDSHAKE_NOTHING;

	while (in->len && event == POSTHANDSHAKE_NOTHING)
		event = p->head_n < sizeof(p->head) ? take_head(p, in) :
						      take_body(p, in);
	return event;
}
