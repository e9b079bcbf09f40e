#include "doctor/reading.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#define READING_MAX ((size_t)16 << 20)

/* Files of /proc have no size: read until the end. */
static int read_all(FILE *file, struct reading *s)
{
	size_t size = 0;
	size_t used = 0;

	for (;;) {
		char *more;

		if (used == size) {
			size = size ? size * 2 : 4096;
			more = size <= READING_MAX ? realloc(s->storage, size) :
						     NULL;
			if (!more)
				return size > READING_MAX ? -EFBIG : -ENOMEM;
			s->storage = more;
		}
		used += fread(s->storage + used, 1, size - used, file);
		if (ferror(file))
			return -EIO;
		if (feof(file))
			break;
	}
	s->text = span_of((const uint8_t *)s->storage, used);
	return 0;
}

int reading_open(struct reading *s, const char *root, const char *path)
{
	char name[PATH_MAX];
	int n = snprintf(name, sizeof(name), "%s%s", root, path);
	FILE *file;
	int result;

	*s = (struct reading){ 0 };
	if (n < 0 || (size_t)n >= sizeof(name))
		return -ENAMETOOLONG;
	file = fopen(name, "re");
	if (!file)
		return -errno;
	result = read_all(file, s);
	(void)fclose(file);
	return result;
}

void reading_close(struct reading *s)
{
	free(s->storage);
	*s = (struct reading){ 0 };
}

static bool is_blank(uint8_t c)
{
	return c == ' ' || c == '\t';
}

static struct span trim(struct span s)
{
	while (s.len && is_blank(s.p[0]))
		s = span_tail(s, 1);
	while (s.len && is_blank(s.p[s.len - 1]))
		s.len--;
	return s;
}

bool reading_line(const char *root, const char *path, char *ret, size_t size)
{
	struct reading s;
	struct span rest;
	struct span line;

	*ret = '\0';
	(void)reading_open(&s, root, path);
	rest = s.text;
	if (reading_next_line(&rest, &line)) {
		line = trim(line);
		if (line.len >= size)
			line.len = size - 1;
		memcpy(ret, line.p, line.len);
		ret[line.len] = '\0';
	}
	reading_close(&s);
	return *ret;
}

bool reading_next_line(struct span *rest, struct span *ret)
{
	size_t end = span_find(*rest, '\n');

	if (!rest->len)
		return false;
	*ret = span_head(*rest, end);
	*rest = span_tail(*rest, end < rest->len ? end + 1 : end);
	return true;
}

bool reading_next_word(struct span *rest, struct span *ret)
{
	size_t n = 0;

	while (rest->len && is_blank(rest->p[0]))
		*rest = span_tail(*rest, 1);
	while (n < rest->len && !is_blank(rest->p[n]))
		n++;
	*ret = span_head(*rest, n);
	*rest = span_tail(*rest, n);
	return n;
}

bool reading_has_entry(struct span text, const char *word)
{
	struct span line;
	struct span first;

	while (reading_next_line(&text, &line))
		if (reading_next_word(&line, &first) &&
		    span_equal(first, span_str(word)))
			return true;
	return false;
}

/* "kernel/net/tls/tls.ko.xz: ..." -> "tls" */
static struct span module_name(struct span line)
{
	static const struct span suffix = SPAN(".ko");
	struct span name = span_head(line, span_find(line, ':'));

	for (size_t slash = span_find(name, '/'); slash < name.len;
	     slash = span_find(name, '/'))
		name = span_tail(name, slash + 1);
	for (size_t i = 0; i + suffix.len <= name.len; i++)
		if (!memcmp(name.p + i, suffix.p, suffix.len))
			return span_head(name, i);
	return name;
}

bool reading_has_module(struct span text, const char *module)
{
	struct span line;

	while (reading_next_line(&text, &line))
		if (span_equal(module_name(line), span_str(module)))
			return true;
	return false;
}
