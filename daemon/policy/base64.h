#pragma once

/*
 * base64: strict decoding (RFC 4648 4): the standard alphabet, full padding,
 * no white space, unused bits zero. There is one text for each value, so two
 * readers cannot see two meanings.
 */

#include "base/buf.h"

/*
 * Appends what `text` decodes to. False when it is not canonical base64; then
 * `out` may hold a part. No room: sticky overflow of `out`.
 */
bool base64_decode(struct span text, struct buf *out);
