/*
 * I1  A message's storage is given back only when its transaction is EMPTY and
 *     no step of it is in flight.
 * I2  A durable message is announced to the relay before its transaction is
 *     let go.
 * I3  smtp_server_committed() is reached only from a transaction that the store
 *     reported DURABLE (P1).
 */
#include "gateway/message.h"

#include "base/clock.h"
#include "gateway/fairness.h"
#include "gateway/session.h"
#include "gateway/session_smtp.h"
#include "gateway/worker.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

static struct message *message_of_txn(struct txn *t)
{
	return (struct message *)(void *)((uint8_t *)t -
					  offsetof(struct message, txn));
}

enum reply message_reply_for(int error)
{
	switch (-error) {
	case 0: return REPLY_OK;
	case ENOSPC:
	case EDQUOT:
	case EFBIG: return REPLY_SPOOL_FULL;
	default: return REPLY_SPOOL_ERROR;
	}
}

static struct session *owner(struct worker *w, const struct message *m)
{
	if (m->orphan)
		return NULL;
	return worker_session(w, m->session, m->generation);
}

static void put_head(struct message *m, const struct session *s)
{
	struct buf *envelope = txn_envelope(&m->txn);
	uint8_t digits[20];
	struct buf when;

	buf_init(&when, digits, sizeof(digits));
	buf_put_u64(&when, clock_unix_s());
	envelope_put(envelope, ENVELOPE_ARRIVAL, buf_span(&when));
	envelope_put(envelope, ENVELOPE_USER,
		     span_str(smtp_server_user(&s->smtp)));
	envelope_put(envelope, ENVELOPE_CLIENT, span_str(s->address));
	envelope_put(envelope, ENVELOPE_HELO,
		     span_str(smtp_server_helo(&s->smtp)));
}

enum reply message_open(struct worker *w, const struct session *s,
			uint64_t declared_bytes, struct message **ret)
{
	const struct config_limits *l = &w->options->config->limits;
	struct message *m = slab_take(&w->messages);
	enum reply verdict;

	if (!m)
		return REPLY_SPOOL_FULL;
	*m = (struct message){
		.session = s->slot,
		.generation = s->generation,
		.id = worker_next_id(w),
		.session_id = s->id,
		.opened_ms = w->now_ms,
	};
	(void)snprintf(m->id_text, sizeof(m->id_text), "%016llx",
		       (unsigned long long)m->id);
	/* There are as many of each as messages: neither runs out before. */
	m->envelope_storage = slab_take(&w->envelopes);
	m->body_storage = slab_take(&w->bodies);
	txn_open(&m->txn, w->store, m->id,
		 (struct span_mut){ m->envelope_storage, l->envelope_bytes },
		 (struct span_mut){ m->body_storage, l->buffer_bytes });
	put_head(m, s);
	verdict = fairness_open(w, m, s, declared_bytes);
	if (verdict == REPLY_OK)
		*ret = m;
	else
		message_abandon(w, m);
	return verdict;
}

static void put_given(struct buf *envelope, enum envelope_type type,
		      struct span value)
{
	if (value.len)
		envelope_put(envelope, type, value);
}

/* Takes back what a field too many left half said. */
static enum reply checked(struct buf *envelope, uint32_t end_before,
			  enum reply ok)
{
	if (!envelope->overflowed)
		return ok;
	envelope->end = end_before;
	envelope->overflowed = false;
	return REPLY_TOO_MANY_RECIPIENTS;
}

enum reply message_add_sender(struct message *m,
			      const struct command_mail *mail)
{
	struct buf *envelope = txn_envelope(&m->txn);
	uint32_t end = envelope->end;

	envelope_put(envelope, ENVELOPE_REVERSE_PATH, mail->path);
	if (mail->body == COMMAND_BODY_8BIT)
		envelope_put(envelope, ENVELOPE_BODY, SPAN("8BITMIME"));
	else if (mail->body == COMMAND_BODY_7BIT)
		envelope_put(envelope, ENVELOPE_BODY, SPAN("7BIT"));
	if (mail->smtputf8)
		envelope_put(envelope, ENVELOPE_SMTPUTF8, span_of(NULL, 0));
	put_given(envelope, ENVELOPE_RET, mail->ret);
	put_given(envelope, ENVELOPE_ENVID, mail->envid);
	return checked(envelope, end, REPLY_SENDER_OK);
}

enum reply message_add_recipient(struct message *m,
				 const struct command_rcpt *rcpt)
{
	struct buf *envelope = txn_envelope(&m->txn);
	uint32_t end = envelope->end;
	enum reply verdict;

	envelope_put(envelope, ENVELOPE_FORWARD_PATH, rcpt->path);
	put_given(envelope, ENVELOPE_NOTIFY, rcpt->notify);
	put_given(envelope, ENVELOPE_ORCPT, rcpt->orcpt);
	verdict = checked(envelope, end, REPLY_RECIPIENT_OK);
	if (verdict == REPLY_RECIPIENT_OK)
		m->recipients_n++;
	return verdict;
}

/* I1 */
static void release(struct worker *w, struct message *m)
{
	uint32_t slot = slab_index(&w->messages, m);

	fairness_close(w, m);
	slab_give(&w->envelopes, m->envelope_storage);
	slab_give(&w->bodies, m->body_storage);
	w->message_generations[slot]++;
	slab_give(&w->messages, m);
}

/* What the owner waits for, when a step has changed the state. */
static void tell_owner(struct worker *w, struct message *m)
{
	struct session *s = owner(w, m);

	if (!s ||
	    (s->asked != SESSION_ASKED_STORE && s->asked != SESSION_ASKED_FILE))
		return;
	if (txn_state(&m->txn) == TXN_FILLING)
		session_smtp_stored(w, s, REPLY_OK);
	else if (txn_state(&m->txn) == TXN_FAILED)
		session_smtp_stored(w, s,
				    message_reply_for(txn_error(&m->txn)));
}

/* Advances the message's own file; frees the message when it is EMPTY. */
static void pump(struct worker *w, struct message *m)
{
	uint32_t slot = slab_index(&w->messages, m);
	struct ring_tag tag = { .kind = WORKER_OP_MESSAGE,
				.slot = slot,
				.generation = w->message_generations[slot] };
	struct io io;
	int64_t result;

	while (m->op.state == OP_IDLE && txn_next(&m->txn, &io)) {
		if (ring_io(&w->ring, &io, tag, &result))
			op_fly(&m->op);
		else
			txn_done(&m->txn, result);
	}
	if (m->op.state != OP_IDLE)
		return;
	tell_owner(w, m);
	if (m->orphan && txn_state(&m->txn) == TXN_FAILED)
		txn_discard(&m->txn);
	if (m->orphan && txn_state(&m->txn) == TXN_EMPTY)
		release(w, m);
}

void message_store(struct worker *w, struct message *m)
{
	enum reply verdict = fairness_store(w, m, buf_len(txn_body(&m->txn)));

	if (verdict != REPLY_OK) {
		session_smtp_stored(w, owner(w, m), verdict);
		return;
	}
	txn_spill(&m->txn);
	pump(w, m);
}

void message_commit(struct worker *w, struct message *m)
{
	m->commit_ms = w->now_ms;
	txn_commit(&m->txn);
	pump(w, m);
}

void message_abandon(struct worker *w, struct message *m)
{
	m->orphan = true;
	if (txn_state(&m->txn) != TXN_COMMITTING)
		txn_discard(&m->txn);
	pump(w, m);
}

void message_on_cqe(struct worker *w, const struct ring_completion *c)
{
	struct message *m = slab_at(&w->messages, c->tag.slot);

	MUST(w->message_generations[c->tag.slot] == c->tag.generation); /* I1 */
	op_on_cqe(&m->op, c->result, c->flags);
	(void)op_take(&m->op);
	txn_done(&m->txn, c->result);
	pump(w, m);
}

static void log_message(const struct worker *w, struct message *m)
{
	struct span from = { 0 };
	struct span user = { 0 };
	struct span client = { 0 };
	struct span envelope = buf_span(txn_envelope(&m->txn));
	bool durable = txn_state(&m->txn) == TXN_DURABLE;

	(void)envelope_find(envelope, ENVELOPE_REVERSE_PATH, &from);
	(void)envelope_find(envelope, ENVELOPE_USER, &user);
	(void)envelope_find(envelope, ENVELOPE_CLIENT, &client);
	LOG(durable ? LOG_INFO : LOG_WARNING, "message", log_id("id", m->id),
	    log_id("session", m->session_id), log_span("peer", client),
	    log_span("user", user), log_span("from", from),
	    log_u64("recipients", m->recipients_n),
	    log_u64("bytes", txn_body_bytes(&m->txn)),
	    log_u64("receive_ms", m->commit_ms - m->opened_ms),
	    log_u64("commit_ms", w->now_ms - m->commit_ms),
	    log_str("result", durable ? "durable" :
					strerrordesc_np(-txn_error(&m->txn))));
}

static void count_durable(struct worker *w, struct message *m)
{
	worker_count(w, METRIC_MESSAGES_ACCEPTED);
	metric_add(w->options->metrics, METRIC_RECIPIENTS_ACCEPTED,
		   m->recipients_n);
	metric_add(w->options->metrics, METRIC_BODY_BYTES,
		   txn_body_bytes(&m->txn));
}

/* A commit has ended: the client is told, then the message is let go. */
static void commit_ended(struct worker *w, struct message *m)
{
	struct session *s = owner(w, m);
	bool durable = txn_state(&m->txn) == TXN_DURABLE;

	log_message(w, m);
	if (durable)
		count_durable(w, m);
	if (s) {
		MUST(s->message == m);
		s->message = NULL;
		session_smtp_commit_ended(
			w, s, /* I3 */
			durable ? REPLY_QUEUED :
				  message_reply_for(txn_error(&m->txn)));
	}
	m->orphan = true;
	txn_discard(&m->txn); /* I2: announced by the caller */
	pump(w, m);
}

/* Tells the relay how far the segment is durable. */
static void announce(struct worker *w)
{
	const uint64_t one = 1;
	uint64_t segment;
	uint64_t durable;

	store_durable(w->store, &segment, &durable);
	if (segment == w->announced_segment && durable == w->announced_durable)
		return;
	board_announce(w->options->board, segment, durable);
	w->announced_segment = segment;
	w->announced_durable = durable;
	/* A full counter means that the doorbell rings already. */
	if (write(w->options->doorbell_fd, &one, sizeof(one)) < 0)
		MUST(errno == EAGAIN || errno == EINTR);
}

/* The store counts since its start, the metrics over the lives of workers. */
static void count_store(struct worker *w)
{
	struct metric_block *b = w->options->metrics;
	struct store_counts now = store_counts(w->store);
	const struct store_counts *before = &w->store_counted;

	metric_add(b, METRIC_SPOOL_BATCHES, now.batches - before->batches);
	metric_add(b, METRIC_SPOOL_SYNCS, now.syncs - before->syncs);
	metric_add(b, METRIC_SPOOL_WRITES, now.writes - before->writes);
	metric_add(b, METRIC_SPOOL_BYTES, now.bytes - before->bytes);
	metric_add(b, METRIC_SPOOL_FILES, now.files - before->files);
	metric_add(b, METRIC_SPOOL_ERRORS, now.errors - before->errors);
	w->store_counted = now;
}

void message_pump_store(struct worker *w)
{
	struct io io;
	struct txn *t;
	int64_t result;

	if (op_take(&w->store_op))
		store_done(w->store, w->store_op.result);
	while (w->store_op.state == OP_IDLE && store_next(w->store, &io)) {
		struct ring_tag tag = { .kind = WORKER_OP_STORE };

		if (ring_io(&w->ring, &io, tag, &result))
			op_fly(&w->store_op);
		else
			store_done(w->store, result);
	}
	announce(w); /* I2 */
	while ((t = store_finished(w->store)))
		commit_ended(w, message_of_txn(t));
	count_store(w);
}
