#pragma once

/*
 * layout: the names in the spool directory, shared by all who open its files.
 * It makes and reads names and never touches a file.
 *
 *   segments/<segment id>.seg   messages, many to a file, append-only
 *   files/<message id>.msg      the body of one large message
 *   journal/<sequence>.log      delivery state, kept by the relay
 *   .../.tmp-<number>           any of these, being born
 *   lock                        held by the supervisor
 *
 * Numbers are 16 lower-case hexadecimal digits. Segments and bodies are locked
 * (flock, exclusive) before they get their names, by their writer, until it is
 * done with them or dead:
 *
 * - A segment that can be locked (shared) will not grow any more.
 * - A body that could be locked *before* all segments were read as far as they
 *   are durable, and that no message then refers to, is a leftover: list and
 *   try the locks first, read the segments next, unlink last.
 * - A temporary name that can be locked is a leftover. Its writer may just not
 *   have come to locking it: then the birth fails, and is tried again.
 */

#include <stdbool.h>
#include <stdint.h>

#define LAYOUT_NAME_MAX 24 /* with the terminating NUL */

enum layout_kind {
	LAYOUT_SEGMENT,
	LAYOUT_BODY,
	LAYOUT_JOURNAL,
	LAYOUT_TEMPORARY, /* in any of the folders */
};

/* Writes the name of that file into `name`. */
void layout_name(char name[static LAYOUT_NAME_MAX], enum layout_kind kind,
		 uint64_t number);

/* The number in a name of that kind; false: some other name. */
bool layout_number(const char *name, enum layout_kind kind,
		   uint64_t *ret_number);
