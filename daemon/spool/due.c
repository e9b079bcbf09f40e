#include "spool/due.h"

#include "base/must.h"

static uint32_t key(const struct due *d, uint32_t at)
{
	return d->messages[d->heap[at]].due_s;
}

static void put(struct due *d, uint32_t at, uint32_t slot)
{
	d->heap[at] = slot;
	d->messages[slot].heap_at = at;
}

static void swap(struct due *d, uint32_t a, uint32_t b)
{
	uint32_t slot = d->heap[a];

	put(d, a, d->heap[b]);
	put(d, b, slot);
}

static void rise(struct due *d, uint32_t at)
{
	for (; at && key(d, at) < key(d, (at - 1) / 2); at = (at - 1) / 2)
		swap(d, at, (at - 1) / 2);
}

static void sink(struct due *d, uint32_t at)
{
	for (;;) {
		uint32_t child = 2 * at + 1;

		if (child >= d->n)
			return;
		if (child + 1 < d->n && key(d, child + 1) < key(d, child))
			child++;
		if (key(d, at) <= key(d, child))
			return;
		swap(d, at, child);
		at = child;
	}
}

void due_add(struct due *d, uint32_t slot)
{
	put(d, d->n, slot);
	rise(d, d->n++);
}

void due_remove(struct due *d, uint32_t slot)
{
	uint32_t at = d->messages[slot].heap_at;

	MUST(at < d->n && d->heap[at] == slot);
	d->n--;
	if (at == d->n)
		return;
	put(d, at, d->heap[d->n]);
	rise(d, at);
	sink(d, d->messages[d->heap[at]].heap_at);
}
