#include "base/must.h"

#include <stdio.h>
#include <stdlib.h>

void must_failed(const char *file, int line, const char *expression)
{
	fprintf(stderr, "%s:%d: broken assertion: %s\n", file, line,
		expression);
	abort();
}
