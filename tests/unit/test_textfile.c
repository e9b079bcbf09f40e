/* Small files are read whole, and wiped. */
#include "super/textfile.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/*
 * What the module wipes with is ours here, under both of its names: what it was
 * told to wipe is noted.
 */
void __explicit_bzero_chk(void *p, size_t len, size_t most);

static struct {
	const void *p;
	size_t len;
} wiped;

void explicit_bzero(void *p, size_t len)
{
	wiped.p = p;
	wiped.len = len;
	memset(p, 0, len);
}

void __explicit_bzero_chk(void *p, size_t len, size_t most)
{
	assert_true(len <= most);
	explicit_bzero(p, len);
}

static char path[] = "/tmp/test_textfile.XXXXXX";

static int setup(void **state)
{
	int fd = mkostemp(path, O_CLOEXEC);

	(void)mallopt(M_PERTURB, 0xee); /* so that memory is never zero */
	return fd < 0 ? -1 : close(fd);
}

static int teardown(void **state)
{
	return unlink(path);
}

static void write_file(struct span text, off_t size)
{
	int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);

	assert_int_equal(write(fd, text.p, text.len), text.len);
	assert_int_equal(ftruncate(fd, size), 0);
	(void)close(fd);
}

static void reads_whole_files(void **state)
{
	static const struct span texts[] = {
		SPAN(""),
		SPAN("hostname = x\n"),
		SPAN("a\0b\0"),
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct textfile t;

		write_file(texts[i], (off_t)texts[i].len);
		assert_int_equal(textfile_open(path, &t), 0);
		assert_true(span_equal(textfile_span(&t), texts[i]));
		assert_int_equal(t.text[t.len], '\0');
		textfile_close(&t);
	}
}

static void reads_up_to_the_limit(void **state)
{
	static const size_t sizes[] = { 4095, 4096, 4097, 1 << 20,
					TEXTFILE_MAX };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct textfile t;

		write_file(SPAN("begin"), (off_t)sizes[i]);
		assert_int_equal(textfile_open(path, &t), 0);
		assert_int_equal(t.len, sizes[i]);
		assert_memory_equal(t.text, "begin", 6);
		assert_int_equal(t.text[t.len], '\0');
		textfile_close(&t);
	}
}

static void fails(const char *name, int wanted)
{
	struct textfile t = { .len = 4711 };

	assert_int_equal(textfile_open(name, &t), wanted);
	assert_int_equal(t.len, 4711);
}

static void says_what_it_cannot_read(void **state)
{
	fails("/nonexistent", -ENOENT);
	fails("/tmp", -EISDIR);
	fails("/proc/self/mem", -EIO); /* opens, but nothing lies at 0 */
	write_file(SPAN(""), (off_t)TEXTFILE_MAX + 1);
	fails(path, -EFBIG);
	fails("/dev/zero", -EFBIG); /* has no size, and no end */
}

/* A file that the kernel makes up says that its size is 0. */
static void reads_files_without_a_size(void **state)
{
	struct textfile t;

	assert_int_equal(textfile_open("/proc/self/status", &t), 0);
	assert_memory_equal(t.text, "Name:", 5);
	textfile_close(&t);
}

static void wipes_what_it_read(void **state)
{
	struct textfile t;
	const void *p;

	write_file(SPAN("a:{crypt}$y$\n"), 13);
	assert_int_equal(textfile_open(path, &t), 0);
	p = t.text;
	wiped.p = NULL;
	textfile_close(&t);
	assert_ptr_equal(wiped.p, p);
	assert_int_equal(wiped.len, 13);
	assert_null(t.text);
	assert_int_equal(textfile_span(&t).len, 0);
	textfile_close(&t); /* harmless */
}

/* A failure half-way leaves no half of a key behind. */
static void wipes_what_it_could_not_use(void **state)
{
	wiped.p = NULL;
	fails("/dev/zero", -EFBIG);
	assert_non_null(wiped.p);
	assert_int_equal(wiped.len, 4096);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_whole_files),
		cmocka_unit_test(reads_up_to_the_limit),
		cmocka_unit_test(says_what_it_cannot_read),
		cmocka_unit_test(reads_files_without_a_size),
		cmocka_unit_test(wipes_what_it_read),
		cmocka_unit_test(wipes_what_it_could_not_use),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
