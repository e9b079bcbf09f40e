#pragma once

/*
 * due: the waiting messages in the order in which they are due, a binary heap
 * of their slots. It belongs to the index, which gives it its memory; a message
 * in it remembers its place in heap_at, and its due_s stays as it is meanwhile.
 */

#include "spool/index.h"

struct due {
	struct index_message *messages;
	uint32_t *heap; /* slots */
	uint32_t n;
};

void due_add(struct due *d, uint32_t slot);
void due_remove(struct due *d, uint32_t slot);
