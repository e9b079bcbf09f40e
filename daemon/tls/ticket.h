#pragma once

/*
 * ticket: the keys of stateless session tickets (RFC 5077, RFC 8446 4.6.1),
 * shared by all workers and rotated by the supervisor alone. Three generations
 * live at once: the newest encrypts, all three decrypt. Lives in a shared
 * mapping that is kept out of core dumps; never on disk.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define TICKET_GENERATIONS 3

struct ticket_key {
	uint8_t name[16];
	uint8_t aes[32];
	uint8_t hmac[32];
};

struct ticket_keys {
	_Atomic uint32_t sequence; /* odd while the supervisor writes */
	uint32_t newest;	   /* index into key[] */
	struct ticket_key key[TICKET_GENERATIONS];
};

/* Fills all generations at random. -EIO when the system gives none. */
int ticket_keys_init(struct ticket_keys *k);
/* The oldest key makes room for a new one. Only the supervisor calls it. */
int ticket_keys_rotate(struct ticket_keys *k);
/* Copies the newest key, consistently. The caller wipes its copy. */
void ticket_keys_newest(const struct ticket_keys *k, struct ticket_key *ret);
/* Copies the key of that name; *ret_newest tells whether it is the newest. */
bool ticket_keys_find(const struct ticket_keys *k, const uint8_t name[16],
		      struct ticket_key *ret, bool *ret_newest);
void ticket_key_wipe(struct ticket_key *k);
