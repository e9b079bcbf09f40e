/*
 * fuzz_address: mail addresses. Properties: what is taken has the lengths and
 * the characters that RFC 5321 allows, and parses the same on its own.
 */

#include "base/must.h"
#include "smtp/address.h"

/* A mailbox says the same with and without the path around it. */
static void fuzz_check(const struct address *a)
{
	struct address again;

	MUST(a->local.len && a->local.len <= ADDRESS_LOCAL_MAX);
	MUST(a->mailbox.len + 2 <= ADDRESS_PATH_MAX);
	for (size_t i = 0; i < a->mailbox.len; i++)
		MUST(a->mailbox.p[i] >= ' ' && a->mailbox.p[i] != 0x7f);
	if (!a->domain.len) {
		MUST(address_is_postmaster(a));
		return;
	}
	MUST(a->domain.len <= ADDRESS_DOMAIN_MAX);
	MUST(span_find(a->domain, '@') == a->domain.len ||
	     a->domain.p[0] == '[');
	MUST(a->mailbox.len == a->local.len + 1 + a->domain.len);
	MUST(address_parse(a->mailbox, &again));
	MUST(span_equal(again.local, a->local));
	MUST(span_equal(again.domain, a->domain));
	MUST(again.non_ascii == a->non_ascii);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_of(data, size);
	struct span rest = in;
	struct address a;

	if (address_parse(in, &a)) {
		MUST(span_equal(a.mailbox, in));
		fuzz_check(&a);
	}
	if (!address_take_path(&rest, &a)) {
		MUST(rest.p == in.p && rest.len == in.len);
		return 0;
	}
	MUST(rest.p[-1] == '>' && in.p[0] == '<');
	MUST(in.len - rest.len <= ADDRESS_PATH_MAX);
	if (a.mailbox.len)
		fuzz_check(&a);
	else
		MUST(in.len - rest.len == 2);
	return 0;
}
