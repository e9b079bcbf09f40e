#include "load/ledger.h"

#include "load/folder.h"
#include "spool/hash.h"

#include <errno.h>
#include <stdlib.h>

static int add(struct ledger *l, const struct account_line *line)
{
	if (l->n == l->cap) {
		size_t cap = l->cap ? 2 * l->cap : 1024;
		struct account_line *more =
			reallocarray(l->lines, cap, sizeof(*more));

		if (!more)
			return -ENOMEM;
		l->lines = more;
		l->cap = cap;
	}
	l->lines[l->n++] = *line;
	return 0;
}

void ledger_fini(struct ledger *l)
{
	free(l->lines);
	*l = (struct ledger){ 0 };
}

/* The last line may still be being written: it counts when its end is there. */
int ledger_read(struct ledger *l, const char *path)
{
	FILE *file = fopen(path, "re");
	char *text = NULL;
	size_t room = 0;
	ssize_t len;
	int result = 0;

	if (!file)
		return -errno;
	while (!result && (len = getline(&text, &room, file)) > 0) {
		struct account_line line;
		struct span s = span_of((const uint8_t *)text, (size_t)len);

		if (s.p[s.len - 1] != '\n')
			break;
		result = account_read(s, &line) ? add(l, &line) : -EBADMSG;
	}
	free(text);
	(void)fclose(file);
	return result;
}

/* The mail from our field on, as account and sink count it. */
static bool read_mail(const struct folder_file *file, struct account_line *ret)
{
	struct span all = span_of(file->bytes, file->len);
	const size_t field_len = sizeof(ACCOUNT_FIELD) - 1;
	const uint8_t *at = all.p;

	if (!span_starts_nocase(all, SPAN(ACCOUNT_FIELD)))
		at = memmem(all.p, all.len, "\r\n" ACCOUNT_FIELD,
			    field_len + 2);
	if (!at)
		return false;
	if (at != all.p)
		at += 2;
	all = span_tail(all, (size_t)(at - all.p));
	*ret = (struct account_line){ .fate = ACCOUNT_GOT };
	if (all.len < field_len + ACCOUNT_ID_LEN ||
	    !account_read_id(span_of(all.p + field_len, ACCOUNT_ID_LEN),
			     &ret->id))
		return false;
	ret->hash = hash_of(all, 0);
	ret->bytes = all.len;
	return true;
}

static int read_folder(struct ledger *l, const char *path, const char *sub)
{
	struct folder folder;
	char name[4096];
	int result;

	if (snprintf(name, sizeof(name), "%s/%s", path, sub) >=
	    (int)sizeof(name))
		return -ENAMETOOLONG;
	result = folder_open(&folder, name);
	for (size_t i = 0; !result && i < folder.n; i++) {
		struct account_line line;

		if (read_mail(&folder.files[i], &line))
			result = add(l, &line);
	}
	folder_close(&folder);
	return result == -ENODATA ? 0 : result;
}

int ledger_read_maildir(struct ledger *l, const char *path)
{
	int result = read_folder(l, path, "new");

	return result ? result : read_folder(l, path, "cur");
}
