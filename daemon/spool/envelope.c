/*
 * A field is its type in one byte, its length in two (little-endian) and its
 * value.
 */
#include "spool/envelope.h"

#define FIELD_HEAD      3
#define FIELD_VALUE_MAX 65535

void envelope_put(struct buf *envelope, enum envelope_type type,
		  struct span value)
{
	uint8_t head[FIELD_HEAD] = { (uint8_t)type, (uint8_t)(value.len & 0xff),
				     (uint8_t)(value.len >> 8) };

	/* A field goes in whole or not at all: half of one is malformed. */
	if (value.len > FIELD_VALUE_MAX ||
	    buf_room(envelope) < FIELD_HEAD + value.len)
		envelope->overflowed = true;
	if (envelope->overflowed)
		return;
	buf_put(envelope, span_of(head, sizeof(head)));
	buf_put(envelope, value);
}

bool envelope_next(struct span *rest, struct envelope_field *ret)
{
	size_t len;

	if (rest->len < FIELD_HEAD)
		return false;
	len = (size_t)rest->p[1] | (size_t)rest->p[2] << 8;
	if (len > rest->len - FIELD_HEAD)
		return false;
	ret->type = (enum envelope_type)rest->p[0];
	ret->value = span_of(rest->p + FIELD_HEAD, len);
	*rest = span_tail(*rest, FIELD_HEAD + len);
	return true;
}

bool envelope_find(struct span envelope, enum envelope_type type,
		   struct span *ret_value)
{
	struct envelope_field field;

	while (envelope_next(&envelope, &field)) {
		if (field.type != type)
			continue;
		*ret_value = field.value;
		return true;
	}
	return false;
}
