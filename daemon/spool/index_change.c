/*
 * The index as the journal sees it: a state that changes set and a snapshot
 * brings back.
 *
 * X1  Changes say what holds, so the last one that touches a field decides.
 *     A snapshot taken while changes go on, followed by those changes, gives
 *     the state after them; by only the first of them, each message as it was
 *     at some time since the snapshot began.
 * X2  The cut of a segment lies at or behind all its scanned messages: below
 *     it, what the snapshot does not name is done. So the memory of done
 *     messages is one number a segment.
 *     A scan may go on under a snapshot, too: so what is known of messages not
 *     yet scanned comes first, then the cuts, then what is live. What the scan
 *     takes away before it is told lies below the cut that follows; what it
 *     adds behind that cut is live unnamed.
 *     A change of a message below the cut that the snapshot does not name is
 *     older than the snapshot, which saw it done.
 * X3  Lack of room may make a done message live again, never the reverse: a
 *     live message that cannot be remembered pulls the cut down to itself.
 * X4  A snapshot tells all of a message at once. Were it done between two parts,
 *     and the change that says so lost in a crash, the first part alone would
 *     bring it back as if none of its recipients had been served.
 */
#include "spool/index_inside.h"

#include "base/must.h"

#include <errno.h>

#define NO_SLOT UINT32_MAX

static struct change change_of(const struct index *i,
			       const struct index_message *m,
			       enum change_kind kind)
{
	return (struct change){
		.kind = kind,
		.segment = i->segments[m->segment].id,
		.offset = index_offset(m),
		.due_s = m->due_s,
		.first_failure_s = m->first_failure_s,
		.attempts = m->attempts,
		.code = m->code,
	};
}

struct change index_change(const struct index *i, struct index_ref ref,
			   enum change_kind kind)
{
	return change_of(i, &i->messages[index_slot(i, ref)], kind);
}

struct change index_change_recipient(const struct index *i,
				     struct index_ref ref, uint32_t ordinal)
{
	struct change c = index_change(i, ref, CHANGE_RECIPIENTS);

	MUST(ordinal < INDEX_RECIPIENTS_MAX);
	c.word = (uint16_t)(ordinal / 64);
	c.bits = (uint64_t)1 << ordinal % 64;
	return c;
}

/* -- applying ------------------------------------------------------------- */

/* The message waits or is held, or will when it is scanned. */
static void settle(struct index *i, uint32_t slot, bool held)
{
	struct index_message *m = &i->messages[slot];

	m->held = held;
	if (m->state >= INDEX_WAITING)
		index_set_state(i, slot, held ? INDEX_HELD : INDEX_WAITING);
}

static void set_times(struct index *i, uint32_t slot, const struct change *c)
{
	struct index_message *m = &i->messages[slot];

	if (m->state == INDEX_WAITING) /* out of the heap and the counts */
		index_set_state(i, slot, INDEX_ACTIVE);
	m->due_s = c->due_s;
	m->attempts = c->kind == CHANGE_RELEASED ? 0 : c->attempts;
	m->first_failure_s = c->kind == CHANGE_RELEASED ? 0 :
							  c->first_failure_s;
	m->code = 0;
	settle(i, slot, false);
}

static int set_recipients(struct index *i, struct index_message *m,
			  const struct change *c)
{
	if (c->word >= INDEX_WORDS)
		return -ENOSPC;
	if (c->word && !index_widen(i, m))
		return -ENOSPC;
	if (m->wide)
		i->wide[m->done].words[c->word] |= c->bits;
	else
		m->done |= c->bits;
	return 0;
}

static void set_done(struct index *i, uint32_t slot)
{
	const struct index_message *m = &i->messages[slot];
	const struct index_segment *g = &i->segments[m->segment];
	bool scanned = m->state >= INDEX_WAITING;

	if (scanned || index_offset(m) < g->cut) /* X2: the cut says so */
		index_set_state(i, slot, INDEX_FREE);
	else
		index_set_state(i, slot, INDEX_GONE);
}

/* The message's slot, made if need be; *ret_error tells why there is none. */
static uint32_t slot_for(struct index *i, uint16_t segment,
			 const struct change *c, int *ret_error)
{
	struct index_segment *g = &i->segments[segment];
	uint32_t slot = index_lookup(i, segment, c->offset);

	if (slot != NO_SLOT || c->offset < g->scanned)
		return slot; /* scanned and not there: it was done */
	if (c->kind != CHANGE_LIVE && c->offset < g->cut)
		return NO_SLOT; /* X2 */
	slot = index_take(i, segment, c->offset);
	if (slot != NO_SLOT)
		return slot;
	*ret_error = -ENOSPC;
	if (c->offset < g->cut)
		g->cut = c->offset; /* X3 */
	return NO_SLOT;
}

static int apply_to(struct index *i, uint32_t slot, const struct change *c)
{
	struct index_message *m = &i->messages[slot];

	if (m->state == INDEX_GONE)
		return 0; /* done is done */
	switch (c->kind) {
	case CHANGE_DONE: set_done(i, slot); return 0;
	case CHANGE_LIVE:
	case CHANGE_DEFERRED:
	case CHANGE_RELEASED: set_times(i, slot, c); return 0;
	case CHANGE_RECIPIENTS: return set_recipients(i, m, c);
	case CHANGE_HELD:
		m->code = c->code;
		settle(i, slot, true);
		return 0;
	case CHANGE_BEGIN:
	case CHANGE_CUT:
	case CHANGE_KINDS: break;
	}
	MUST(c->kind == CHANGE_DONE); /* no other is left: our bug */
	return 0;
}

int index_apply(struct index *i, const struct change *change)
{
	uint16_t segment;
	uint32_t slot;
	int error = 0;

	if (change->kind == CHANGE_BEGIN ||
	    !index_find_segment(i, change->segment, &segment))
		return 0; /* moot */
	if (change->kind == CHANGE_CUT) {
		i->segments[segment].cut =
			change->offset; /* may be a torn end */
		return 0;
	}
	if (change->offset % FRAME_ALIGN || change->offset > FRAME_SEGMENT_MAX)
		return 0;
	slot = slot_for(i, segment, change, &error);
	return slot == NO_SLOT ? error : apply_to(i, slot, change);
}

/* -- snapshot ------------------------------------------------------------- */

/* X2 */
static uint64_t cut_of(const struct index_segment *g)
{
	return g->scanned > g->cut ? g->scanned : g->cut;
}

static uint32_t snapshot_segment(const struct index *i, uint32_t slot,
				 struct change *ret)
{
	const struct index_segment *g = &i->segments[slot];
	uint64_t cut = cut_of(g);

	if (!g->id || !cut)
		return 0;
	*ret = (struct change){
		.kind = CHANGE_CUT,
		.segment = g->id,
		.offset = cut,
	};
	return 1;
}

/* X4. 0: nothing is to be said of it. */
static uint32_t snapshot_live(const struct index *i,
			      const struct index_message *m,
			      struct change ret[static INDEX_STEP_MAX])
{
	uint32_t words = m->wide ? INDEX_WORDS : 1, n = 0;

	if (m->state == INDEX_FREE || m->state == INDEX_GONE)
		return 0;
	ret[n++] = change_of(i, m, CHANGE_LIVE);
	if (m->held || m->state == INDEX_HELD)
		ret[n++] = change_of(i, m, CHANGE_HELD);
	for (uint32_t word = 0; word < words; word++) {
		if (!index_word(i, m, word))
			continue;
		ret[n] = change_of(i, m, CHANGE_RECIPIENTS);
		ret[n].word = (uint16_t)word;
		ret[n++].bits = index_word(i, m, word);
	}
	return n;
}

/* What is not yet scanned, and of which no cut says anything (X2). */
static uint32_t snapshot_known(const struct index *i,
			       const struct index_message *m,
			       struct change ret[static INDEX_STEP_MAX])
{
	if (index_offset(m) < cut_of(&i->segments[m->segment]))
		return 0;
	if (m->state == INDEX_KNOWN)
		return snapshot_live(i, m, ret);
	if (m->state != INDEX_GONE)
		return 0;
	ret[0] = change_of(i, m, CHANGE_DONE);
	return 1;
}

uint32_t index_snapshot(const struct index *i, struct index_cursor *cursor,
			struct change ret[static INDEX_STEP_MAX])
{
	uint32_t n = 0;

	while (!n && cursor->known < i->used_n)
		n = snapshot_known(i, &i->messages[cursor->known++], ret);
	while (!n && cursor->segment < i->options.segments_max)
		n = snapshot_segment(i, cursor->segment++, ret);
	while (!n && cursor->live < i->used_n)
		n = snapshot_live(i, &i->messages[cursor->live++], ret);
	return n;
}
