#pragma once

/*
 * session_splice: bodies that go from the socket to the message's file inside
 * the kernel, where the listener wants it and the records pass bytes: of a BDAT
 * chunk all that is behind the header section and too long to be kept in
 * memory. The core is shown every byte all the same, read back from the file,
 * before more is taken: the same findings, the same replies, the same checksum.
 */

#include "base/span.h"

#include <stdbool.h>
#include <stdint.h>

struct session;
struct worker;

/* True when the next bytes may go this way; a receive is then a look. */
bool session_splice_may(struct worker *w, const struct session *s);

/*
 * The body's file is to be made first. True: the session waits for it
 * (SESSION_ASKED_FILE).
 */
bool session_splice_prepare(struct worker *w, struct session *s);

/* Something is there: moves what there is. */
void session_splice_move(struct worker *w, struct session *s);

/* What was moved and the core has not seen, or the front of it. */
struct span session_splice_input(struct worker *w, struct session *s);
