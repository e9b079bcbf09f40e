#pragma once

/*
 * handshakes: paces the TLS handshakes of a worker. One costs as much as
 * hundreds of commands, so what a client sends during its handshake waits in a
 * queue, first come first served, and a turn of the loop goes on with one of
 * them, after the established sessions were served and what they are told is
 * on its way. So many may be under way at once and no more: what begins beyond
 * that is refused while refusing costs nothing, not piled up.
 *
 * While a batch of messages is made durable they get a quarter of the time: it
 * is the kernel's threads that write and sync, and a worker that never sleeps
 * leaves them no processor.
 */

#include <stdbool.h>
#include <stdint.h>

struct session;
struct worker;

struct handshakes {
	struct session *first; /* the queue, linked by handshake_next */
	struct session *last;
	uint32_t under_way;
	uint32_t most;
	uint64_t rest_until_us; /* heeded while a batch is made durable */
};

void handshakes_init(struct handshakes *h, uint32_t most);

/* No further one may begin. */
bool handshakes_full(const struct handshakes *h);
/*
 * How long the loop may sleep for the sake of those that wait for their turn,
 * in microseconds; UINT64_MAX: nobody waits.
 */
uint64_t handshakes_wait_us(const struct worker *w);

/* The session begins its handshake, or is through with it, however it ended. */
void handshakes_enter(struct worker *w, struct session *s);
void handshakes_leave(struct worker *w, struct session *s);

/*
 * Whether the session may go on now, which uses its turn up. If not it is put
 * at the queue's end, and is pumped when its turn comes.
 */
bool handshakes_may_go_on(struct worker *w, struct session *s);

/* Pumps those whose turn has come; may end and free them. */
void handshakes_pump(struct worker *w);
