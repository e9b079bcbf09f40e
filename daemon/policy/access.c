#include "policy/access.h"

#include "policy/mapfile.h"

#include <stdlib.h>

#define USER_MAX    255
#define PATTERN_MAX 256

/* One pattern of one user; a line gives as many as it has patterns. */
struct access_rule {
	struct span user; /* both in `text` */
	struct span pattern;
	unsigned int line;
};

struct access {
	uint32_t n;
	uint8_t *text;              /* a copy of the file's */
	struct access_rule rules[]; /* sorted by user */
};

/* What is wrong with a pattern, and the cure; NULL: nothing. */
static const char *access_fault(struct span pattern)
{
	size_t at = span_find(pattern, '@');

	if (span_equal(pattern, SPAN("*")))
		return NULL;
	if (pattern.len > PATTERN_MAX)
		return "pattern longer than 256 octets";
	if (at == pattern.len)
		return "pattern is no address: write `name@domain`, "
		       "`@domain` or `*`";
	if (at + 1 == pattern.len)
		return "pattern without a domain behind the @";
	if (!at && span_find(span_tail(pattern, 1), '@') < pattern.len - 1)
		return "`@domain` with a second @";
	if (pattern.p[0] != '"' && span_find(pattern, '*') < pattern.len)
		return "`*` stands alone: write `@domain` for all of a domain";
	return NULL;
}

static bool access_is_white(uint8_t c)
{
	return c == ' ' || c == '\t';
}

/* Takes the next word off *in; an empty one at the end. */
static struct span access_take_word(struct span *in)
{
	struct span word;
	size_t len = 0;

	while (in->len && access_is_white(in->p[0]))
		*in = span_tail(*in, 1);
	while (len < in->len && !access_is_white(in->p[len]))
		len++;
	word = span_head(*in, len);
	*in = span_tail(*in, len);
	return word;
}

static void access_add_line(struct access *a, struct mapfile *m,
			    const struct mapfile_line *line)
{
	struct span rest = line->value;
	struct span pattern = access_take_word(&rest);

	if (line->name.len > USER_MAX)
		mapfile_mistake(m, line->number,
				"name longer than 255 octets: shorten it");
	if (!pattern.len)
		mapfile_mistake(m, line->number,
				"no pattern: name an address, @domain or *");
	for (; pattern.len; pattern = access_take_word(&rest)) {
		const char *fault = access_fault(pattern);

		if (fault)
			mapfile_mistake(m, line->number, "%s", fault);
		a->rules[a->n++] = (struct access_rule){
			.user = line->name,
			.pattern = pattern,
			.line = line->number,
		};
	}
}

static int access_order(struct span x, struct span y)
{
	size_t least = x.len < y.len ? x.len : y.len;
	int order = least ? memcmp(x.p, y.p, least) : 0;

	return order ? order : (x.len > y.len) - (x.len < y.len);
}

static int access_compare(const void *a, const void *b)
{
	const struct access_rule *x = a, *y = b;
	int order = access_order(x->user, y->user);

	return order ? order : (x->line > y->line) - (x->line < y->line);
}

/* Room for as many rules as there can be words, and for a copy of the text. */
static struct access *access_allocate(struct span text)
{
	size_t words = text.len / 2 + 1;
	struct access *a = calloc(1, sizeof(*a) + words * sizeof(a->rules[0]));

	if (!a)
		return NULL;
	a->text = malloc(text.len + 1);
	if (!a->text) {
		free(a);
		return NULL;
	}
	if (text.len)
		memcpy(a->text, text.p, text.len);
	return a;
}

struct access *access_open(const char *file, struct span text,
			   struct buf *errors)
{
	struct access *a = access_allocate(text);
	struct mapfile_line line;
	struct mapfile m;

	mapfile_init(&m, file, text, errors);
	if (!a) {
		mapfile_mistake(&m, 0, "no memory for this file");
		return NULL;
	}
	m.rest.p = a->text;
	while (mapfile_next(&m, &line))
		access_add_line(a, &m, &line);
	if (m.mistakes) {
		access_close(a);
		return NULL;
	}
	qsort(a->rules, a->n, sizeof(a->rules[0]), access_compare);
	return a;
}

void access_close(struct access *a)
{
	if (!a)
		return;
	free(a->text);
	free(a);
}

/* The domain is behind the last @: a quoted local part may hold others. */
static struct span access_domain(struct span address)
{
	size_t at = address.len;

	while (at && address.p[at - 1] != '@')
		at--;
	return at ? span_tail(address, at) : span_head(address, 0);
}

static bool access_matches(struct span pattern, struct span address)
{
	if (span_equal(pattern, SPAN("*")))
		return true;
	if (pattern.p[0] != '@')
		return span_equal_nocase(pattern, address);
	return span_equal_nocase(span_tail(pattern, 1), access_domain(address));
}

/* Index of the first rule of that user, or of the next one. */
static uint32_t access_find(const struct access *a, struct span user)
{
	uint32_t low = 0, high = a->n;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (access_order(a->rules[middle].user, user) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool access_user_may(const struct access *a, struct span user,
			    struct span reverse_path)
{
	uint32_t i = access_find(a, user);

	for (; i < a->n && span_equal(a->rules[i].user, user); i++)
		if (access_matches(a->rules[i].pattern, reverse_path))
			return true;
	return false;
}

bool access_may(const struct access *a, struct span user,
		struct span reverse_path)
{
	if (!a || !reverse_path.len || span_equal_nocase(user, reverse_path))
		return true;
	return access_user_may(a, user, reverse_path) ||
	       access_user_may(a, SPAN("*"), reverse_path);
}
