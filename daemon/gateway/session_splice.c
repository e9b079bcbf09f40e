/*
 * I1  Bytes of a body enter the file in their order: nothing is moved while
 *     bytes that came before lie in `in`, in the receive buffer or in the
 *     body's buffer alone.
 * I2  Nothing is moved while the core has not seen all that was (`unseen`), so
 *     the file is never further ahead than one move.
 * I3  A look that finds bytes and a move that gets none end this way for the
 *     session: it never spins.
 */
#include "gateway/session_splice.h"

#include "gateway/message.h"
#include "gateway/session.h"
#include "gateway/worker.h"

static bool wanted(const struct worker *w, const struct session *s)
{
	return w->options->sockets[s->listener].config->body_path ==
		       CONFIG_BODY_SPLICE &&
	       splicer_is_open(&w->splicer) && !s->cannot_splice &&
	       s->state == SESSION_OPEN && s->message &&
	       record_passes_input(&s->record);
}

/* I1: all that came is in the file. */
static bool in_file(const struct session *s)
{
	const struct txn *t = &s->message->txn;

	return txn_file(t) >= 0 &&
	       txn_ahead(t) == buf_len(&t->body) + smtp_server_held(&s->smtp);
}

bool session_splice_may(struct worker *w, const struct session *s)
{
	return wanted(w, s) && !s->unseen && !buf_len(&s->in) && /* I1, I2 */
	       smtp_server_unscanned(&s->smtp) && in_file(s);
}

bool session_splice_prepare(struct worker *w, struct session *s)
{
	const struct buf *body;

	if (!wanted(w, s) || in_file(s) || smtp_server_held(&s->smtp) ||
	    buf_len(&s->in) || loan_bytes(&s->wire).len)
		return false;
	body = txn_body(&s->message->txn);
	if (!buf_len(body) ||
	    smtp_server_unscanned(&s->smtp) <= body->cap - buf_len(body))
		return false;
	smtp_server_body_taken(&s->smtp, buf_len(body));
	s->asked = SESSION_ASKED_FILE;
	message_store(w, s->message);
	return true;
}

static void fail(struct session *s, int error)
{
	enum reply verdict = message_reply_for(error);

	txn_fail(&s->message->txn, error);
	smtp_server_body_failed(&s->smtp, verdict);
}

void session_splice_move(struct worker *w, struct session *s)
{
	struct splicer_moved moved;
	struct txn *t;

	if (!session_splice_may(w, s))
		return; /* it has changed since we looked */
	t = &s->message->txn;
	moved = splicer_move(&w->splicer, s->fd, txn_file(t), txn_ahead_at(t),
			     smtp_server_unscanned(&s->smtp));
	s->unseen = moved.n;
	s->bytes_in += moved.n;
	metric_add(w->options->metrics, METRIC_BODY_BYTES_SPLICED, moved.n);
	if (moved.error)
		fail(s, moved.error);
	else
		txn_stored_ahead(t, moved.n);
	if (!moved.n)
		s->cannot_splice = true; /* I3 */
}

struct span session_splice_input(struct worker *w, struct session *s)
{
	const struct txn *t = &s->message->txn;
	struct span bytes;
	int error;

	if (!smtp_server_unscanned(&s->smtp)) /* refused: they only count */
		return splicer_nothing(&w->splicer, s->unseen);
	bytes = splicer_read(&w->splicer, txn_file(t),
			     txn_ahead_at(t) - s->unseen, s->unseen, &error);
	if (!error)
		return bytes;
	fail(s, error);
	return splicer_nothing(&w->splicer, s->unseen);
}
