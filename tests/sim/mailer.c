#include "mailer.h"

#include "base/must.h"

#include <stdlib.h>

#define DRAIN_TICKS 20000

struct mailer *mailer_open(struct disk *disk, struct ledger *ledger,
			   struct board_slot *board)
{
	struct mailer *m = aligned_alloc(64, sizeof(*m));
	struct store_options options = {
		.segments_dir = DISK_SEGMENTS,
		.files_dir = DISK_FILES,
		.segment_bytes = 1000 + disk_chance(disk, 20000),
		.batch_max = 1 + disk_chance(disk, 8),
		.worker = 7,
		.seed = { disk_random(disk), disk_random(disk) },
	};
	uint8_t *memory = aligned_alloc(64, (store_size() + 63) & ~63UL);

	MUST(m && memory);
	memset(m, 0, sizeof(*m));
	m->disk = disk;
	m->ledger = ledger;
	m->board = board;
	m->store = store_init(memory, &options);
	return m;
}

void mailer_close(struct mailer *m)
{
	free(m->store);
	free(m);
}

static uint32_t draw_body_len(struct disk *disk)
{
	switch (disk_chance(disk, 8)) {
	case 0: return 0;
	case 1: return disk_chance(disk, LEDGER_BODY_MAX);
	case 2: return MAILER_BODY - 1 + disk_chance(disk, 3);
	default: return disk_chance(disk, MAILER_BODY);
	}
}

static void begin(struct mailer *m, struct mailer_session *s)
{
	struct ledger *l = m->ledger;
	struct ledger_mail mail = {
		.body_len = draw_body_len(m->disk),
		.recipients_n = 1 + disk_chance(m->disk, 3),
	};

	if (m->leaving || l->n == LEDGER_MAX)
		return;
	if (!disk_chance(m->disk, 12))
		mail.recipients_n = LEDGER_RCPTS_MAX;
	s->mail = l->n++;
	l->mails[s->mail] = mail;
	txn_open(&s->txn, m->store, ledger_id(l, s->mail),
		 (struct span_mut){ s->envelope, sizeof(s->envelope) },
		 (struct span_mut){ s->body, sizeof(s->body) });
	ledger_put_envelope(l, s->mail, txn_envelope(&s->txn));
	*txn_dots(&s->txn) = ledger_dots(l, s->mail);
}

static void fill(struct mailer *m, struct mailer_session *s)
{
	uint64_t have = txn_body_bytes(&s->txn);
	size_t want = m->ledger->mails[s->mail].body_len - have;
	size_t room = buf_room(txn_body(&s->txn));

	if (!want) {
		txn_commit(&s->txn);
		return;
	}
	if (!room) {
		txn_spill(&s->txn);
		return;
	}
	want = want < room ? want : room;
	want = 1 + disk_chance(m->disk, (uint32_t)want);
	ledger_put_body(m->ledger, s->mail, have, txn_body(&s->txn), want);
}

static void session_tick(struct mailer *m, struct mailer_session *s)
{
	struct io io;

	if (txn_next(&s->txn, &io)) {
		/* The client may break off while a step is under way. */
		if (txn_state(&s->txn) == TXN_SPILLING &&
		    !disk_chance(m->disk, 30))
			txn_discard(&s->txn);
		txn_done(&s->txn, disk_run(m->disk, MAILER_OWNER, &io));
		return;
	}
	switch (txn_state(&s->txn)) {
	case TXN_EMPTY: begin(m, s); return;
	case TXN_FILLING:
		if (disk_chance(m->disk, 40))
			fill(m, s);
		else
			txn_discard(&s->txn);
		return;
	case TXN_FAILED: txn_discard(&s->txn); return;
	case TXN_DURABLE:
	case TXN_SPILLING:
	case TXN_COMMITTING:
	case TXN_DISCARDING: return;
	}
}

static struct mailer_session *session_of(struct mailer *m, const struct txn *t)
{
	for (int n = 0; n < MAILER_SESSIONS; n++)
		if (&m->sessions[n].txn == t)
			return &m->sessions[n];
	MUST_NOT_REACH("a transaction of no session");
}

static void store_tick(struct mailer *m)
{
	uint64_t segment, durable;
	struct txn *t;
	struct io io;

	if (store_next(m->store, &io))
		store_done(m->store, disk_run(m->disk, MAILER_OWNER, &io));
	store_durable(m->store, &segment, &durable);
	board_announce(m->board, segment, durable);
	while ((t = store_finished(m->store))) {
		if (txn_state(t) == TXN_DURABLE)
			m->ledger->mails[session_of(m, t)->mail].acknowledged =
				true;
		txn_discard(t);
	}
}

void mailer_tick(struct mailer *m)
{
	uint32_t n = disk_chance(m->disk, MAILER_SESSIONS + 3);

	if (n < MAILER_SESSIONS)
		session_tick(m, &m->sessions[n]);
	else
		store_tick(m);
}

static bool all_empty(const struct mailer *m)
{
	for (int n = 0; n < MAILER_SESSIONS; n++)
		if (txn_state(&m->sessions[n].txn) != TXN_EMPTY)
			return false;
	return true;
}

void mailer_drain(struct mailer *m)
{
	m->leaving = true;
	for (int n = 0; n < DRAIN_TICKS && !disk_is_dead(m->disk); n++) {
		mailer_tick(m);
		if (!all_empty(m) || !store_idle(m->store))
			continue;
		store_seal(m->store);
		if (store_idle(m->store))
			return;
	}
	if (!disk_is_dead(m->disk))
		ledger_break(m->ledger, "the store does not come to rest");
}
