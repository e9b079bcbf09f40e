/*
 * What the daemon tells about itself: the three renderings of one state.
 */

#include "control/expose.h"
#include "base/json.h"
#include "control/control.h"
#include "control/listing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static uint8_t storage[64 * 1024];
static struct metric_block blocks[3];
static struct tally tallies[2];

static const struct expose_process processes[] = {
	{ "gateway-0", 101, EXPOSE_RUNNING, 0, 1000, &blocks[0], &tallies[0] },
	{ "gateway-1", 0, EXPOSE_WAITING, 7, 1500, &blocks[1], &tallies[1] },
	{ "relay \"\\\n\xc3\xa9", 103, EXPOSE_DRAINING, 1, 1000, &blocks[2],
	  NULL },
};

static const struct expose_status status = {
	.version = "1.2.3",
	.generation = 4,
	.started_s = 1000,
	.now_s = 1000 + 2 * 86400 + 3 * 3600 + 59,
	.processes = processes,
	.processes_n = 3,
};

static void count(struct tally *t, const char *name, enum metric m, int n)
{
	while (n--)
		tally_count(tally_take(t, name), m);
}

static int setup(void **state)
{
	memset(blocks, 0, sizeof(blocks));
	memset(tallies, 0, sizeof(tallies));
	count(&tallies[0], "submissions", METRIC_OFFLOAD_KERNEL, 5);
	count(&tallies[0], "submission", METRIC_OFFLOAD_NO_ULP, 2);
	count(&tallies[1], "submission", METRIC_OFFLOAD_NO_ULP, 1);
	count(&tallies[1], "submission", METRIC_NIC_UNMET, 1);
	count(&tallies[1], "a\t\"b\\\n", METRIC_OFFLOAD_VERSION, 1);
	metric_add(&blocks[0], METRIC_MESSAGES_ACCEPTED, 30);
	metric_add(&blocks[1], METRIC_MESSAGES_ACCEPTED, 12);
	metric_add(&blocks[0], METRIC_CONNECTIONS_NOW, 5);
	metric_add(&blocks[2], METRIC_QUEUE_NOW, 9);
	metric_add(&blocks[2], METRIC_QUEUE_DEFERRED_NOW, 2);
	metric_add(&blocks[2], METRIC_QUEUE_HELD_NOW, 1);
	return 0;
}

static const char *rendered(void (*render)(const struct expose_status *,
					   struct buf *))
{
	struct buf out;

	buf_init(&out, storage, sizeof(storage) - 1);
	render(&status, &out);
	assert_false(out.overflowed);
	storage[out.end] = '\0';
	return (const char *)storage;
}

/* ---- a strict reader of JSON (RFC 8259), to check the writer -------------- */

static bool json_value(const char **p, int depth);

static bool json_literal(const char **p, const char *word)
{
	size_t len = strlen(word);

	if (strncmp(*p, word, len))
		return false;
	*p += len;
	return true;
}

static bool json_escape(const char **p)
{
	if (**p == 'u') {
		(*p)++;
		for (int i = 0; i < 4; i++, (*p)++)
			if (!strchr("0123456789abcdefABCDEF", **p) || !**p)
				return false;
		return true;
	}
	if (!**p || !strchr("\"\\/bfnrt", **p))
		return false;
	(*p)++;
	return true;
}

static bool json_text(const char **p)
{
	if (!json_literal(p, "\""))
		return false;
	while (**p != '"') {
		unsigned char c = (unsigned char)*(*p)++;

		if (c < ' ' || c >= 0x7f)
			return false;
		if (c == '\\' && !json_escape(p))
			return false;
	}
	(*p)++;
	return true;
}

static bool json_digits(const char **p)
{
	const char *begin = *p;

	while (**p >= '0' && **p <= '9')
		(*p)++;
	return *p > begin && (*begin != '0' || *p == begin + 1);
}

static bool json_members(const char **p, int depth, bool keys)
{
	const char *end = keys ? "}" : "]";

	(*p)++;
	if (json_literal(p, end))
		return true;
	do {
		if (keys && (!json_text(p) || !json_literal(p, ":")))
			return false;
		if (!json_value(p, depth + 1))
			return false;
	} while (json_literal(p, ","));
	return json_literal(p, end);
}

static bool json_value(const char **p, int depth)
{
	if (depth > 8)
		return false;
	if (**p == '{' || **p == '[')
		return json_members(p, depth, **p == '{');
	if (**p == '"')
		return json_text(p);
	return json_digits(p);
}

static bool is_json(const char *p)
{
	return json_value(&p, 0) && !strcmp(p, "\n");
}

static void test_reader_is_strict(void **state)
{
	assert_true(is_json("{\"a\":[1,{}],\"b\":\"\\u00e9\\\"\"}\n"));
	assert_false(is_json("{\"a\":1,}\n"));
	assert_false(is_json("{\"a\":1 \"b\":2}\n"));
	assert_false(is_json("[1,,2]\n"));
	assert_false(is_json("[\"\x01\"]\n"));
	assert_false(is_json("[01]\n"));
	assert_false(is_json("[1\n"));
	assert_false(is_json("[1]]\n"));
}

/* ---- renderings ---------------------------------------------------------- */

static void test_json(void **state)
{
	const char *text = rendered(expose_json);

	assert_true(is_json(text));
	assert_non_null(strstr(text, "\"version\":\"1.2.3\",\"generation\":4,"
				     "\"started\":1000,\"uptime\":183659,"));
	assert_non_null(strstr(text, "{\"name\":\"gateway-1\",\"pid\":0,"
				     "\"state\":\"waiting\",\"restarts\":7,"
				     "\"started\":1500,\"connections\":0,"
				     "\"messages\":12}"));
	assert_non_null(strstr(text, "\"queue\":{\"waiting\":9,"
				     "\"deferred\":2,\"held\":1}"));
	assert_non_null(strstr(text, "\"messages_accepted\":42,"));
}

static void test_json_escapes(void **state)
{
	assert_non_null(strstr(rendered(expose_json),
			       "\"name\":\"relay \\\"\\\\\\u000a\\u00c3\\u00a9"
			       "\""));
}

static void test_json_of_nothing(void **state)
{
	static const struct expose_status empty = { .version = "0" };
	struct buf out;

	buf_init(&out, storage, sizeof(storage) - 1);
	expose_json(&empty, &out);
	storage[out.end] = '\0';
	assert_true(is_json((const char *)storage));
	assert_non_null(strstr((const char *)storage, "\"processes\":[]"));
}

static void test_text(void **state)
{
	const char *text = rendered(expose_text);

	assert_memory_equal(text, "sluice 1.2.3, up 2d 3h, generation 4\n", 37);
	assert_non_null(strstr(text, "gateway-0           101 running          "
				     "0           5           30\n"));
	assert_non_null(strstr(text, "gateway-1             0 waiting          "
				     "7           0           12\n"));
	assert_non_null(strstr(text, "queue: 9 waiting, 2 of them deferred, 1 "
				     "held\n"));
	assert_non_null(strstr(text, "          42  messages made durable and "
				     "acknowledged\n"));
	assert_null(strstr(text, "messages refused for a NUL"));
}

static void test_metrics(void **state)
{
	const char *text = rendered(expose_metrics);
	unsigned int lines = 0;

	for (const char *p = text; *p; p++)
		lines += *p == '\n';
	assert_int_equal(lines, 3 * METRIC_N + 2 + 3 * TALLY_N);
	assert_non_null(strstr(text,
			       "# HELP sluice_messages_accepted_total messages "
			       "made durable and acknowledged\n"
			       "# TYPE sluice_messages_accepted_total counter\n"
			       "sluice_messages_accepted_total 42\n"));
	assert_non_null(strstr(text, "# TYPE sluice_queue_now gauge\n"
				     "sluice_queue_now 9\n"));
}

static const char listeners[] = "submissions\tOFFLOAD_KERNEL\t5\n"
				"submission\tOFFLOAD_KERNEL\t0\n"
				"submission\tOFFLOAD_NO_ULP\t3\n"
				"submission\tNIC_UNMET\t1\n"
				"a?\"b\\?\tOFFLOAD_KERNEL\t0\n"
				"a?\"b\\?\tOFFLOAD_VERSION\t1\n";

static void render_listeners(const struct expose_status *s, struct buf *out)
{
	struct listing listing;

	listing_gather(s, &listing);
	listing_text(&listing, out);
}

static void test_listeners(void **state)
{
	const char *text;

	assert_string_equal(rendered(render_listeners), listeners);
	text = rendered(expose_json);
	assert_non_null(strstr(text, "\"name\":\"submission\","
				     "\"offload_kernel\":0,"));
	assert_non_null(strstr(text, "\"offload_no_ulp\":3,"));
	text = rendered(expose_metrics);
	assert_non_null(strstr(text, "\nsluice_listener_sessions_total{"
				     "listener=\"submission\","
				     "records=\"offload_no_ulp\"} 3\n"));
	assert_non_null(strstr(text, "{listener=\"a?\\\"b\\\\?\","));
}

/* Names are told apart, however much they have in common. */
static void test_tally_rows(void **state)
{
	struct tally_row *a = tally_take(&tallies[0], "submission");
	struct tally_row *b = tally_take(&tallies[0], "submissions");

	assert_ptr_not_equal(a, b);
	assert_ptr_equal(tally_take(&tallies[0], "submission"), a);
	assert_ptr_not_equal(tally_take(&tallies[0], "sub"), a);
	assert_ptr_not_equal(tally_take(&tallies[0], ""), a);
	tally_count(a, METRIC_MESSAGES_ACCEPTED); /* not one of these */
	tally_count(NULL, METRIC_OFFLOAD_KERNEL);
	assert_int_equal(tally_read(a, METRIC_OFFLOAD_NO_ULP), 2);
	assert_int_equal(tally_read(a, METRIC_NIC_UNMET), 0);
}

static void test_reference_names_every_counter(void **state)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	unsigned int items = 0;

	assert_non_null(out);
	expose_print_metrics(out);
	assert_int_equal(fclose(out), 0);
	for (const char *p = text; (p = strstr(p, ".It Dv sluice_")); p++)
		items++;
	assert_int_equal(items, METRIC_N + 1);
	for (enum metric m = 0; m < METRIC_N; m++)
		assert_non_null(strstr(text, metric_help(m)));
	free(text);
}

/* As many listeners as there can be, of names that are hard to show. */
static void fill_tally(struct tally *t)
{
	memset(t, 0, sizeof(*t));
	for (int i = 0; i < TALLY_ROWS; i++) {
		struct tally_row *row;
		char name[80];

		memset(name, '"', sizeof(name) - 1);
		name[0] = (char)('A' + i);
		name[79] = '\0';
		row = tally_take(t, name);
		assert_non_null(row);
		memset(row->value, 0xff, sizeof(row->value));
	}
	assert_null(tally_take(t, "one too many"));
}

/* The largest daemon fits into the largest answer. */
static void test_bound(void **state)
{
	static struct expose_process many[257];
	static uint8_t large[CONTROL_ANSWER_MAX];
	struct expose_status all = status;
	struct listing listing;
	struct buf out;

	memset(&blocks[0], 0xff, sizeof(blocks[0]));
	fill_tally(&tallies[0]);
	for (size_t i = 0; i < 257; i++)
		many[i] = (struct expose_process){ "gateway-255",   4194304,
						   EXPOSE_STARTING, UINT32_MAX,
						   UINT64_MAX,      &blocks[0],
						   &tallies[0] };
	all.processes = many;
	all.processes_n = 257;
	buf_init(&out, large, sizeof(large));
	expose_json(&all, &out);
	assert_false(out.overflowed);
	buf_clear(&out);
	expose_text(&all, &out);
	assert_false(out.overflowed);
	buf_clear(&out);
	expose_metrics(&all, &out);
	assert_false(out.overflowed);
	buf_clear(&out);
	listing_gather(&all, &listing);
	assert_int_equal(listing.n, TALLY_ROWS);
	listing_text(&listing, &out);
	assert_false(out.overflowed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reader_is_strict),
		cmocka_unit_test_setup(test_json, setup),
		cmocka_unit_test_setup(test_json_escapes, setup),
		cmocka_unit_test(test_json_of_nothing),
		cmocka_unit_test_setup(test_text, setup),
		cmocka_unit_test_setup(test_metrics, setup),
		cmocka_unit_test(test_reference_names_every_counter),
		cmocka_unit_test_setup(test_listeners, setup),
		cmocka_unit_test_setup(test_tally_rows, setup),
		cmocka_unit_test(test_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
