/* The file of users: lookup, and a line and a cure for each mistake. */
#include "policy/users.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define HASH "$y$j9T$abc$defghi"

struct fixture {
	struct buf errors;
	uint8_t storage[4096];
};

static struct users *load(struct fixture *f, const char *text)
{
	buf_init(&f->errors, f->storage, sizeof(f->storage));
	return users_open("users", span_str(text), &f->errors);
}

static void complains(const char *text, const char *begin)
{
	struct fixture f;

	assert_null(load(&f, text));
	if (!span_starts_nocase(buf_span(&f.errors), span_str(begin)))
		fail_msg("said: %.*s", (int)buf_len(&f.errors),
			 (const char *)f.storage);
}

static void finds_users(void **state)
{
	struct fixture f;
	struct users *u = load(&f, "# comment\n"
				   "\n"
				   "zoe@example.org:{crypt}" HASH "\r\n"
				   "  al : {CRYPT}$6$salt$hash  \n"
				   "Zoe@example.org:{crypt}$2b$12$x");

	assert_non_null(u);
	assert_int_equal(users_count(u), 3);
	assert_string_equal(users_find(u, SPAN("zoe@example.org")), HASH);
	assert_string_equal(users_find(u, SPAN("al")), "$6$salt$hash");
	assert_string_equal(users_find(u, SPAN("Zoe@example.org")), "$2b$12$x");
	assert_null(users_find(u, SPAN("zoe@example.or")));
	assert_null(users_find(u, SPAN("zoe@example.org ")));
	assert_null(users_find(u, SPAN("al\0")));
	assert_null(users_find(u, SPAN("")));
	users_close(u);
}

static void finds_each_of_many(void **state)
{
	static char text[100000];
	struct fixture f;
	struct users *u;
	size_t n = 0;

	for (int i = 0; i < 1000; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n,
				      "u%d:{crypt}$6$%d\n", i * 7919 % 1000, i);
	u = load(&f, text);
	assert_non_null(u);
	for (int i = 0; i < 1000; i++) {
		char name[16], hash[16];

		(void)snprintf(name, sizeof(name), "u%d", i * 7919 % 1000);
		(void)snprintf(hash, sizeof(hash), "$6$%d", i);
		assert_string_equal(users_find(u, span_str(name)), hash);
	}
	users_close(u);
}

static void nobody_is_a_table_too(void **state)
{
	struct fixture f;
	struct users *u = load(&f, "# none yet\n");

	assert_non_null(u);
	assert_int_equal(users_count(u), 0);
	assert_null(users_find(u, SPAN("a")));
	assert_null(users_decoy(u));
	users_close(u);
}

/* Same cost, but nobody's password. */
static void the_decoy_is_nobodys_hash(void **state)
{
	struct fixture f;
	struct users *u = load(&f, "a:{crypt}$6$salt$hash.\n"
				   "b:{crypt}$6$salt$hash/\n");

	assert_non_null(u);
	assert_int_equal(strlen(users_decoy(u)), strlen("$6$salt$hash."));
	assert_memory_equal(users_decoy(u), "$6$salt$", 8);
	assert_string_not_equal(users_decoy(u), users_find(u, SPAN("a")));
	users_close(u);
}

static void names_each_mistake(void **state)
{
	complains("a", "users:1: no colon");
	complains("# x\n\n:{crypt}" HASH "\n", "users:3: no name");
	complains("a:\n", "users:1: no hash");
	complains("a:{plain}secret\n", "users:1: unknown scheme");
	complains("a:secret\n", "users:1: unknown scheme");
	complains("a:{crypt}secret\n", "users:1: not a hash of yescrypt");
	complains("a:{crypt}$1$salt$hash\n", "users:1: not a hash of");
	complains("a:{crypt}$6$\n", "users:1: not a hash of");
	complains("a:{crypt}$6$a b\n", "users:1: hash with a character");
	complains("a:{crypt}$6$a:b\n", "users:1: hash with a character");
	complains("a\x01:{crypt}" HASH "\n", "users:1: control character");
	complains("b:{crypt}" HASH "\na:{crypt}" HASH "\nb:{crypt}" HASH "\n",
		  "users:3: `b` is on line 1 already: remove one");
}

static void names_what_is_too_long(void **state)
{
	char text[6000];

	memset(text, 'a', sizeof(text));
	(void)snprintf(text + 256, sizeof(text) - 256, ":{crypt}" HASH "\n");
	complains(text, "users:1: name longer than 255");
	memset(text, 'a', sizeof(text));
	memcpy(text, "a:{crypt}$6$", 12);
	memcpy(text + 400, "\n", 2);
	complains(text, "users:1: hash longer than 255");
	memset(text, 'a', sizeof(text));
	memcpy(text + 5000, ":{crypt}$6$a\n", 14);
	complains(text, "users:1: longer than 4096 octets");
}

/* All mistakes come at once, so that one round of editing mends them. */
static void tells_all_mistakes(void **state)
{
	struct fixture f;

	assert_null(load(&f, "a\nb:x\nc:{crypt}" HASH "\n:\n"));
	assert_non_null(memmem(f.storage, buf_len(&f.errors), "users:1:", 8));
	assert_non_null(memmem(f.storage, buf_len(&f.errors), "users:2:", 8));
	assert_non_null(memmem(f.storage, buf_len(&f.errors), "users:4:", 8));
	assert_null(memmem(f.storage, buf_len(&f.errors), "users:3:", 8));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_users),
		cmocka_unit_test(finds_each_of_many),
		cmocka_unit_test(nobody_is_a_table_too),
		cmocka_unit_test(the_decoy_is_nobodys_hash),
		cmocka_unit_test(names_each_mistake),
		cmocka_unit_test(names_what_is_too_long),
		cmocka_unit_test(tells_all_mistakes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
