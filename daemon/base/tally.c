#include "base/tally.h"

#include "base/must.h"

#include <stddef.h>
#include <string.h>

const char *tally_name(const struct tally *t, uint32_t row)
{
	MUST(row < TALLY_ROWS);
	/* With what was written before it was used. */
	return atomic_load_explicit(&t->rows[row].used, memory_order_acquire) ?
		       t->rows[row].name :
		       NULL;
}

struct tally_row *tally_take(struct tally *t, const char *name)
{
	size_t len = strnlen(name, TALLY_NAME_BYTES - 1);

	for (uint32_t i = 0; i < TALLY_ROWS; i++) {
		struct tally_row *row = &t->rows[i];
		const char *taken = tally_name(t, i);

		if (!taken) {
			memcpy(row->name, name, len);
			row->name[len] = '\0';
			atomic_store_explicit(&row->used, true,
					      memory_order_release);
			return row;
		}
		if (!strncmp(taken, name, len) && !taken[len])
			return row;
	}
	return NULL;
}
