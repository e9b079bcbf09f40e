#include "base/metric.h"

#include "base/must.h"
#include "base/span.h"

#include <string.h>

struct metric_text {
	const char *name;
	const char *help;
};

static const struct metric_text texts[METRIC_N] = {
#define METRIC_TEXT(name, help) [METRIC_##name] = { #name, help },
	METRIC_TABLE(METRIC_TEXT)
#undef METRIC_TEXT
};

const char *metric_name(enum metric m)
{
	MUST(m < METRIC_N);
	return texts[m].name;
}

const char *metric_help(enum metric m)
{
	MUST(m < METRIC_N);
	return texts[m].help;
}

void metric_lower_name(enum metric m, char ret[METRIC_NAME_BYTES])
{
	const char *name = metric_name(m);
	size_t len = strlen(name);

	MUST(len < METRIC_NAME_BYTES);
	for (size_t i = 0; i <= len; i++)
		ret[i] = (char)ascii_lower((uint8_t)name[i]);
}

bool metric_is_gauge(enum metric m)
{
	const char *name = metric_name(m);
	size_t len = strlen(name);

	return len > 4 && !strcmp(name + len - 4, "_NOW");
}
