/*
 * Any bytes read as an envelope: walking ends, stays inside, and what it read,
 * written again, is what was read.
 */
#include "base/must.h"
#include "spool/envelope.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t storage[1 << 17];
	struct span rest = span_of(data, size), found;
	struct envelope_field field;
	struct buf again;
	size_t read;

	if (size > sizeof(storage))
		return 0;
	buf_init(&again, storage, sizeof(storage));
	while (envelope_next(&rest, &field)) {
		MUST(field.value.p + field.value.len == rest.p);
		envelope_put(&again, field.type, field.value);
		MUST(envelope_find(span_of(data, size), field.type, &found));
		MUST(found.p <= field.value.p);
	}
	read = size - rest.len;
	MUST(!again.overflowed);
	MUST(span_equal(buf_span(&again), span_of(data, read)));
	return 0;
}
