/* The map of senders: who may use which reverse-path. */
#include "policy/access.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

struct fixture {
	struct buf errors;
	uint8_t storage[4096];
	struct access *map;
};

static void load(struct fixture *f, const char *text)
{
	buf_init(&f->errors, f->storage, sizeof(f->storage));
	f->map = access_open("senders", span_str(text), &f->errors);
}

static bool may(const struct fixture *f, const char *user, const char *path)
{
	return access_may(f->map, span_str(user), span_str(path));
}

static void without_a_map_all_may(void **state)
{
	assert_true(access_may(NULL, SPAN("a"), SPAN("b@example.org")));
}

static void some_senders_are_always_allowed(void **state)
{
	struct fixture f;

	load(&f, "");
	assert_non_null(f.map);
	assert_true(may(&f, "a@example.org", ""));
	assert_true(may(&f, "a@example.org", "a@example.org"));
	assert_true(may(&f, "a@example.org", "A@Example.ORG"));
	assert_false(may(&f, "a@example.org", "b@example.org"));
	access_close(f.map);
}

static void matches_patterns(void **state)
{
	struct fixture f;

	load(&f, "# senders\n"
		 "al: one@example.org @example.net\n"
		 "bo:*\n"
		 "al : two@example.org\n"
		 "*: @all.example \"odd@local\"@example.com\n");
	assert_non_null(f.map);
	assert_true(may(&f, "al", "one@example.org"));
	assert_true(may(&f, "al", "ONE@example.ORG"));
	assert_true(may(&f, "al", "two@example.org"));
	assert_true(may(&f, "al", "any@example.net"));
	assert_true(may(&f, "al", "\"a@b\"@EXAMPLE.net"));
	assert_false(may(&f, "al", "three@example.org"));
	assert_false(may(&f, "al", "any@sub.example.net"));
	assert_false(may(&f, "al", "any@xexample.net"));
	assert_false(may(&f, "al", "example.net"));
	/* The domain is what is behind the last @. */
	assert_false(may(&f, "al", "\"x@example.net\"@evil.example"));
	assert_true(may(&f, "bo", "any@where.example"));
	assert_true(may(&f, "cy", "any@all.example"));
	assert_true(may(&f, "cy", "\"odd@local\"@example.com"));
	assert_false(may(&f, "cy", "one@example.org"));
	/* User names are not folded, nor is `*` anybody's name. */
	assert_false(may(&f, "AL", "one@example.org"));
	assert_false(may(&f, "a", "one@example.org"));
	access_close(f.map);
}

static void complains(const char *text, const char *begin)
{
	struct fixture f;

	load(&f, text);
	assert_null(f.map);
	if (!span_starts_nocase(buf_span(&f.errors), span_str(begin)))
		fail_msg("said: %.*s", (int)buf_len(&f.errors),
			 (const char *)f.storage);
}

static void names_each_mistake(void **state)
{
	char text[400] = "a: ";

	complains("a", "senders:1: no colon");
	complains("\n: *", "senders:2: no name");
	complains("a:", "senders:1: no pattern");
	complains("a: b", "senders:1: pattern is no address");
	complains("a: b@", "senders:1: pattern without a domain");
	complains("a: @", "senders:1: pattern without a domain");
	complains("a: @b@c", "senders:1: `@domain` with a second @");
	complains("a: *@b", "senders:1: `*` stands alone");
	complains("a: b@c\x01", "senders:1: control character");
	memset(text + 3, 'x', 300);
	complains(text, "senders:1: pattern longer than 256");
	memset(text, 'x', 300);
	text[300] = ':';
	text[301] = '*';
	text[302] = 0;
	complains(text, "senders:1: name longer than 255");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_a_map_all_may),
		cmocka_unit_test(some_senders_are_always_allowed),
		cmocka_unit_test(matches_patterns),
		cmocka_unit_test(names_each_mistake),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
