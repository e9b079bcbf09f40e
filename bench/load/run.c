#include "load/run.h"

#include "base/must.h"

bool run_take_number(struct run *r, uint64_t *ret_number)
{
	uint64_t limit = r->options->messages;

	if (run_phase(r) >= RUN_MEASURE &&
	    atomic_fetch_add(&r->measured, 1) >= limit && limit)
		return false;
	*ret_number = atomic_fetch_add(&r->issued, 1);
	return true;
}

bool run_is_used_up(const struct run *r)
{
	uint64_t limit = r->options->messages;

	return limit && run_phase(r) >= RUN_MEASURE &&
	       atomic_load_explicit(&r->measured, memory_order_relaxed) >=
		       limit;
}

size_t run_recipient(const struct run *r, uint32_t number,
		     char out[RUN_ADDRESS_MAX])
{
	const char *template = r->options->recipient;
	const char *mark = strstr(template, "%d");
	int n;

	if (mark)
		n = snprintf(out, RUN_ADDRESS_MAX, "%.*s%u%s",
			     (int)(mark - template), template, number,
			     mark + 2);
	else
		n = snprintf(out, RUN_ADDRESS_MAX, "%s", template);
	MUST(n > 0 && n < RUN_ADDRESS_MAX); /* checked with the options */
	return (size_t)n;
}
