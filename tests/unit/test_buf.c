/* The byte queue: exact fits, compaction, sticky overflow. */
#include "base/buf.h"

#include "aborts.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define CAP 8

struct fixture {
	struct buf b;
	uint8_t storage[CAP + 1]; /* the last one is not lent */
};

static void fixture_init(struct fixture *f)
{
	memset(f, 0xee, sizeof(*f));
	buf_init(&f->b, f->storage, CAP);
}

static void holds(const struct fixture *f, const char *text)
{
	assert_int_equal(buf_len(&f->b), strlen(text));
	assert_int_equal(buf_room(&f->b), CAP - strlen(text));
	assert_true(span_equal(buf_span(&f->b), span_str(text)));
	assert_int_equal(f->storage[CAP], 0xee);
}

static void takes_what_fits_exactly(void **state)
{
	struct fixture f;

	fixture_init(&f);
	holds(&f, "");
	buf_put(&f.b, SPAN("abcdefgh"));
	holds(&f, "abcdefgh");
	assert_false(f.b.overflowed);
	buf_put(&f.b, SPAN(""));
	assert_false(f.b.overflowed);
	buf_put_byte(&f.b, 'i');
	assert_true(f.b.overflowed);
	holds(&f, "abcdefgh");
}

/* What does not fit is left out whole, and so is all that comes after. */
static void overflow_is_sticky(void **state)
{
	struct fixture f;

	fixture_init(&f);
	buf_put_str(&f.b, "abc");
	buf_put_str(&f.b, "defghi");
	assert_true(f.b.overflowed);
	holds(&f, "abc");
	buf_put_byte(&f.b, 'd');
	buf_put_u64(&f.b, 1);
	buf_printf(&f.b, "%d", 2);
	holds(&f, "abc");
	buf_consume(&f.b, 3);
	buf_put_byte(&f.b, 'd');
	assert_true(f.b.overflowed);
	holds(&f, "");
	buf_clear(&f.b);
	assert_false(f.b.overflowed);
	buf_put_str(&f.b, "12345678");
	holds(&f, "12345678");
}

static void room_at_the_front_is_used(void **state)
{
	struct fixture f;

	fixture_init(&f);
	buf_put_str(&f.b, "abcdefgh");
	buf_consume(&f.b, 5);
	holds(&f, "fgh");
	buf_put_str(&f.b, "12345");
	assert_false(f.b.overflowed);
	holds(&f, "fgh12345");
	buf_consume(&f.b, 1);
	buf_compact(&f.b);
	assert_ptr_equal(buf_span(&f.b).p, f.storage);
	holds(&f, "gh12345");
	buf_consume(&f.b, 7);
	assert_ptr_equal(buf_span(&f.b).p, f.storage);
	holds(&f, "");
}

static void lends_its_room(void **state)
{
	struct fixture f;
	size_t room = 0;
	uint8_t *p;

	fixture_init(&f);
	buf_put_str(&f.b, "abcdef");
	buf_consume(&f.b, 4);
	p = buf_reserve(&f.b, &room);
	assert_int_equal(room, 6);
	assert_ptr_equal(p, f.storage + 2);
	for (uint8_t i = 0; i < 6; i++)
		p[i] = (uint8_t)('g' + i);
	buf_produced(&f.b, 2);
	holds(&f, "efgh");
	(void)buf_reserve(&f.b, &room);
	assert_int_equal(room, 4);
	buf_produced(&f.b, 4);
	holds(&f, "efghijkl");
	(void)buf_reserve(&f.b, &room);
	assert_int_equal(room, 0);
}

static void writes_numbers(void **state)
{
	uint8_t storage[64];
	struct buf b;

	buf_init(&b, storage, sizeof(storage));
	buf_put_u64(&b, 0);
	buf_put_byte(&b, ' ');
	buf_put_u64(&b, 10);
	buf_put_byte(&b, ' ');
	buf_put_u64(&b, UINT64_MAX);
	assert_true(span_equal(buf_span(&b), SPAN("0 10 "
						  "18446744073709551615")));
}

static void writes_numbers_with_zeros(void **state)
{
	uint8_t storage[64];
	struct buf b;

	buf_init(&b, storage, sizeof(storage));
	buf_put_decimal(&b, 7, 2);
	buf_put_byte(&b, ' ');
	buf_put_decimal(&b, 1234, 3); /* the last ones */
	buf_put_byte(&b, ' ');
	buf_put_hex(&b, UINT64_C(0x0123456789abcdef));
	buf_put_byte(&b, ' ');
	buf_put_hex(&b, 0);
	assert_true(span_equal(buf_span(&b), SPAN("07 234 0123456789abcdef "
						  "0000000000000000")));
}

static void prints(void **state)
{
	struct fixture f;

	fixture_init(&f);
	buf_printf(&f.b, "%s-%u", "ab", 12345u);
	holds(&f, "ab-12345");
	assert_false(f.b.overflowed);
	buf_printf(&f.b, "%s", "");
	assert_false(f.b.overflowed);
	buf_consume(&f.b, 3);
	buf_printf(&f.b, "%s", "abcd");
	assert_true(f.b.overflowed);
	holds(&f, "12345");
}

/* One call prints at most 1023 bytes, however much room there is. */
static void prints_bounded_texts(void **state)
{
	static uint8_t storage[4096];
	struct buf b;

	buf_init(&b, storage, sizeof(storage));
	buf_printf(&b, "%1023d", 1);
	assert_false(b.overflowed);
	assert_int_equal(buf_len(&b), 1023);
	buf_printf(&b, "%1024d", 1);
	assert_true(b.overflowed);
	assert_int_equal(buf_len(&b), 1023);
}

static void nothing_fits_into_nothing(void **state)
{
	struct buf b;
	size_t room = 1;

	buf_init(&b, NULL, 0);
	buf_put(&b, SPAN(""));
	buf_compact(&b);
	buf_consume(&b, 0);
	assert_false(b.overflowed);
	assert_int_equal(buf_span(&b).len, 0);
	(void)buf_reserve(&b, &room);
	assert_int_equal(room, 0);
	buf_put_byte(&b, 'a');
	assert_true(b.overflowed);
	assert_int_equal(buf_len(&b), 0);
}

static void consume_too_much(void)
{
	struct fixture f;

	fixture_init(&f);
	buf_put_str(&f.b, "ab");
	buf_consume(&f.b, 3);
}

static void produce_too_much(void)
{
	struct fixture f;

	fixture_init(&f);
	buf_put_str(&f.b, "ab");
	buf_produced(&f.b, CAP - 1);
}

static void forbids_what_is_not_there(void **state)
{
	assert_true(aborts(consume_too_much));
	assert_true(aborts(produce_too_much));
}

/*
 * Against a queue that is two counters: byte i ever put has the value i, so
 * what is inside is always first..first+len.
 */
static void keeps_order_in_any_use(void **state)
{
	uint8_t storage[61];
	uint8_t first = 0, next = 0;
	uint32_t random = 2463534242;
	struct buf b;

	buf_init(&b, storage, sizeof(storage));
	for (int step = 0; step < 100000; step++) {
		uint8_t bytes[64];
		size_t len = random >> 8 & 63;

		random ^= random << 13;
		random ^= random >> 17;
		random ^= random << 5;
		if (random & 1) {
			for (size_t i = 0; i < len; i++)
				bytes[i] = (uint8_t)(next + i);
			buf_put(&b, span_of(bytes, len));
			if (!b.overflowed)
				next = (uint8_t)(next + len);
			b.overflowed = false;
		} else if (len <= buf_len(&b)) {
			buf_consume(&b, len);
			first = (uint8_t)(first + len);
		}
		assert_int_equal((uint8_t)(next - first), buf_len(&b));
		for (size_t i = 0; i < buf_len(&b); i++)
			assert_int_equal(buf_span(&b).p[i],
					 (uint8_t)(first + i));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_what_fits_exactly),
		cmocka_unit_test(overflow_is_sticky),
		cmocka_unit_test(room_at_the_front_is_used),
		cmocka_unit_test(lends_its_room),
		cmocka_unit_test(writes_numbers),
		cmocka_unit_test(writes_numbers_with_zeros),
		cmocka_unit_test(prints),
		cmocka_unit_test(prints_bounded_texts),
		cmocka_unit_test(nothing_fits_into_nothing),
		cmocka_unit_test(forbids_what_is_not_there),
		cmocka_unit_test(keeps_order_in_any_use),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
