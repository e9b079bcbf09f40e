/*
 * fuzz_access: the map of senders. The first line of the input is a user, the
 * second a reverse-path, the rest the map. Properties: what the contract always
 * allows is allowed; a map in which no pattern holds the address's domain, and
 * no `*`, allows nothing else.
 */

#include "base/must.h"
#include "policy/access.h"

static struct span fuzz_line(struct span *in)
{
	size_t end = span_find(*in, '\n');
	struct span line = span_head(*in, end);

	*in = span_tail(*in, end + (end < in->len));
	return line;
}

static bool fuzz_holds(struct span text, struct span part)
{
	for (size_t i = 0; i + part.len <= text.len; i++)
		if (span_equal_nocase(span_head(span_tail(text, i), part.len),
				      part))
			return true;
	return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_of(data, size);
	struct span user = fuzz_line(&in);
	struct span path = fuzz_line(&in);
	struct span domain = path;
	uint8_t storage[8192];
	struct buf errors;
	struct access *a;

	buf_init(&errors, storage, sizeof(storage));
	a = access_open("senders", in, &errors);
	MUST(!a == !!(buf_len(&errors) || errors.overflowed));
	if (!a)
		return 0;
	while (span_find(domain, '@') < domain.len)
		domain = span_tail(domain, span_find(domain, '@') + 1);
	MUST(access_may(NULL, user, path));
	MUST(access_may(a, user, SPAN("")));
	MUST(access_may(a, user, user));
	if (access_may(a, user, path) && path.len &&
	    !span_equal_nocase(user, path))
		MUST(fuzz_holds(in, SPAN("*")) || fuzz_holds(in, domain));
	access_close(a);
	return 0;
}
