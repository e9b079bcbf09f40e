#include "relay/hop_body.h"

#include "base/must.h"
#include "relay/hop_pump.h"
#include "relay/hop_wire.h"
#include "relay/job.h"
#include "relay/runner.h"

static bool lost(struct hop *h)
{
	hop_lost(h, CLIENT_FOUND_LOCAL);
	return true;
}

/* Seals the next piece; *ret_more: there may be room for another. */
static bool copy(struct runner *r, struct hop *h, struct client_body *body,
		 bool *ret_more)
{
	struct client_piece piece = client_body_next(body, span_of(NULL, 0));
	struct span part = piece.literal, rest;

	*ret_more = false;
	if (!part.len) {
		part = job_body(r, h->job, client_body_at(body));
		piece = client_body_next(body, part);
		part = piece.literal.len ? piece.literal :
					   span_head(part, piece.stored);
	}
	if (!part.len) /* it is being read */
		return h->job->read_error && lost(h);
	rest = part;
	if (record_seal(&h->record, &rest, &h->out) != RECORD_OK)
		h->broken = true;
	if (rest.len == part.len)
		return false; /* no room: sending makes some */
	client_body_sent(body, span_head(part, part.len - rest.len));
	if (!piece.literal.len)
		runner_count(r, METRIC_NEXT_HOP_BYTES_COPIED,
			     part.len - rest.len);
	*ret_more = true;
	return false;
}

bool hop_body_send(struct runner *r, struct hop *h)
{
	struct client_body *body = client_body(&h->client);
	bool more = true;

	while (more && !buf_len(&h->say) && hop_wire_may_seal(h) &&
	       !h->broken && !client_body_done(body))
		if (copy(r, h, body, &more))
			return true;
	if (!client_body_done(body))
		return false;
	client_body_is_sent(&h->client);
	return true;
}
