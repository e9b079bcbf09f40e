/*
 * fuzz_users: the file of users. Properties: either a table or at least one
 * line of complaint, each with file and line; who is in the table is found.
 */

#include "base/must.h"
#include "policy/users.h"

/* Looks every name up that the text might hold. */
static void fuzz_find_all(const struct users *u, struct span text)
{
	uint32_t found = 0;

	while (text.len) {
		size_t end = span_find(text, '\n');
		struct span line = span_head(text, end);
		struct span name;

		while (line.len && (line.p[0] == ' ' || line.p[0] == '\t'))
			line = span_tail(line, 1);
		name = span_head(line, span_find(line, ':'));
		while (name.len && (name.p[name.len - 1] == ' ' ||
				    name.p[name.len - 1] == '\t'))
			name.len--;
		if (users_find(u, name)) {
			MUST(users_find(u, name)[0] == '$');
			found++;
		}
		text = span_tail(text, end + (end < text.len));
	}
	MUST(found >= users_count(u));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span text = span_of(data, size);
	uint8_t storage[8192];
	struct buf errors;
	struct users *u;

	buf_init(&errors, storage, sizeof(storage));
	u = users_open("users", text, &errors);
	MUST(!u == !!(buf_len(&errors) || errors.overflowed));
	if (!u) {
		MUST(span_starts_nocase(buf_span(&errors), SPAN("users:")));
		return 0;
	}
	fuzz_find_all(u, text);
	MUST(!users_count(u) == !users_decoy(u));
	users_close(u);
	return 0;
}
