/* Remembers who was right, for a while, without their passwords. */
#include "gateway/authcache.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define LIFETIME_MS 1000
#define NOW_MS      123456

static struct authcache cache;

static int setup(void **state)
{
	return authcache_init(&cache, 1024, LIFETIME_MS);
}

static int teardown(void **state)
{
	authcache_fini(&cache);
	return 0;
}

static bool knows(struct span user, struct span password)
{
	return authcache_knows(&cache, user, password, NOW_MS);
}

static void remembers_these_very_credentials(void **state)
{
	assert_false(knows(SPAN("a@example.org"), SPAN("secret")));
	authcache_remember(&cache, SPAN("a@example.org"), SPAN("secret"),
			   NOW_MS);
	assert_true(knows(SPAN("a@example.org"), SPAN("secret")));
	assert_true(knows(SPAN("a@example.org"), SPAN("secret")));
	assert_false(knows(SPAN("a@example.org"), SPAN("Secret")));
	assert_false(knows(SPAN("a@example.org"), SPAN("secret ")));
	assert_false(knows(SPAN("a@example.org"), SPAN("secre")));
	assert_false(knows(SPAN("a@example.org"), SPAN("")));
	assert_false(knows(SPAN("A@example.org"), SPAN("secret")));
	assert_false(knows(SPAN("b@example.org"), SPAN("secret")));
}

/* The same bytes cut elsewhere are another pair. */
static void tells_user_from_password(void **state)
{
	authcache_remember(&cache, SPAN("ab"), SPAN("c"), NOW_MS);
	assert_true(knows(SPAN("ab"), SPAN("c")));
	assert_false(knows(SPAN("a"), SPAN("bc")));
	assert_false(knows(SPAN("abc"), SPAN("")));
	assert_false(knows(SPAN(""), SPAN("abc")));
	authcache_remember(&cache, SPAN("u"), SPAN("a\0b"), NOW_MS);
	assert_true(knows(SPAN("u"), SPAN("a\0b")));
	assert_false(knows(SPAN("u"), SPAN("a\0c")));
	assert_false(knows(SPAN("u"), SPAN("a")));
}

static void forgets_after_the_lifetime(void **state)
{
	struct span user = SPAN("a"), password = SPAN("b");

	authcache_remember(&cache, user, password, NOW_MS);
	assert_true(authcache_knows(&cache, user, password,
				    NOW_MS + LIFETIME_MS - 1));
	assert_false(
		authcache_knows(&cache, user, password, NOW_MS + LIFETIME_MS));
	authcache_remember(&cache, user, password, NOW_MS + 2 * LIFETIME_MS);
	assert_true(authcache_knows(&cache, user, password,
				    NOW_MS + 3 * LIFETIME_MS - 1));
}

/* Asking does not make an entry live longer. */
static void asking_does_not_prolong(void **state)
{
	struct span user = SPAN("a"), password = SPAN("b");

	authcache_remember(&cache, user, password, 0);
	for (uint64_t now = 0; now < LIFETIME_MS; now += 100)
		assert_true(authcache_knows(&cache, user, password, now));
	assert_false(authcache_knows(&cache, user, password, LIFETIME_MS));
}

static void an_empty_one_knows_nobody(void **state)
{
	uint64_t times[] = { 0, 1, NOW_MS, UINT64_MAX };

	for (size_t i = 0; i < 4; i++)
		assert_false(
			authcache_knows(&cache, SPAN(""), SPAN(""), times[i]));
}

static void can_be_off(void **state)
{
	struct authcache off;

	assert_int_equal(authcache_init(&off, 0, LIFETIME_MS), 0);
	authcache_remember(&off, SPAN("a"), SPAN("b"), NOW_MS);
	assert_false(authcache_knows(&off, SPAN("a"), SPAN("b"), NOW_MS));
	authcache_fini(&off);
	assert_int_equal(authcache_init(&off, 4, 0), 0);
	authcache_remember(&off, SPAN("a"), SPAN("b"), NOW_MS);
	assert_false(authcache_knows(&off, SPAN("a"), SPAN("b"), NOW_MS));
	authcache_fini(&off);
}

static void a_collision_forgets_the_older(void **state)
{
	struct authcache one;

	assert_int_equal(authcache_init(&one, 1, LIFETIME_MS), 0);
	authcache_remember(&one, SPAN("a"), SPAN("x"), NOW_MS);
	authcache_remember(&one, SPAN("b"), SPAN("x"), NOW_MS);
	assert_false(authcache_knows(&one, SPAN("a"), SPAN("x"), NOW_MS));
	assert_true(authcache_knows(&one, SPAN("b"), SPAN("x"), NOW_MS));
	authcache_fini(&one);
}

/* Credentials too long for the digest are never remembered, never cut. */
static void long_credentials_are_not_cut(void **state)
{
	uint8_t bytes[2048];

	memset(bytes, 'x', sizeof(bytes));
	for (size_t len = 0; len <= sizeof(bytes); len += 32) {
		struct span password = span_of(bytes, len);
		struct span shorter = span_of(bytes, len ? len - 1 : 0);

		authcache_remember(&cache, SPAN("user"), password, NOW_MS);
		if (len <= 768)
			assert_true(knows(SPAN("user"), password));
		if (len > 1024)
			assert_false(knows(SPAN("user"), password));
		if (len)
			assert_false(knows(SPAN("user"), shorter));
	}
}

static const struct authcache_entry *used_entry(const struct authcache *c)
{
	for (uint32_t i = 0; i < c->n; i++)
		if (c->entries[i].expires_ms)
			return &c->entries[i];
	fail_msg("nothing was remembered");
	return NULL;
}

/* A copy of the memory of one process says nothing about another's. */
static void keeps_no_password_and_no_bare_hash(void **state)
{
	struct authcache other;
	const uint8_t *entries = (const uint8_t *)cache.entries;
	size_t bytes = cache.n * sizeof(*cache.entries);

	assert_int_equal(authcache_init(&other, 1024, LIFETIME_MS), 0);
	authcache_remember(&cache, SPAN("user"), SPAN("pa55word"), NOW_MS);
	authcache_remember(&other, SPAN("user"), SPAN("pa55word"), NOW_MS);
	assert_null(memmem(entries, bytes, "pa55", 4));
	assert_null(memmem(entries, bytes, "user", 4));
	assert_memory_not_equal(used_entry(&cache)->digest,
				used_entry(&other)->digest, AUTHCACHE_DIGEST);
	authcache_fini(&other);
}

#define CACHE_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CACHE_TEST(remembers_these_very_credentials),
		CACHE_TEST(tells_user_from_password),
		CACHE_TEST(forgets_after_the_lifetime),
		CACHE_TEST(asking_does_not_prolong),
		CACHE_TEST(an_empty_one_knows_nobody),
		CACHE_TEST(can_be_off),
		CACHE_TEST(a_collision_forgets_the_older),
		CACHE_TEST(long_credentials_are_not_cut),
		CACHE_TEST(keeps_no_password_and_no_bare_hash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
