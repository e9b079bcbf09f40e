#pragma once

/*
 * words: a request of several words, taken apart at its blanks. Pure.
 */

#include "base/span.h"

#define WORDS_MAX 4

struct words {
	struct span list[WORDS_MAX]; /* borrowed from the text */
	size_t n;                    /* WORDS_MAX: perhaps more */
};

static inline struct words words_split(struct span text)
{
	struct words words = { .n = 0 };

	while (text.len && words.n < WORDS_MAX) {
		size_t end = span_find(text, ' ');

		if (end)
			words.list[words.n++] = span_head(text, end);
		text = span_tail(text, end < text.len ? end + 1 : end);
	}
	return words;
}
