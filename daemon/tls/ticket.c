#include "tls/ticket.h"

#include <errno.h>
#include <openssl/rand.h>
#include <string.h>

/*
 * A seqlock, so that handshakes take no lock and a worker stopped at any point
 * cannot hold up the supervisor.
 *
 * I1 While key[] or newest change, sequence is odd.
 * I2 A reader trusts what it copied only when sequence was even before and
 *    the same after. The words are stored with release and loaded with
 *    acquire: whoever saw a new word also sees the odd sequence before it.
 *    (No fences: ThreadSanitizer does not understand them.)
 */

/* A write takes well under a microsecond; who tries longer has lost his
 * supervisor in the middle of one. */
#define READ_TRIES 100000

union key_words {
	struct ticket_key key;
	uint64_t word[TICKET_KEY_WORDS];
};

/* All there is, as a reader sees it at one time. */
struct snapshot {
	uint32_t newest;
	union key_words key[TICKET_GENERATIONS];
};

_Static_assert(sizeof(struct ticket_key) == TICKET_KEY_WORDS * 8,
	       "a key is whole words");

static int make_key(struct ticket_key *ret)
{
	if (RAND_bytes(ret->name, sizeof(ret->name)) == 1 &&
	    RAND_priv_bytes(ret->aes, sizeof(ret->aes)) == 1 &&
	    RAND_priv_bytes(ret->hmac, sizeof(ret->hmac)) == 1)
		return 0;
	ticket_key_wipe(ret);
	return -EIO;
}

/* Sequence is odd already when an earlier supervisor died while writing. */
static void write_begin(struct ticket_keys *k)
{
	uint32_t seq = atomic_load_explicit(&k->sequence, memory_order_relaxed);

	atomic_store_explicit(&k->sequence, seq | 1, memory_order_relaxed);
}

static void write_end(struct ticket_keys *k)
{
	uint32_t seq = atomic_load_explicit(&k->sequence, memory_order_relaxed);

	atomic_store_explicit(&k->sequence, seq + 1, memory_order_release);
}

static void write_key(struct ticket_keys *k, uint32_t at,
		      const union key_words *from)
{
	for (size_t i = 0; i < TICKET_KEY_WORDS; i++)
		atomic_store_explicit(&k->key[at][i], from->word[i],
				      memory_order_release);
	atomic_store_explicit(&k->newest, at, memory_order_release);
}

/* Index of the newest key, safe as an index even when torn. */
static uint32_t read_newest(const struct ticket_keys *k)
{
	return atomic_load_explicit(&k->newest, memory_order_acquire) %
	       TICKET_GENERATIONS;
}

static void read_all(const struct ticket_keys *k, struct snapshot *to)
{
	to->newest = read_newest(k);
	for (size_t at = 0; at < TICKET_GENERATIONS; at++)
		for (size_t i = 0; i < TICKET_KEY_WORDS; i++)
			to->key[at].word[i] = atomic_load_explicit(
				&k->key[at][i], memory_order_acquire);
}

/* I2: what was copied is good when the sequence was even and stayed. */
static bool take_snapshot(const struct ticket_keys *k, struct snapshot *ret)
{
	uint32_t before, after;

	for (int i = 0; i < READ_TRIES; i++) {
		before = atomic_load_explicit(&k->sequence,
					      memory_order_acquire);
		if (before & 1)
			continue;
		read_all(k, ret);
		after = atomic_load_explicit(&k->sequence,
					     memory_order_relaxed);
		if (before == after)
			return true;
	}
	return false;
}

int ticket_keys_init(struct ticket_keys *k)
{
	for (int i = 0; i < TICKET_GENERATIONS; i++)
		if (ticket_keys_rotate(k) < 0)
			return -EIO;
	return 0;
}

int ticket_keys_rotate(struct ticket_keys *k)
{
	union key_words made;
	int error = make_key(&made.key);

	if (error < 0)
		return error;
	write_begin(k); /* I1 */
	write_key(k, (read_newest(k) + 1) % TICKET_GENERATIONS, &made);
	write_end(k);
	ticket_key_wipe(&made.key);
	return 0;
}

bool ticket_keys_newest(const struct ticket_keys *k, struct ticket_key *ret)
{
	struct snapshot copy;
	bool whole = take_snapshot(k, &copy);

	if (whole)
		*ret = copy.key[copy.newest].key;
	explicit_bzero(&copy, sizeof(copy));
	return whole;
}

bool ticket_keys_find(const struct ticket_keys *k, const uint8_t name[16],
		      struct ticket_key *ret, bool *ret_newest)
{
	struct snapshot copy;
	uint32_t at = TICKET_GENERATIONS;

	if (take_snapshot(k, &copy))
		for (at = 0; at < TICKET_GENERATIONS; at++)
			if (!memcmp(copy.key[at].key.name, name, 16))
				break;
	if (at < TICKET_GENERATIONS) {
		*ret = copy.key[at].key;
		*ret_newest = at == copy.newest;
	}
	explicit_bzero(&copy, sizeof(copy));
	return at < TICKET_GENERATIONS;
}

void ticket_key_wipe(struct ticket_key *k)
{
	explicit_bzero(k, sizeof(*k));
}
