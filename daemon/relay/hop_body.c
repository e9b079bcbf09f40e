/*
 * From file to socket by sendfile(2), not by splice(2) through a pipe of ours:
 * both do the same, but sendfile fills the socket's buffer in one call, needs
 * no pipe to be shared out and drained, and tells exactly how much went. Of a
 * 16 MiB body that is one call per MiB or less, against two to four for splices
 * through a pipe of 1 MiB (Linux 6.1 and 6.12, in clear and into kTLS).
 * io_uring has no sendfile, and its splice always goes to a kernel thread.
 *
 * I1  A full socket never blocks the loop: it is O_NONBLOCK, the only thing
 *     that sendfile heeds, and the ring waits for room.
 * I2  Nothing else is on its way out while a range is passed: `out` was sent.
 * I3  Of `range` bytes no more is passed than what the file has behind it: a
 *     shorter file is an error, and the peer never gets a body that ends early
 *     as if it were whole (P2).
 */
#include "relay/hop_body.h"

#include "base/must.h"
#include "relay/hop_pump.h"
#include "relay/hop_wire.h"
#include "relay/job.h"
#include "relay/runner.h"

#include <errno.h>

/* Shorter ranges are copied: with what is sent before and behind them they make
 * one send. */
#define RANGE_MIN 65536
/* One call; encrypting so much takes a millisecond, and others wait. */
#define RANGE_MAX (4u << 20)

/* Bytes to pass from here on; 0: the next piece is to be copied. */
static uint64_t range(const struct runner *r, const struct hop *h)
{
	uint64_t least = RANGE_MIN, n;

	switch (hop_route(r, h)->body_path) {
	case CONFIG_BODY_COPY: return 0;
	case CONFIG_BODY_SPLICE: least = 1; break;
	case CONFIG_BODY_AUTO: break;
	}
	if (h->job->must_copy || !record_passes_bytes(&h->record))
		return 0;
	n = client_body_unseen(&h->client.body);
	return n >= least ? n : 0;
}

static bool lost(struct hop *h)
{
	hop_lost(h, CLIENT_FOUND_LOCAL);
	return true;
}

/* True: the hop is lost. */
static bool pass_failed(struct hop *h, int error)
{
	switch (-error) {
	case EAGAIN:
	case EINTR: h->full = true; return false;
	case EINVAL: /* files of that kind cannot */
	case EOPNOTSUPP:
	case ENOSYS: h->job->must_copy = true; return false;
	case EIO: h->job->read_error = error; return lost(h); /* I3 */
	default: h->broken = true; return false;
	}
}

static bool pass(struct runner *r, struct hop *h, struct client_body *body,
		 uint64_t n)
{
	int64_t sent = job_send_body(h->job, h->fd, client_body_at(body),
				     n < RANGE_MAX ? n : RANGE_MAX);

	if (sent < 0)
		return pass_failed(h, (int)sent);
	if (!sent)
		return pass_failed(h, -EIO); /* I3 */
	client_body_sent_unseen(body, (uint64_t)sent);
	runner_count(r, METRIC_NEXT_HOP_BYTES_SPLICED, (uint64_t)sent);
	h->progressed = true;
	h->full = (uint64_t)sent < n; /* others first, even if it is not */
	return false;
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

	while (more && !buf_len(&h->say) && hop_wire_may_seal(h) && !h->full &&
	       !h->broken && !client_body_done(body)) {
		uint64_t n = range(r, h);

		if (n && !hop_wire_all_sent(h))
			break; /* I2 */
		if (n ? pass(r, h, body, n) : copy(r, h, body, &more))
			return true;
	}
	if (!client_body_done(body))
		return false;
	client_body_is_sent(&h->client);
	return true;
}
