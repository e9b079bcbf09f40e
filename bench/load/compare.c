#include "load/compare.h"

#include "base/must.h"
#include "load/ledger.h"

#include <stdlib.h>
#include <sys/stat.h>

const char *compare_finding_name(enum compare_finding finding)
{
	static const char *const names[COMPARE_FINDINGS] = { "lost", "doubled",
							     "changed",
							     "unexpected" };

	MUST(finding < COMPARE_FINDINGS);
	return names[finding];
}

static int id_compare(struct account_id a, struct account_id b)
{
	if (a.run != b.run)
		return a.run < b.run ? -1 : 1;
	if (a.number != b.number)
		return a.number < b.number ? -1 : 1;
	return 0;
}

static int line_compare(const void *a, const void *b)
{
	return id_compare(((const struct account_line *)a)->id,
			  ((const struct account_line *)b)->id);
}

static void sort(struct account_line *lines, size_t n)
{
	if (n)
		qsort(lines, n, sizeof(*lines), line_compare);
}

static void find(struct comparison *c, enum compare_finding what,
		 struct account_id id)
{
	uint32_t *n = &c->examples_n[what];

	c->found[what]++;
	if (*n < COMPARE_EXAMPLES_MAX)
		c->examples[what][(*n)++] = id;
}

/* All that the sink has of one message. */
struct arrival {
	uint64_t lines;
	uint64_t recipients;
	uint64_t recipients_sum;
	bool changed;
};

static struct arrival gather(const struct account_line *sent,
			     const struct account_line *got, size_t n)
{
	struct arrival a = { .lines = n };

	for (size_t i = 0; i < n; i++) {
		a.recipients += got[i].recipients;
		a.recipients_sum += got[i].recipients_sum;
		a.changed = a.changed || got[i].hash != sent->hash ||
			    got[i].bytes != sent->bytes;
	}
	return a;
}

/* A Maildir tells no recipients: one file for all of them, or one for each. */
static void judge_copies(struct comparison *c, const struct account_line *sent,
			 const struct arrival *a)
{
	if (a->lines > 1 && a->lines != sent->recipients)
		find(c,
		     a->lines > sent->recipients ? COMPARE_DOUBLED :
						   COMPARE_LOST,
		     sent->id);
}

static void judge_recipients(struct comparison *c,
			     const struct account_line *sent,
			     const struct arrival *a)
{
	bool exact = a->recipients == sent->recipients;

	if (a->recipients > sent->recipients ||
	    (exact && a->recipients_sum != sent->recipients_sum))
		find(c, COMPARE_DOUBLED, sent->id);
	if (a->recipients < sent->recipients ||
	    (exact && a->recipients_sum != sent->recipients_sum))
		find(c, COMPARE_LOST, sent->id);
}

static void judge(struct comparison *c, const struct account_line *sent,
		  const struct arrival *a)
{
	c->sent += sent->fate == ACCOUNT_ACCEPTED;
	if (!a->lines) {
		if (sent->fate == ACCOUNT_ACCEPTED)
			find(c, COMPARE_LOST, sent->id);
		return;
	}
	c->arrived++;
	if (sent->fate == ACCOUNT_REFUSED) {
		find(c, COMPARE_UNEXPECTED, sent->id);
		return;
	}
	if (a->changed)
		find(c, COMPARE_CHANGED, sent->id);
	if (a->recipients)
		judge_recipients(c, sent, a);
	else
		judge_copies(c, sent, a);
}

void compare_lines(struct account_line *sent, size_t sent_n,
		   struct account_line *got, size_t got_n,
		   struct comparison *ret)
{
	size_t at = 0;

	*ret = (struct comparison){ 0 };
	sort(sent, sent_n);
	sort(got, got_n);
	for (size_t i = 0; i < sent_n; i++) {
		struct arrival a;
		size_t first;

		for (; at < got_n && id_compare(got[at].id, sent[i].id) < 0;
		     at++)
			if (got[at].id.run == sent[i].id.run)
				find(ret, COMPARE_UNEXPECTED, got[at].id);
		first = at;
		while (at < got_n && !id_compare(got[at].id, sent[i].id))
			at++;
		a = gather(&sent[i], got + first, at - first);
		judge(ret, &sent[i], &a);
	}
	for (; sent_n && at < got_n; at++)
		if (got[at].id.run == sent[sent_n - 1].id.run)
			find(ret, COMPARE_UNEXPECTED, got[at].id);
}

int compare_accounts(const char *sent, const char *got, struct comparison *ret,
		     const char **ret_path)
{
	struct ledger mine = { 0 }, theirs = { 0 };
	struct stat st;
	int result;

	*ret_path = sent;
	result = ledger_read(&mine, sent);
	if (!result) {
		*ret_path = got;
		result = !stat(got, &st) && S_ISDIR(st.st_mode) ?
				 ledger_read_maildir(&theirs, got) :
				 ledger_read(&theirs, got);
	}
	if (!result)
		compare_lines(mine.lines, mine.n, theirs.lines, theirs.n, ret);
	ledger_fini(&mine);
	ledger_fini(&theirs);
	return result;
}
