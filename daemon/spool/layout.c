#include "spool/layout.h"

#include "base/must.h"

#include <stdio.h>
#include <string.h>

#define DIGITS 16

struct form {
	const char *before;
	const char *after;
};

static const struct form forms[] = {
	[LAYOUT_SEGMENT] = { "", ".seg" },
	[LAYOUT_BODY] = { "", ".msg" },
	[LAYOUT_JOURNAL] = { "", ".log" },
	[LAYOUT_TEMPORARY] = { ".tmp-", "" },
};

void layout_name(char name[static LAYOUT_NAME_MAX], enum layout_kind kind,
		 uint64_t number)
{
	const struct form *form = &forms[kind];
	int n = snprintf(name, LAYOUT_NAME_MAX, "%s%016llx%s", form->before,
			 (unsigned long long)number, form->after);

	MUST(n > 0 && n < LAYOUT_NAME_MAX);
}

static int digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

bool layout_number(const char *name, enum layout_kind kind,
		   uint64_t *ret_number)
{
	const struct form *form = &forms[kind];
	size_t before = strlen(form->before);
	uint64_t number = 0;

	if (strncmp(name, form->before, before) != 0)
		return false;
	name += before;
	for (int i = 0; i < DIGITS; i++, name++) {
		int value = digit_value(*name);

		if (value < 0)
			return false; /* the terminating NUL, too */
		number = number << 4 | (uint64_t)value;
	}
	if (strcmp(name, form->after) != 0)
		return false;
	*ret_number = number;
	return true;
}
