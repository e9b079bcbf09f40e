/*
 * The slots of messages, found by hash, and those of segments. The states of a
 * message, and who performs each edge:
 *
 *                 index_apply                   index_activate
 *   FREE ------------------> KNOWN --.          .-----------> ACTIVE
 *    |                         |     | index_   |               |
 *    |             index_apply |     |    add   | index_postpone|
 *    |                         v     v          | DEFERRED      |
 *    |<---- index_add ------ GONE   WAITING <---+---------------'
 *    |                               ^    |                   |
 *    '---- index_add ----------------'    `-> HELD <--- HELD -'
 *
 *   DONE ends WAITING, ACTIVE and HELD: the slot is FREE. RELEASED goes from
 *   HELD to WAITING.
 *
 * I1  A message is in the due heap exactly while it is WAITING.
 * I2  Counts (of the index and of each segment) change in index_set_state and
 *     nowhere else.
 * I3  A segment's live_n is 0 only when each of its scanned messages is done;
 *     with all scanned (finished) and all readable (not corrupt), nothing in
 *     it is needed any more.
 * I4  A slot given back gets a new generation: old references find nothing.
 */
#include "spool/index.h"

#include "base/must.h"
#include "spool/index_inside.h"

#include <errno.h>

#define NO_SLOT UINT32_MAX

/* -- memory --------------------------------------------------------------- */

static uint32_t power_of_two(uint32_t at_least)
{
	uint32_t n = 1;

	while (n < at_least)
		n *= 2;
	return n;
}

static uint32_t slots_of(const struct index_options *o)
{
	return o->messages_max + o->changes_max;
}

/* The next part of the index's memory, or only its place when memory is NULL. */
static uint8_t *part(uint8_t *memory, size_t *used, size_t bytes)
{
	size_t at = *used;

	*used += (bytes + 63) & ~(size_t)63;
	return memory ? memory + at : NULL;
}

static size_t lay_out(const struct index_options *o, uint8_t *memory)
{
	size_t used = 0, n = slots_of(o);
	uint32_t buckets = power_of_two(slots_of(o));
	uint32_t segment_buckets = power_of_two(o->segments_max);
	struct index laid = {
		.options = *o,
		.slots_n = slots_of(o),
		.bucket_mask = buckets - 1,
		.segment_mask = segment_buckets - 1,
	};
	struct index *i = (void *)part(memory, &used, sizeof(*i));

	laid.messages = (void *)part(memory, &used, n * sizeof(*i->messages));
	laid.buckets =
		(void *)part(memory, &used, buckets * sizeof(*i->buckets));
	laid.segments = (void *)part(memory, &used,
				     o->segments_max * sizeof(*i->segments));
	laid.segment_buckets = (void *)part(
		memory, &used, segment_buckets * sizeof(*i->segment_buckets));
	laid.wide = (void *)part(memory, &used, o->wide_max * sizeof(*i->wide));
	laid.due.messages = laid.messages;
	laid.due.heap = (void *)part(memory, &used, n * sizeof(*i->due.heap));
	if (i)
		*i = laid;
	return used;
}

size_t index_size(const struct index_options *options)
{
	return lay_out(options, NULL);
}

struct index *index_init(uint8_t *memory, const struct index_options *options)
{
	MUST(options->messages_max && options->segments_max);
	MUST(options->messages_max < UINT32_MAX / 4 &&
	     options->changes_max < UINT32_MAX / 4);
	MUST(options->segments_max <= INDEX_SEGMENTS_MAX);
	MUST((uintptr_t)memory % 64 == 0);
	(void)lay_out(options, memory);
	return (struct index *)(void *)memory;
}

/* -- segments ------------------------------------------------------------- */

bool index_find_segment(const struct index *i, uint64_t id, uint16_t *ret_slot)
{
	uint16_t link = i->segment_buckets[id & i->segment_mask];

	for (; link; link = i->segments[link - 1].next) {
		if (i->segments[link - 1].id != id)
			continue;
		*ret_slot = (uint16_t)(link - 1);
		return true;
	}
	return false;
}

int index_add_segment(struct index *i, uint64_t id, uint16_t *ret_slot)
{
	uint16_t *bucket = &i->segment_buckets[id & i->segment_mask];
	uint32_t slot = 0;

	MUST(id);
	if (index_find_segment(i, id, ret_slot))
		return 0;
	while (slot < i->options.segments_max && i->segments[slot].id)
		slot++;
	if (slot == i->options.segments_max)
		return -ENOSPC;
	i->segments[slot] = (struct index_segment){
		.id = id,
		.next = *bucket,
		.fd = -1,
	};
	*bucket = (uint16_t)(slot + 1);
	*ret_slot = (uint16_t)slot;
	i->counts.segments++;
	return 0;
}

struct index_segment *index_segment(struct index *i, uint16_t slot)
{
	MUST(slot < i->options.segments_max);
	return &i->segments[slot];
}

void index_scanned(struct index *i, uint16_t slot, uint64_t offset)
{
	struct index_segment *g = index_segment(i, slot);

	if (offset > g->scanned)
		g->scanned = offset;
}

/* What the journal knew and the scan did not find: it was never promised. */
static void forget_known(struct index *i, uint16_t segment)
{
	for (uint32_t slot = 0; slot < i->used_n; slot++) {
		const struct index_message *m = &i->messages[slot];

		if (m->segment == segment &&
		    (m->state == INDEX_KNOWN || m->state == INDEX_GONE))
			index_set_state(i, slot, INDEX_FREE);
	}
}

void index_finish_segment(struct index *i, uint16_t slot, bool corrupt)
{
	struct index_segment *g = index_segment(i, slot);

	MUST(g->id);
	g->finished = true;
	g->corrupt = corrupt;
	if (g->known_n)
		forget_known(i, slot);
}

bool index_reclaimable(const struct index *i, uint16_t slot)
{
	const struct index_segment *g = &i->segments[slot];

	return g->id && g->finished && !g->corrupt && !g->live_n; /* I3 */
}

void index_forget_segment(struct index *i, uint16_t slot)
{
	struct index_segment *g = index_segment(i, slot);
	uint16_t *link = &i->segment_buckets[g->id & i->segment_mask];

	MUST(index_reclaimable(i, slot));
	while (*link != slot + 1)
		link = &i->segments[*link - 1].next;
	*link = g->next;
	g->id = 0;
	i->counts.segments--;
}

/* -- slots of messages ---------------------------------------------------- */

static uint32_t *bucket_of(const struct index *i, uint16_t segment,
			   uint32_t place)
{
	uint64_t key = (uint64_t)segment << 32 | place;

	key *= 0x9e3779b97f4a7c15ULL;
	return &i->buckets[key >> 32 & i->bucket_mask];
}

uint32_t index_lookup(const struct index *i, uint16_t segment, uint64_t offset)
{
	uint32_t place = (uint32_t)(offset / FRAME_ALIGN);
	uint32_t link = *bucket_of(i, segment, place);

	for (; link; link = i->messages[link - 1].next) {
		const struct index_message *m = &i->messages[link - 1];

		if (m->place == place && m->segment == segment)
			return link - 1;
	}
	return NO_SLOT;
}

uint32_t index_take(struct index *i, uint16_t segment, uint64_t offset)
{
	uint32_t place = (uint32_t)(offset / FRAME_ALIGN);
	uint32_t *bucket = bucket_of(i, segment, place);
	struct index_message *m;
	uint32_t slot;

	MUST(offset % FRAME_ALIGN == 0 && offset <= FRAME_SEGMENT_MAX);
	if (i->free_first) {
		slot = i->free_first - 1;
		i->free_first = i->messages[slot].next;
	} else if (i->used_n < i->slots_n) {
		slot = i->used_n++;
	} else {
		return NO_SLOT;
	}
	m = &i->messages[slot];
	*m = (struct index_message){
		.place = place,
		.generation = m->generation,
		.next = *bucket,
		.segment = segment,
	};
	*bucket = slot + 1;
	index_set_state(i, slot, INDEX_KNOWN);
	return slot;
}

static void give(struct index *i, uint32_t slot)
{
	struct index_message *m = &i->messages[slot];
	uint32_t *link = bucket_of(i, m->segment, m->place);

	while (*link != slot + 1)
		link = &i->messages[*link - 1].next;
	*link = m->next;
	if (m->wide) {
		i->wide[m->done].next = i->wide_free;
		i->wide_free = (uint32_t)m->done + 1;
		m->wide = false;
	}
	m->generation++; /* I4 */
	m->next = i->free_first;
	i->free_first = slot + 1;
}

/* Adds `by` (1 or -1) to the counts that a message in its state is part of. */
static void count(struct index *i, const struct index_message *m, uint32_t by)
{
	struct index_segment *g = &i->segments[m->segment];
	struct index_counts *c = &i->counts;

	switch ((enum index_state)m->state) {
	case INDEX_FREE: return;
	case INDEX_KNOWN:
		g->known_n += by;
		i->live_n += by;
		return;
	case INDEX_GONE: g->known_n += by; return;
	case INDEX_WAITING:
		c->waiting += by;
		if (m->attempts)
			c->deferred += by;
		break;
	case INDEX_ACTIVE: c->active += by; break;
	case INDEX_HELD: c->held += by; break;
	}
	g->live_n += by;
	i->live_n += by;
}

void index_set_state(struct index *i, uint32_t slot, enum index_state state)
{
	struct index_message *m = &i->messages[slot];

	count(i, m, UINT32_MAX); /* I2: takes one away */
	if (m->state == INDEX_WAITING)
		due_remove(&i->due, slot); /* I1 */
	m->state = (uint8_t)state;
	if (state == INDEX_WAITING)
		due_add(&i->due, slot);
	count(i, m, 1);
	if (state == INDEX_FREE)
		give(i, slot);
}

/* -- messages ------------------------------------------------------------- */

static struct index_ref ref_of(const struct index *i, uint32_t slot)
{
	return (struct index_ref){ slot, i->messages[slot].generation };
}

static bool is_queued(const struct index_message *m)
{
	return m->state >= INDEX_WAITING;
}

static uint32_t seconds(uint64_t s)
{
	return s < UINT32_MAX ? (uint32_t)s : UINT32_MAX;
}

/*
 * Room is kept for what is known and not yet scanned. Where nothing else is
 * there, nothing will make room, and it may stand behind this very message.
 */
static bool is_full(const struct index *i)
{
	const struct index_counts *c = &i->counts;

	return i->live_n >= i->options.messages_max &&
	       c->waiting + c->active + c->held;
}

/* A message that was not known: INDEX_ADDED, at *ret_slot, or what else. */
static enum index_added add_new(struct index *i, uint16_t segment,
				const struct frame *f, uint32_t *ret_slot)
{
	if (f->offset < i->segments[segment].cut)
		return INDEX_DONE_BEFORE;
	if (is_full(i))
		return INDEX_FULL;
	*ret_slot = index_take(i, segment, f->offset);
	return *ret_slot == NO_SLOT ? INDEX_FULL : INDEX_ADDED;
}

enum index_added index_add(struct index *i, uint16_t segment,
			   const struct frame *f, uint64_t now_s,
			   struct index_ref *ret)
{
	uint32_t slot = index_lookup(i, segment, f->offset);
	enum index_added added = INDEX_ADDED;
	struct index_message *m;

	MUST(i->segments[segment].id == f->segment);
	if (slot == NO_SLOT) {
		added = add_new(i, segment, f, &slot);
		if (added == INDEX_ADDED)
			i->messages[slot].due_s = seconds(now_s);
	} else if (i->messages[slot].state == INDEX_GONE) {
		index_set_state(i, slot, INDEX_FREE);
		added = INDEX_DONE_BEFORE;
	}
	if (added == INDEX_FULL)
		return INDEX_FULL;
	index_scanned(i, segment, frame_end(f));
	if (added == INDEX_DONE_BEFORE)
		return INDEX_DONE_BEFORE;
	m = &i->messages[slot];
	MUST(m->state == INDEX_KNOWN);
	index_set_state(i, slot, m->held ? INDEX_HELD : INDEX_WAITING);
	*ret = ref_of(i, slot);
	return INDEX_ADDED;
}

const struct index_message *index_get(const struct index *i,
				      struct index_ref ref)
{
	const struct index_message *m = &i->messages[ref.slot];

	MUST(ref.slot < i->slots_n);
	return m->generation == ref.generation && is_queued(m) ? m : NULL;
}

uint32_t index_slot(const struct index *i, struct index_ref ref)
{
	MUST(index_get(i, ref));
	return ref.slot;
}

uint64_t index_offset(const struct index_message *m)
{
	return (uint64_t)m->place * FRAME_ALIGN;
}

bool index_find(const struct index *i, uint64_t segment, uint64_t offset,
		struct index_ref *ret)
{
	uint16_t segment_slot;
	uint32_t slot;

	if (!index_find_segment(i, segment, &segment_slot) ||
	    offset % FRAME_ALIGN || offset > FRAME_SEGMENT_MAX)
		return false;
	slot = index_lookup(i, segment_slot, offset);
	if (slot == NO_SLOT || !is_queued(&i->messages[slot]))
		return false;
	*ret = ref_of(i, slot);
	return true;
}

bool index_walk(const struct index *i, uint32_t from, struct index_ref *ret)
{
	for (; from < i->used_n; from++) {
		if (!is_queued(&i->messages[from]))
			continue;
		*ret = ref_of(i, from);
		return true;
	}
	return false;
}

bool index_due(const struct index *i, uint64_t now_s, struct index_ref *ret)
{
	if (index_next_due_s(i) > now_s)
		return false;
	*ret = ref_of(i, i->due.heap[0]);
	return true;
}

uint64_t index_next_due_s(const struct index *i)
{
	return i->due.n ? i->messages[i->due.heap[0]].due_s : UINT64_MAX;
}

int index_activate(struct index *i, struct index_ref ref, uint32_t recipients_n)
{
	uint32_t slot = index_slot(i, ref);
	struct index_message *m = &i->messages[slot];

	MUST(m->state == INDEX_WAITING);
	if (recipients_n > INDEX_RECIPIENTS_MAX)
		return -ENOSPC;
	if (recipients_n > INDEX_INLINE_RCPTS && !index_widen(i, m))
		return -ENOSPC;
	index_set_state(i, slot, INDEX_ACTIVE);
	return 0;
}

void index_postpone(struct index *i, struct index_ref ref, uint64_t due_s)
{
	uint32_t slot = index_slot(i, ref);

	MUST(i->messages[slot].state != INDEX_HELD);
	index_set_state(i, slot, INDEX_ACTIVE); /* I1: out of the heap */
	i->messages[slot].due_s = seconds(due_s);
	index_set_state(i, slot, INDEX_WAITING);
}

struct index_counts index_counts(const struct index *i)
{
	return i->counts;
}

/* -- recipients ----------------------------------------------------------- */

bool index_widen(struct index *i, struct index_message *m)
{
	uint32_t slot;

	if (m->wide)
		return true;
	if (i->wide_free) {
		slot = i->wide_free - 1;
		i->wide_free = i->wide[slot].next;
	} else if (i->wide_used_n < i->options.wide_max) {
		slot = i->wide_used_n++;
	} else {
		return false;
	}
	i->wide[slot] = (struct index_wide){ .words[0] = m->done };
	m->done = slot;
	m->wide = true;
	return true;
}

uint64_t index_word(const struct index *i, const struct index_message *m,
		    uint32_t word)
{
	if (m->wide)
		return i->wide[m->done].words[word];
	return word ? 0 : m->done;
}

bool index_recipient_done(const struct index *i, struct index_ref ref,
			  uint32_t ordinal)
{
	const struct index_message *m = &i->messages[index_slot(i, ref)];

	MUST(ordinal < INDEX_RECIPIENTS_MAX);
	return index_word(i, m, ordinal / 64) >> ordinal % 64 & 1;
}
