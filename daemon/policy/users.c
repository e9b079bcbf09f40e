#include "policy/users.h"

#include "base/must.h"
#include "policy/mapfile.h"

#include <stdlib.h>

#define CURE "; make an entry with `sluicectl passwd NAME`"

struct users_entry {
	const char *name; /* both in `strings` */
	const char *hash;
	unsigned int line;
};

struct users {
	uint32_t n;
	size_t strings_size;
	uint8_t *strings; /* names and hashes, each with its NUL */
	const char *decoy;
	struct users_entry entries[]; /* sorted by name */
};

/* The schemes of libcrypt that stand up to a stolen file today. */
static const struct span users_schemes[] = {
	SPAN("$y$"),  SPAN("$gy$"), SPAN("$7$"), SPAN("$2b$"),
	SPAN("$2y$"), SPAN("$2a$"), SPAN("$6$"), SPAN("$5$"),
};

static bool users_is_strong(struct span hash)
{
	size_t n = sizeof(users_schemes) / sizeof(users_schemes[0]);

	for (size_t i = 0; i < n; i++)
		if (hash.len > users_schemes[i].len &&
		    span_equal(span_head(hash, users_schemes[i].len),
			       users_schemes[i]))
			return true;
	return false;
}

/* What is wrong with a line, and the cure; NULL: nothing. */
static const char *users_fault(const struct mapfile_line *line,
			       struct span *ret_hash)
{
	struct span tag = SPAN("{crypt}");
	struct span hash = line->value;

	if (line->name.len > USERS_NAME_MAX)
		return "name longer than 255 octets: shorten it";
	if (!hash.len)
		return "no hash behind the colon" CURE;
	if (!span_starts_nocase(hash, tag))
		return "unknown scheme: write {crypt} before the hash" CURE;
	hash = span_tail(hash, tag.len);
	if (!users_is_strong(hash))
		return "not a hash of yescrypt, scrypt, bcrypt or SHA-2" CURE;
	if (hash.len > USERS_HASH_MAX)
		return "hash longer than 255 octets" CURE;
	for (size_t i = 0; i < hash.len; i++)
		if (hash.p[i] <= ' ' || hash.p[i] > '~' || hash.p[i] == ':')
			return "hash with a character that none has" CURE;
	*ret_hash = hash;
	return NULL;
}

static const char *users_keep(struct users *u, struct buf *strings,
			      struct span s)
{
	const char *kept = (const char *)u->strings + strings->end;

	buf_put(strings, s);
	buf_put_byte(strings, 0);
	return kept;
}

static int users_compare(const void *a, const void *b)
{
	const struct users_entry *x = a, *y = b;
	int order = strcmp(x->name, y->name);

	return order ? order : x->line < y->line ? -1 : 1;
}

static void users_sort(struct users *u, struct mapfile *m)
{
	qsort(u->entries, u->n, sizeof(u->entries[0]), users_compare);
	for (uint32_t i = 1; i < u->n; i++)
		if (!strcmp(u->entries[i - 1].name, u->entries[i].name))
			mapfile_mistake(m, u->entries[i].line,
					"`%.64s` is on line %u already: "
					"remove one of them",
					u->entries[i].name,
					u->entries[i - 1].line);
}

/* The first hash with another last digit: nobody knows its password. */
static void users_make_decoy(struct users *u, struct buf *strings)
{
	struct span hash = span_str(u->entries[0].hash);
	uint8_t last = hash.p[hash.len - 1];

	u->decoy = (const char *)u->strings + strings->end;
	buf_put(strings, span_head(hash, hash.len - 1));
	buf_put_byte(strings, last == '.' ? '/' : '.');
	buf_put_byte(strings, 0);
}

static void users_parse(struct users *u, struct mapfile *m)
{
	struct mapfile_line line;
	struct span hash;
	struct buf strings;

	buf_init(&strings, u->strings, u->strings_size);
	while (mapfile_next(m, &line)) {
		const char *fault = users_fault(&line, &hash);

		if (fault) {
			mapfile_mistake(m, line.number, "%s", fault);
			continue;
		}
		u->entries[u->n++] = (struct users_entry){
			.name = users_keep(u, &strings, line.name),
			.hash = users_keep(u, &strings, hash),
			.line = line.number,
		};
	}
	users_sort(u, m);
	if (u->n)
		users_make_decoy(u, &strings);
	MUST(!strings.overflowed);
}

/* Room for as many entries as there are lines, and for all their strings. */
static struct users *users_allocate(struct span text)
{
	size_t lines = 1;
	struct users *u;

	for (size_t i = 0; i < text.len; i++)
		lines += text.p[i] == '\n';
	u = calloc(1, sizeof(*u) + lines * sizeof(u->entries[0]));
	if (!u)
		return NULL;
	/* `:{crypt}` is longer than the two NULs; one hash is kept twice. */
	u->strings_size = text.len + USERS_HASH_MAX + 1;
	u->strings = calloc(1, u->strings_size);
	if (u->strings)
		return u;
	free(u);
	return NULL;
}

struct users *users_open(const char *file, struct span text, struct buf *errors)
{
	struct users *u = users_allocate(text);
	struct mapfile m;

	mapfile_init(&m, file, text, errors);
	if (!u) {
		mapfile_mistake(&m, 0, "no memory for this file");
		return NULL;
	}
	users_parse(u, &m);
	if (!m.mistakes)
		return u;
	users_close(u);
	return NULL;
}

void users_close(struct users *u)
{
	if (!u)
		return;
	explicit_bzero(u->strings, u->strings_size);
	free(u->strings);
	free(u);
}

/* As strcmp, of a name that has no NUL behind it. */
static int users_order(struct span name, const char *other)
{
	struct span o = span_str(other);
	size_t least = name.len < o.len ? name.len : o.len;
	int order = least ? memcmp(name.p, o.p, least) : 0;

	return order ? order : (name.len > o.len) - (name.len < o.len);
}

const char *users_find(const struct users *u, struct span name)
{
	uint32_t low = 0, high = u->n;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		int order = users_order(name, u->entries[middle].name);

		if (!order)
			return u->entries[middle].hash;
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

const char *users_decoy(const struct users *u)
{
	return u->decoy;
}

uint32_t users_count(const struct users *u)
{
	return u->n;
}
