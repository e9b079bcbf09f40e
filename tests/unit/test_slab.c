/* Objects of one size: all of them, none twice, the warm one first. */
#include "base/slab.h"

#include "aborts.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define OBJECTS 100

static void hands_out_each_object_once(void **state)
{
	struct slab s;
	void *objects[OBJECTS];

	assert_int_equal(slab_init(&s, 65, OBJECTS), 0);
	for (uint32_t i = 0; i < OBJECTS; i++) {
		objects[i] = slab_take(&s);
		assert_non_null(objects[i]);
		memset(objects[i], (int)i, 65);
	}
	assert_null(slab_take(&s));
	assert_null(slab_take(&s));
	for (uint32_t i = 0; i < OBJECTS; i++) {
		const uint8_t *bytes = objects[i];

		for (size_t j = 0; j < 65; j++)
			assert_int_equal(bytes[j], i);
		slab_give(&s, objects[i]);
	}
	for (uint32_t i = 0; i < OBJECTS; i++)
		assert_non_null(slab_take(&s));
	assert_null(slab_take(&s));
	slab_fini(&s);
}

static void gives_the_warm_one_first(void **state)
{
	struct slab s;
	void *a, *b;

	assert_int_equal(slab_init(&s, 32, OBJECTS), 0);
	a = slab_take(&s);
	b = slab_take(&s);
	slab_give(&s, a);
	slab_give(&s, b);
	assert_ptr_equal(slab_take(&s), b);
	assert_ptr_equal(slab_take(&s), a);
	slab_fini(&s);
}

static void numbers_its_objects(void **state)
{
	static const size_t sizes[] = { 1, 63, 64, 65, 4096, 5000 };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		uint8_t seen[OBJECTS] = { 0 };
		struct slab s;

		assert_int_equal(slab_init(&s, sizes[i], OBJECTS), 0);
		assert_true(slab_bytes(&s) >= sizes[i] * OBJECTS);
		for (uint32_t j = 0; j < OBJECTS; j++) {
			void *object = slab_take(&s);
			uint32_t index = slab_index(&s, object);

			assert_int_equal((uintptr_t)object % 64, 0);
			assert_in_range(index, 0, OBJECTS - 1);
			assert_ptr_equal(slab_at(&s, index), object);
			assert_int_equal(seen[index]++, 0);
		}
		slab_fini(&s);
	}
}

static void one_object_is_a_slab(void **state)
{
	struct slab s;
	void *object;

	assert_int_equal(slab_init(&s, 1, 1), 0);
	object = slab_take(&s);
	assert_non_null(object);
	assert_null(slab_take(&s));
	slab_give(&s, object);
	assert_ptr_equal(slab_take(&s), object);
	slab_fini(&s);
	slab_fini(&s); /* harmless */
}

/* Also where the product does not fit in a size_t. */
static void says_when_there_is_no_room(void **state)
{
	struct slab s;

	assert_int_equal(slab_init(&s, (size_t)1 << 44, 1 << 16), -ENOMEM);
	assert_int_equal(slab_init(&s, (size_t)1 << 40, 1 << 24), -ENOMEM);
	assert_int_equal(slab_init(&s, SIZE_MAX - 100, 1), -ENOMEM);
	assert_int_equal(slab_init(&s, SIZE_MAX, 1), -ENOMEM);
}

/* Does the mapping that begins at `start` have the flag in its smaps? */
static bool mapping_has_flag(const void *start, const char *flag)
{
	FILE *smaps = fopen("/proc/self/smaps", "r");
	char line[512];
	bool ours = false, found = false;

	assert_non_null(smaps);
	while (fgets(line, sizeof(line), smaps)) {
		char *rest;
		unsigned long from = strtoul(line, &rest, 16);

		if (*rest == '-') /* a range of addresses */
			ours = from <= (uintptr_t)start &&
			       (uintptr_t)start < strtoul(rest + 1, NULL, 16);
		else if (ours && !strncmp(line, "VmFlags:", 8))
			found = strstr(line, flag);
	}
	(void)fclose(smaps);
	return found;
}

/* "dd": do not dump. A mapping of our own shows that the check can fail. */
static void is_kept_out_of_core_dumps(void **state)
{
	struct slab s;

	assert_int_equal(slab_init(&s, 4096, OBJECTS), 0);
	assert_true(mapping_has_flag(s.base, " dd"));
	assert_true(mapping_has_flag(slab_at(&s, OBJECTS - 1), " dd"));
	assert_false(mapping_has_flag(&s, " dd"));
	slab_fini(&s);
}

/* "nh": no huge pages, so memory is used page by page. */
static void untouched_objects_cost_nothing(void **state)
{
	struct slab s;

	if (access("/sys/kernel/mm/transparent_hugepage", F_OK)) {
		print_message("needs a kernel with huge pages\n");
		skip();
	}
	assert_int_equal(slab_init(&s, 4096, 2048), 0);
	assert_true(mapping_has_flag(s.base, " nh"));
	slab_fini(&s);
}

static struct slab broken;

static void give_too_many(void)
{
	slab_give(&broken, slab_at(&broken, 0));
}

static void give_a_piece(void)
{
	uint8_t *object = slab_take(&broken);

	slab_give(&broken, object + 1);
}

static void give_what_lies_before(void)
{
	(void)slab_take(&broken);
	slab_give(&broken, broken.base - 64);
}

static void give_what_lies_behind(void)
{
	(void)slab_take(&broken);
	slab_give(&broken, broken.base + (size_t)64 * OBJECTS);
}

static void index_out_of_range(void)
{
	(void)slab_at(&broken, OBJECTS);
}

static void forbids_strange_objects(void **state)
{
	assert_int_equal(slab_init(&broken, 64, OBJECTS), 0);
	assert_true(aborts(give_too_many));
	assert_true(aborts(give_a_piece));
	assert_true(aborts(give_what_lies_before));
	assert_true(aborts(give_what_lies_behind));
	assert_true(aborts(index_out_of_range));
	slab_fini(&broken);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hands_out_each_object_once),
		cmocka_unit_test(gives_the_warm_one_first),
		cmocka_unit_test(numbers_its_objects),
		cmocka_unit_test(one_object_is_a_slab),
		cmocka_unit_test(says_when_there_is_no_room),
		cmocka_unit_test(is_kept_out_of_core_dumps),
		cmocka_unit_test(untouched_objects_cost_nothing),
		cmocka_unit_test(forbids_strange_objects),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
