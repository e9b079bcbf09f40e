#include "load/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_BYTES_MAX (1u << 30)

static int read_whole(int fd, uint8_t **ret, size_t *ret_len)
{
	struct stat st;
	size_t len = 0;
	uint8_t *bytes;
	ssize_t n;

	if (fstat(fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EISDIR;
	if (st.st_size > FILE_BYTES_MAX)
		return -EFBIG;
	bytes = malloc((size_t)st.st_size + 1);
	if (!bytes)
		return -ENOMEM;
	while (len < (size_t)st.st_size &&
	       (n = read(fd, bytes + len, (size_t)st.st_size - len)) > 0)
		len += (size_t)n;
	*ret = bytes;
	*ret_len = len;
	return 0;
}

/* Room for `to`: twice `from` and a line end. */
static size_t make_crlf(struct span from, uint8_t *to)
{
	size_t n = 0;

	for (size_t i = 0; i < from.len; i++) {
		if (from.p[i] == '\n' && (!i || from.p[i - 1] != '\r'))
			to[n++] = '\r';
		to[n++] = from.p[i];
	}
	if (!n || to[n - 1] != '\n') {
		to[n++] = '\r';
		to[n++] = '\n';
	}
	return n;
}

/* Looks for fields that a gateway would add to a header that lacks them. */
static void look_at_header(struct folder_file *f)
{
	struct span rest = span_of(f->bytes, f->len);
	size_t n;

	while ((n = span_find(rest, '\n')) < rest.len && n > 1) {
		f->has_date = f->has_date ||
			      span_starts_nocase(rest, SPAN("Date:"));
		f->has_message_id =
			f->has_message_id ||
			span_starts_nocase(rest, SPAN("Message-ID:"));
		rest = span_tail(rest, n + 1);
	}
}

static void look(struct folder_file *f)
{
	bool line = true;

	look_at_header(f);
	dots_clear(&f->dots);
	for (size_t i = 0; i < f->len; i++) {
		if (line && f->bytes[i] == '.')
			dots_add(&f->dots, i);
		line = f->bytes[i] == '\n' && i && f->bytes[i - 1] == '\r';
		f->eight_bit = f->eight_bit || f->bytes[i] >= 0x80;
	}
}

int folder_read_mail(int dir, const char *name, struct folder_file *ret)
{
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	uint8_t *raw = NULL;
	size_t len = 0;
	int result;

	if (fd < 0)
		return -errno;
	result = read_whole(fd, &raw, &len);
	(void)close(fd);
	if (result)
		return result;
	*ret = (struct folder_file){ .bytes = malloc(2 * len + 2) };
	if (ret->bytes) {
		ret->len = make_crlf(span_of(raw, len), ret->bytes);
		look(ret);
	}
	free(raw);
	return ret->bytes ? 0 : -ENOMEM;
}

static int is_visible(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static int read_files(struct folder *f, int dir, struct dirent **names, int n)
{
	int result = 0;

	f->files = calloc((size_t)n + 1, sizeof(*f->files));
	if (!f->files)
		return -ENOMEM;
	for (int i = 0; i < n && !result; i++) {
		result = folder_read_mail(dir, names[i]->d_name,
					  &f->files[f->n]);
		if (!result)
			f->n++;
		else if (result == -EISDIR)
			result = 0;
	}
	if (!result && !f->n)
		result = -ENODATA;
	return result;
}

int folder_open(struct folder *f, const char *path)
{
	struct dirent **names;
	int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int n, result;

	*f = (struct folder){ 0 };
	if (dir < 0)
		return -errno;
	n = scandirat(dir, ".", &names, is_visible, alphasort);
	if (n < 0) {
		result = -errno;
		(void)close(dir);
		return result;
	}
	result = n > FOLDER_FILES_MAX ? -E2BIG : read_files(f, dir, names, n);
	for (int i = 0; i < n; i++)
		free(names[i]);
	free(names);
	(void)close(dir);
	return result;
}

void folder_close(struct folder *f)
{
	for (size_t i = 0; i < f->n; i++)
		free(f->files[i].bytes);
	free(f->files);
	*f = (struct folder){ 0 };
}
