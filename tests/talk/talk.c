/*
 * talk: runs conversation scripts (README.md) against the server core, each
 * several times: the whole input at once, octet by octet, and in pieces of
 * seven. Prints TAP. With more than one script it also wants to have seen every
 * reply of the table.
 */

#include "talk/play.h"

#include <stdio.h>

static const size_t talk_steps[] = { 0, 1, 7 };

struct talk {
	unsigned int tests;
	unsigned int failures;
	bool seen[REPLY_N];
};

static void talk_ok(struct talk *t, bool good, const char *name, size_t step)
{
	t->tests++;
	t->failures += !good;
	printf("%sok %u - %s", good ? "" : "not ", t->tests, name);
	if (step)
		printf(", %zu at a time", step);
	printf("\n");
}

/* Does a line say this reply, whatever its argument? */
static bool talk_says(struct span line, enum reply reply)
{
	uint8_t storage[REPLY_LINE_MAX];
	struct buf table;
	struct span head, tail;

	/* A control character becomes `?`, which no text of the table holds. */
	buf_init(&table, storage, sizeof(storage));
	reply_put(&table, reply, SPAN("\x1a"));
	head = buf_span(&table);
	head.len -= 2;
	tail = span_tail(head, span_find(head, '?'));
	if (!tail.len)
		return span_equal(line, head);
	head.len -= tail.len;
	tail = span_tail(tail, 1);
	return line.len >= head.len + tail.len &&
	       span_equal(span_head(line, head.len), head) &&
	       span_equal(span_tail(line, line.len - tail.len), tail);
}

static void talk_see(struct talk *t, struct span line)
{
	for (int i = 0; i < REPLY_N; i++)
		if (talk_says(line, (enum reply)i))
			t->seen[i] = true;
}

static struct span talk_take_line(struct span *in)
{
	size_t end = span_find(*in, '\n');
	struct span line = span_head(*in, end);

	*in = span_tail(*in, end + (end < in->len));
	return line;
}

/* Equal, or equal up to a `*` that ends the expected line. */
static bool talk_matches(struct span expected, struct span line)
{
	if (expected.len && expected.p[expected.len - 1] == '*')
		return span_starts_nocase(line, span_head(expected,
							  expected.len - 1));
	return span_equal(expected, line);
}

static bool talk_compare(struct talk *t, const struct script *s,
			 const struct play *p)
{
	struct span expected = buf_span(&s->expected);
	struct span got = buf_span(&p->transcript);

	for (unsigned int n = 1; expected.len || got.len; n++) {
		struct span want = talk_take_line(&expected);
		struct span line = talk_take_line(&got);

		if (span_starts_nocase(line, SPAN("S: ")))
			talk_see(t, span_tail(line, 3));
		if (talk_matches(want, line))
			continue;
		printf("# reply %u: expected `%.*s`\n#           got `%.*s`\n",
		       n, (int)want.len, (const char *)want.p, (int)line.len,
		       (const char *)line.p);
		return false;
	}
	return true;
}

static void talk_show(struct span body)
{
	printf("# another body was stored, %zu octets:\n# ", body.len);
	for (size_t i = 0; i < body.len && i < 400; i++) {
		if (body.p[i] >= ' ' && body.p[i] <= '~')
			printf("%c", body.p[i]);
		else
			printf("\\x%02x", body.p[i]);
	}
	printf("\n");
}

static bool talk_play(struct talk *t, const struct script *s, size_t step)
{
	struct play p;
	bool good;

	play_run(&p, s, step);
	good = talk_compare(t, s, &p);
	if (p.broken) {
		printf("# %s\n", p.broken);
		good = false;
	}
	if (p.closed != s->closes) {
		printf("# the server %s\n",
		       p.closed ? "closed" : "did not close");
		good = false;
	}
	if (s->shows_body &&
	    !span_equal(buf_span(&s->body), buf_span(&p.body))) {
		talk_show(buf_span(&p.body));
		good = false;
	}
	play_close(&p);
	return good;
}

static void talk_script(struct talk *t, const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	size_t n = sizeof(talk_steps) / sizeof(talk_steps[0]);
	struct script s;

	if (!script_open(&s, path)) {
		talk_ok(t, false, name, 0);
	} else {
		n = s.whole ? 1 : n;
		for (size_t i = 0; i < n; i++)
			talk_ok(t, talk_play(t, &s, talk_steps[i]), name,
				talk_steps[i]);
	}
	script_close(&s);
}

/* The table and the scripts cover each other. */
static void talk_cover(struct talk *t)
{
	bool good = true;

	for (int i = 0; i < REPLY_N; i++) {
		if (t->seen[i])
			continue;
		printf("# never given: %s\n", reply_name((enum reply)i));
		good = false;
	}
	talk_ok(t, good, "every reply of the table was given", 0);
}

int main(int argc, char **argv)
{
	struct talk t = { 0 };

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (int i = 1; i < argc; i++)
		talk_script(&t, argv[i]);
	if (argc > 2)
		talk_cover(&t);
	printf("1..%u\n", t.tests);
	return t.failures ? 1 : 0;
}
