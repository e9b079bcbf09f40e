/* Records in clear, before STARTTLS: bytes pass as they are. */
#include "tls/record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void clear_passes_bytes(void **state)
{
	struct record r;
	struct span in = SPAN("EHLO me\r\n");
	uint8_t small[4], out_storage[16];
	struct buf to, out;

	record_init_clear(&r);
	buf_init(&to, small, sizeof(small));
	buf_init(&out, out_storage, sizeof(out_storage));
	assert_int_equal(record_open(&r, &in, &to, &out), RECORD_OK);
	assert_true(span_equal(buf_span(&to), SPAN("EHLO")));
	assert_true(span_equal(in, SPAN(" me\r\n")));
	assert_false(record_pending(&r));
	assert_true(record_passes_bytes(&r));
	assert_int_equal(record_seal(&r, &in, &out), RECORD_OK);
	assert_true(span_equal(buf_span(&out), SPAN(" me\r\n")));
	assert_int_equal(record_sealed_max(&r, 77), 77);
	assert_int_equal(record_wire_min(&r, 77), 77);
	assert_true(span_equal(record_clear(&r, SPAN("NOOP")), SPAN("NOOP")));
	record_shutdown(&r, &out);
	assert_int_equal(buf_len(&out), 5);
	record_fini(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(clear_passes_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
