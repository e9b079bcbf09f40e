#include "base/metric.h"

#include "base/must.h"

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
