#pragma once

/*
 * session_wire: the part of a session that meets the socket: what is sent, when
 * something is received (session_receive: how), and the buffers for both. It hands the records to the kernel
 * when the socket is quiet after a handshake, and passes on records that carry
 * no data; which of the backends makes them, it does not know.
 */

#include "base/buf.h"
#include "ring/ring.h"
#include "tls/record.h"

struct session;
struct worker;

/* A completion: records a fact and touches the session. */
void session_wire_on_send(struct worker *w, const struct ring_completion *c);

/* The handshake is done, the core has been told: the records come next. */
void session_wire_secured(struct worker *w, struct session *s);

/* Folds what has completed into the session's buffers. May kill it. */
void session_wire_harvest(struct worker *w, struct session *s);

/* Gives `in` or `out` its storage, unless it has it. */
void session_wire_borrow(struct worker *w, struct buf *b);

/* The same for a control record each way: there is always one to be had. */
struct record_control *session_wire_borrow_control(struct worker *w);
void session_wire_give_control(struct worker *w, struct record_control **c);

/* For session_receive: what the record layer found ends the session, or not. */
void session_wire_take_result(struct worker *w, struct session *s,
			      enum record_result result);
struct ring_tag session_wire_tag(const struct session *s, uint8_t kind);

/* True when all that was said is sent, control records too. */
bool session_wire_all_sent(const struct session *s);

/* Starts what is wanted and idle; gives back what is empty. */
void session_wire_arm(struct worker *w, struct session *s);

/*
 * The listener requires more of the records than the session can have: the
 * client is told why it must go.
 */
void session_wire_refuse(struct worker *w, struct session *s);

/* Cancels what flies, once. True when nothing flies any more. */
bool session_wire_cancel(struct worker *w, struct session *s);

/* Gives everything back; nothing flies. */
void session_wire_close(struct worker *w, struct session *s);
