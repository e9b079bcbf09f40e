/* Base64: one text for each value. */
#include "policy/base64.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void decodes_to(const char *text, struct span want)
{
	uint8_t storage[64];
	struct buf out;

	buf_init(&out, storage, sizeof(storage));
	assert_true(base64_decode(span_str(text), &out));
	assert_true(span_equal(buf_span(&out), want));
}

/* RFC 4648 10, and the whole alphabet's ends. */
static void decodes(void **state)
{
	decodes_to("", SPAN(""));
	decodes_to("Zg==", SPAN("f"));
	decodes_to("Zm8=", SPAN("fo"));
	decodes_to("Zm9v", SPAN("foo"));
	decodes_to("Zm9vYg==", SPAN("foob"));
	decodes_to("Zm9vYmE=", SPAN("fooba"));
	decodes_to("Zm9vYmFy", SPAN("foobar"));
	decodes_to("AAAA", SPAN("\0\0\0"));
	decodes_to("+/+/", SPAN("\xfb\xff\xbf"));
	decodes_to("////", SPAN("\xff\xff\xff"));
}

static void refuses_all_else(void **state)
{
	static const char *const texts[] = {
		"Z",        "Zg",   "Zg=",   "Zg===",      "Zm9",
		"=",        "====", "Z===",  "Zm=v",       "Zg==Zg==",
		"Zm8=Zm8=", "Zm9 ", " Zm9v", "Zm9v\n",     "Zm-_",
		"Zh==",     "Zm9=", "Zg=A",  "Z\xc3\xa4g",
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		uint8_t storage[64];
		struct buf out;

		buf_init(&out, storage, sizeof(storage));
		if (base64_decode(span_str(texts[i]), &out))
			fail_msg("taken: %s", texts[i]);
	}
}

static void no_room_is_sticky(void **state)
{
	uint8_t storage[2];
	struct buf out;

	buf_init(&out, storage, sizeof(storage));
	assert_true(base64_decode(SPAN("Zm9v"), &out));
	assert_true(out.overflowed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decodes),
		cmocka_unit_test(refuses_all_else),
		cmocka_unit_test(no_room_is_sticky),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
