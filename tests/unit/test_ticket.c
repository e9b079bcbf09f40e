#include "tls/ticket.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <pthread.h>
#include <string.h>

#define ROTATIONS 100000

static void generations_differ(void **state)
{
	struct ticket_keys keys = { 0 };
	struct ticket_key first, second;

	assert_int_equal(ticket_keys_init(&keys), 0);
	assert_true(ticket_keys_newest(&keys, &first));
	for (int i = 0; i < TICKET_GENERATIONS; i++) {
		assert_int_equal(ticket_keys_rotate(&keys), 0);
		assert_true(ticket_keys_newest(&keys, &second));
		assert_memory_not_equal(first.name, second.name, 16);
		assert_memory_not_equal(first.aes, second.aes, 32);
		assert_memory_not_equal(first.hmac, second.hmac, 32);
		assert_memory_not_equal(second.aes, second.hmac, 32);
		first = second;
	}
}

static void key_lives_for_three_generations(void **state)
{
	struct ticket_keys keys = { 0 };
	struct ticket_key key, found;
	bool newest;

	assert_int_equal(ticket_keys_init(&keys), 0);
	assert_true(ticket_keys_newest(&keys, &key));
	for (int age = 0; age < TICKET_GENERATIONS; age++) {
		memset(&found, 0, sizeof(found));
		assert_true(ticket_keys_find(&keys, key.name, &found, &newest));
		assert_int_equal(newest, age == 0);
		assert_memory_equal(&found, &key, sizeof(key));
		assert_int_equal(ticket_keys_rotate(&keys), 0);
	}
	assert_false(ticket_keys_find(&keys, key.name, &found, &newest));
}

static void unknown_name_is_not_found(void **state)
{
	const uint8_t name[16] = "nobody's ticket";
	struct ticket_keys keys = { 0 };
	struct ticket_key key;
	bool newest;

	assert_int_equal(ticket_keys_init(&keys), 0);
	assert_false(ticket_keys_find(&keys, name, &key, &newest));
}

static void dead_writer_stops_nobody(void **state)
{
	struct ticket_keys keys = { 0 };
	struct ticket_key key, found;
	bool newest;

	assert_int_equal(ticket_keys_init(&keys), 0);
	assert_true(ticket_keys_newest(&keys, &key));
	atomic_fetch_add(&keys.sequence, 1); /* as if killed while it wrote */
	assert_false(ticket_keys_newest(&keys, &found));
	assert_false(ticket_keys_find(&keys, key.name, &found, &newest));
	assert_int_equal(ticket_keys_rotate(&keys), 0);
	assert_true(ticket_keys_newest(&keys, &found));
	assert_true(ticket_keys_find(&keys, key.name, &found, &newest));
	assert_false(newest);
}

static void wiping_leaves_nothing(void **state)
{
	struct ticket_keys keys = { 0 };
	struct ticket_key key, zero = { 0 };

	assert_int_equal(ticket_keys_init(&keys), 0);
	assert_true(ticket_keys_newest(&keys, &key));
	ticket_key_wipe(&key);
	assert_memory_equal(&key, &zero, sizeof(key));
}

struct race {
	struct ticket_keys keys;
	atomic_bool over;
	size_t looks_n, torn_n;
};

/* Looks at one key until it has been rotated out, then at the next. */
static void *watch(void *arg)
{
	struct race *race = arg;
	struct ticket_key key, found;
	bool newest;

	while (!atomic_load(&race->over)) {
		if (!ticket_keys_newest(&race->keys, &key))
			continue;
		while (!atomic_load(&race->over) &&
		       ticket_keys_find(&race->keys, key.name, &found,
					&newest)) {
			race->looks_n++;
			if (memcmp(&key, &found, sizeof(key)) != 0)
				race->torn_n++;
		}
	}
	return NULL;
}

/* Never the name of one key with bits of the next. */
static void readers_see_whole_keys(void **state)
{
	struct race race = { 0 };
	pthread_t reader;

	assert_int_equal(ticket_keys_init(&race.keys), 0);
	assert_int_equal(pthread_create(&reader, NULL, watch, &race), 0);
	for (size_t i = 0; i < ROTATIONS; i++)
		assert_int_equal(ticket_keys_rotate(&race.keys), 0);
	atomic_store(&race.over, true);
	assert_int_equal(pthread_join(reader, NULL), 0);
	assert_true(race.looks_n > 0);
	assert_int_equal(race.torn_n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(generations_differ),
		cmocka_unit_test(key_lives_for_three_generations),
		cmocka_unit_test(unknown_name_is_not_found),
		cmocka_unit_test(dead_writer_stops_nobody),
		cmocka_unit_test(wiping_leaves_nothing),
		cmocka_unit_test(readers_see_whole_keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
