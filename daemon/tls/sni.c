#include "tls/sni.h"

#include "base/must.h"

#include <errno.h>
#include <stdlib.h>

int sni_init(struct sni *s, size_t cap)
{
	*s = (struct sni){ .cap = cap };
	s->names = calloc(cap ? cap : 1, sizeof(*s->names));
	return s->names ? 0 : -ENOMEM;
}

void sni_fini(struct sni *s)
{
	free(s->names);
	*s = (struct sni){ 0 };
}

bool sni_has(const struct sni *s, const char *text)
{
	for (size_t i = 0; i < s->n; i++)
		if (!strcmp(s->names[i].text, text))
			return true;
	return false;
}

void sni_add(struct sni *s, const char *text, uint32_t value)
{
	struct sni_name *name;

	MUST(s->n < s->cap && strlen(text) <= CERTIFICATE_NAME_MAX);
	name = &s->names[s->n++];
	memcpy(name->text, text, strlen(text) + 1);
	name->value = value;
}

static int by_text(const void *a, const void *b)
{
	const struct sni_name *first = a, *second = b;

	return strcmp(first->text, second->text);
}

void sni_sort(struct sni *s)
{
	qsort(s->names, s->n, sizeof(*s->names), by_text);
}

static bool find_text(const struct sni *s, const char *text,
		      uint32_t *ret_value)
{
	size_t low = 0, high = s->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = strcmp(text, s->names[middle].text);

		if (!order) {
			*ret_value = s->names[middle].value;
			return true;
		}
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return false;
}

bool sni_find(const struct sni *s, const char *asked, uint32_t *ret_value)
{
	char name[CERTIFICATE_NAME_MAX + 1];
	size_t len = strlen(asked);
	char *dot;

	if (len && asked[len - 1] == '.')
		len--;
	if (!len || len > CERTIFICATE_NAME_MAX)
		return false;
	for (size_t i = 0; i < len; i++)
		name[i] = (char)ascii_lower((uint8_t)asked[i]);
	name[len] = '\0';
	if (find_text(s, name, ret_value))
		return true;
	dot = strchr(name, '.');
	if (!dot || dot == name)
		return false;
	dot[-1] = '*';
	return find_text(s, dot - 1, ret_value);
}
