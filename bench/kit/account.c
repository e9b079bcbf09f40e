#include "kit/account.h"

#include "base/must.h"
#include "spool/hash.h"

#include <inttypes.h>

static const char *const fates[ACCOUNT_FATES] = { "accepted", "refused",
						  "unknown", "got" };

void account_put_id(char out[ACCOUNT_ID_LEN], struct account_id id)
{
	char text[ACCOUNT_ID_LEN + 1];

	(void)snprintf(text, sizeof(text), "%08" PRIx32 "-%012" PRIu64, id.run,
		       id.number % 1000000000000u);
	memcpy(out, text, ACCOUNT_ID_LEN);
}

static bool read_hex(struct span s, uint64_t *ret)
{
	uint64_t value = 0;

	if (!s.len || s.len > 16)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		uint8_t c = s.p[i];

		if (c >= '0' && c <= '9')
			value = value << 4 | (uint64_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			value = value << 4 | (uint64_t)(c - 'a' + 10);
		else
			return false;
	}
	*ret = value;
	return true;
}

bool account_read_id(struct span s, struct account_id *ret)
{
	uint64_t run;

	if (s.len != ACCOUNT_ID_LEN || s.p[8] != '-' ||
	    !read_hex(span_head(s, 8), &run) ||
	    !span_to_u64(span_tail(s, 9), &ret->number))
		return false;
	ret->run = (uint32_t)run;
	return true;
}

uint64_t account_recipient(struct span address)
{
	return hash_of(address, 0);
}

bool account_put(FILE *file, const struct account_line *line)
{
	char text[160];
	int n;

	MUST(line->fate < ACCOUNT_FATES);
	account_put_id(text, line->id);
	n = snprintf(text + ACCOUNT_ID_LEN, sizeof(text) - ACCOUNT_ID_LEN,
		     " %016" PRIx64 " %" PRIu64 " %" PRIu32 " %016" PRIx64
		     " %s\n",
		     line->hash, line->bytes, line->recipients,
		     line->recipients_sum, fates[line->fate]);
	MUST(n > 0 && (size_t)n < sizeof(text) - ACCOUNT_ID_LEN);
	return fwrite(text, (size_t)n + ACCOUNT_ID_LEN, 1, file) == 1;
}

static struct span take_word(struct span *s)
{
	size_t n = span_find(*s, ' ');
	struct span word = span_head(*s, n);

	*s = span_tail(*s, n < s->len ? n + 1 : n);
	return word;
}

bool account_read(struct span text, struct account_line *ret)
{
	uint64_t recipients;
	struct span fate;

	if (text.len && text.p[text.len - 1] == '\n')
		text.len--;
	if (!account_read_id(take_word(&text), &ret->id) ||
	    !read_hex(take_word(&text), &ret->hash) ||
	    !span_to_u64(take_word(&text), &ret->bytes) ||
	    !span_to_u64(take_word(&text), &recipients) ||
	    recipients > UINT32_MAX ||
	    !read_hex(take_word(&text), &ret->recipients_sum))
		return false;
	ret->recipients = (uint32_t)recipients;
	fate = take_word(&text);
	for (int i = 0; i < ACCOUNT_FATES; i++) {
		if (!text.len && span_equal(fate, span_str(fates[i]))) {
			ret->fate = (enum account_fate)i;
			return true;
		}
	}
	return false;
}
