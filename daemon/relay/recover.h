#pragma once

/*
 * recover: what the relay does before it serves: waits until it alone works on
 * the spool, lists the segments, applies the newest journal file to the index,
 * and removes what an earlier life left half done. It blocks: nothing can be
 * delivered before.
 */

#include <stdint.h>

struct runner;

/*
 * 0: the lock is held for the life of the process. -ECANCELED: the supervisor
 * asked to leave while another relay held it. Otherwise a negative errno.
 */
int recover_lock(struct runner *r);

/*
 * Segments and journal into the index; *ret_sequence is that of the newest
 * journal file, 0: there was none.
 */
int recover_index(struct runner *r, uint64_t *ret_sequence);
