#pragma once

/*
 * ticket: the keys of stateless session tickets (RFC 5077, RFC 8446 4.6.1),
 * shared by all workers and rotated by the supervisor alone. Three generations
 * live at once: the newest encrypts, all three decrypt. Lives in a shared
 * mapping that is kept out of core dumps; never on disk. Readers never wait
 * for the supervisor: should it die while it writes, they do without tickets.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define TICKET_GENERATIONS 3

struct ticket_key {
	uint8_t name[16]; /* in clear on the wire: tells the key, not its bits */
	uint8_t aes[32];
	uint8_t hmac[32];
};

#define TICKET_KEY_WORDS (sizeof(struct ticket_key) / sizeof(uint64_t))

/* Keys as atomic words: a reader may look while the supervisor writes. */
struct ticket_keys {
	_Atomic uint32_t sequence; /* odd while the supervisor writes */
	_Atomic uint32_t newest;   /* index into key[] */
	_Atomic uint64_t key[TICKET_GENERATIONS][TICKET_KEY_WORDS];
};

/* Fills all generations at random. -EIO when the system gives none. */
int ticket_keys_init(struct ticket_keys *k);

/*
 * The oldest key makes room for a new one; -EIO, and nothing changed, when the
 * system gives no random bytes. Only the supervisor calls it.
 */
int ticket_keys_rotate(struct ticket_keys *k);

/*
 * Copies the newest key, consistently. False when a writer died over it. The
 * caller wipes its copy.
 */
bool ticket_keys_newest(const struct ticket_keys *k, struct ticket_key *ret);

/*
 * Copies the key of that name; *ret_newest tells whether it is the newest.
 * False when no generation has that name. The caller wipes its copy.
 */
bool ticket_keys_find(const struct ticket_keys *k, const uint8_t name[16],
		      struct ticket_key *ret, bool *ret_newest);

void ticket_key_wipe(struct ticket_key *k);
