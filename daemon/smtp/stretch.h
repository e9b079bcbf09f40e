#pragma once

/*
 * stretch: how far the text of a message can be stored as it stands: whole
 * lines and pieces of lines without anything that needs a decision. It is what
 * makes a large body cheap; body.c decides octet by octet wherever a stretch
 * ends.
 */

#include "base/span.h"

/* Octets looked at in one go; shorter input makes no stretch. */
#define STRETCH_BLOCK 64

/* A bit for each octet of a block, the first lowest. */
struct stretch_marks {
	uint64_t cr, lf, nul, dot;
};

/* Octets at the front of `p`, STRETCH_BLOCK of them. */
struct stretch_marks stretch_marks(const uint8_t *p);
/* The same, written plainly: for other processors, and for the tests. */
struct stretch_marks stretch_marks_plain(const uint8_t *p);

/*
 * Octets at the front of `text` in which every CR is followed by LF and every
 * LF preceded by CR, there is no NUL, no line begins with a dot, and no line's
 * text is longer than `line_max`, which is at least STRETCH_BLOCK. `text` goes
 * on where *line_len octets of a line were, and that line so far is no longer
 * than line_max; *line_len becomes the octets of the line in which the stretch
 * ends. It may be shorter than it could be, by less than two blocks and the
 * line that breaks a rule.
 */
size_t stretch_of(struct span text, uint64_t line_max, uint64_t *line_len);
