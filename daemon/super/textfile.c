#include "super/textfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static int read_all(int fd, struct textfile *t, size_t cap)
{
	for (;;) {
		ssize_t n = read(fd, t->text + t->len, cap - t->len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		t->len += (size_t)n;
		if (t->len == cap)
			return -EFBIG; /* it grew, or is no plain file */
	}
	t->text[t->len] = '\0';
	return 0;
}

int textfile_open(const char *path, struct textfile *ret)
{
	struct textfile t = { 0 };
	struct stat st;
	size_t cap;
	int result;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st)) {
		result = -errno;
	} else if (st.st_size > (off_t)TEXTFILE_MAX) {
		result = -EFBIG;
	} else {
		cap = (size_t)st.st_size + 4096;
		t.text = malloc(cap + 1);
		result = t.text ? read_all(fd, &t, cap) : -ENOMEM;
	}
	(void)close(fd);
	if (result)
		textfile_close(&t);
	else
		*ret = t;
	return result;
}

void textfile_close(struct textfile *t)
{
	if (t->text)
		explicit_bzero(t->text, t->len);
	free(t->text);
	*t = (struct textfile){ 0 };
}
