/* Received, Date and Message-ID: shape, calendar, harmless names. */
#include "smtp/received.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include <cmocka.h>

struct fixture {
	struct buf out;
	uint8_t storage[RECEIVED_FIELD_MAX];
};

static struct received usual(void)
{
	return (struct received){
		.helo = "client.example",
		.address = "192.0.2.1",
		.hostname = "mx.example.org",
		.id = "0123456789abcdef",
		.tls_version = "TLSv1.3",
		.tls_cipher = "TLS_AES_128_GCM_SHA256",
		.unix_time_s = 1000000000,
		.extended = true,
		.authenticated = true,
	};
}

static const char *put(struct fixture *f, const struct received *r)
{
	buf_init(&f->out, f->storage, sizeof(f->storage));
	received_put(&f->out, r);
	buf_put_byte(&f->out, 0);
	assert_false(f->out.overflowed);
	return (const char *)f->storage;
}

static void writes_the_field(void **state)
{
	struct received r = usual();
	struct fixture f;

	assert_string_equal(
		put(&f, &r),
		"Received: from client.example ([192.0.2.1])\r\n"
		"\tby mx.example.org with ESMTPSA id 0123456789abcdef\r\n"
		"\t(TLS version=TLSv1.3 cipher=TLS_AES_128_GCM_SHA256);\r\n"
		"\tSun, 9 Sep 2001 01:46:40 +0000\r\n");
}

static void names_the_protocol(void **state)
{
	struct received r = usual();
	struct fixture f;

	r.smtputf8 = true;
	assert_non_null(strstr(put(&f, &r), "with UTF8SMTPSA id"));
	r.authenticated = false;
	assert_non_null(strstr(put(&f, &r), "with UTF8SMTPS id"));
	r.smtputf8 = false;
	assert_non_null(strstr(put(&f, &r), "with ESMTPS id"));
	r.tls_version = NULL;
	assert_non_null(strstr(put(&f, &r), "with ESMTP id 0123456789abcdef;"));
	assert_null(strstr((const char *)f.storage, "TLS"));
	r.extended = false;
	assert_non_null(strstr(put(&f, &r), "with SMTP id"));
}

static void the_helo_breaks_nothing(void **state)
{
	struct received r = usual();
	struct fixture f;

	r.helo = "a(b)c\"d\\e;f<g>h,\xc3\xa4";
	assert_non_null(strstr(put(&f, &r), "from a?b?c?d?e?f?g?h??? (["));
	r.smtputf8 = true;
	assert_non_null(strstr(put(&f, &r), "g?h?\xc3\xa4 (["));
	r.helo = "[IPv6:2001:db8::1]";
	assert_non_null(strstr(put(&f, &r), "from [IPv6:2001:db8::1] (["));
}

/* Lines stay under 79 columns where words allow. */
static void folds(void **state)
{
	struct received r = usual();
	struct fixture f;
	struct span rest;
	char helo[61];

	memset(helo, 'h', sizeof(helo) - 1);
	helo[sizeof(helo) - 1] = 0;
	r.helo = helo;
	r.address = "IPv6:2001:db8:1111:2222:3333:4444:5555:6666";
	r.hostname = "a-rather-long-name-of-a-host.in-a-long.domain.example";
	rest = span_str(put(&f, &r));
	while (rest.len) {
		size_t end = span_find(rest, '\n');

		/* A tab is worth eight columns; the line ends in CR. */
		assert_true(rest.p[0] == 'R' || rest.p[0] == '\t');
		assert_true(end - 1 + (rest.p[0] == '\t' ? 7 : 0) <= 78);
		rest = span_tail(rest, end + 1);
	}
}

/* Whatever is given, RECEIVED_FIELD_MAX octets hold it. */
static void the_longest_fits(void **state)
{
	struct received r = usual();
	struct fixture f;
	char text[256];

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = 0;
	r.helo = r.hostname = text;
	r.smtputf8 = true;
	(void)put(&f, &r);

	buf_init(&f.out, f.storage, RECEIVED_MISSING_MAX);
	received_put_date(&f.out, 253402300799);
	received_put_message_id(&f.out, "0123456789abcdef0123456", text);
	assert_false(f.out.overflowed);
}

static void writes_missing_fields(void **state)
{
	struct fixture f;

	buf_init(&f.out, f.storage, sizeof(f.storage));
	received_put_date(&f.out, 0);
	received_put_message_id(&f.out, "ab12", "mx.example.org");
	assert_true(span_equal(buf_span(&f.out),
			       SPAN("Date: Thu, 1 Jan 1970 00:00:00 +0000\r\n"
				    "Message-ID: <ab12@mx.example.org>\r\n")));
}

/* The C library knows the calendar too. */
static void agrees_with_the_c_library(void **state)
{
	for (uint64_t t = 0; t < 16725225600; t += 86400 * 13 + 4567) {
		time_t seconds = (time_t)t;
		struct fixture f;
		char want[64];
		struct tm tm;

		gmtime_r(&seconds, &tm);
		(void)strftime(want, sizeof(want),
			       "Date: %a, %-d %b %Y %H:%M:%S +0000\r\n", &tm);
		buf_init(&f.out, f.storage, sizeof(f.storage));
		received_put_date(&f.out, t);
		buf_put_byte(&f.out, 0);
		assert_string_equal((const char *)f.storage, want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(writes_the_field),
		cmocka_unit_test(names_the_protocol),
		cmocka_unit_test(the_helo_breaks_nothing),
		cmocka_unit_test(folds),
		cmocka_unit_test(the_longest_fits),
		cmocka_unit_test(writes_missing_fields),
		cmocka_unit_test(agrees_with_the_c_library),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
