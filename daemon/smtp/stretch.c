/*
 * One mask per kind of octet and block, then a few operations on masks: what is
 * wrong in a block is where an LF is not behind a CR, or something else is; the
 * one bit that matters from block to block is carried.
 */
#include "smtp/stretch.h"

#include "base/must.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* What a stretch has found so far. */
struct stretch {
	const uint8_t *p;
	uint64_t line_max;
	uint64_t before; /* octets of the first line that came earlier */
	size_t line;     /* where the last line begins */
	size_t end;      /* all before is looked at */
};

struct stretch_marks stretch_marks_plain(const uint8_t *p)
{
	struct stretch_marks m = { 0 };

	for (unsigned int i = 0; i < STRETCH_BLOCK; i++) {
		m.cr |= (uint64_t)(p[i] == '\r') << i;
		m.lf |= (uint64_t)(p[i] == '\n') << i;
		m.nul |= (uint64_t)(p[i] == 0) << i;
		m.dot |= (uint64_t)(p[i] == '.') << i;
	}
	return m;
}

#ifdef __SSE2__
static uint64_t equal(const __m128i *v, char c)
{
	const __m128i wanted = _mm_set1_epi8(c);
	uint64_t bits = 0;

	for (int i = 0; i < 4; i++) {
		__m128i hit = _mm_cmpeq_epi8(v[i], wanted);

		bits |= (uint64_t)(uint32_t)_mm_movemask_epi8(hit) << 16 * i;
	}
	return bits;
}

struct stretch_marks stretch_marks(const uint8_t *p)
{
	__m128i v[4];

	memcpy(v, p, sizeof(v));
	return (struct stretch_marks){
		.cr = equal(v, '\r'),
		.lf = equal(v, '\n'),
		.nul = equal(v, 0),
		.dot = equal(v, '.'),
	};
}
#else
struct stretch_marks stretch_marks(const uint8_t *p)
{
	return stretch_marks_plain(p);
}
#endif

/* Octets of the last line, were it to end at `at`. */
static uint64_t line_len_at(const struct stretch *s, size_t at)
{
	return at - s->line + (s->line ? 0 : s->before);
}

/* Takes the lines that end in a block; false: the first is too long. No line
 * that begins in a block and ends there can be (line_max). */
static bool take_lines(struct stretch *s, uint64_t lf)
{
	size_t first = s->end + (size_t)__builtin_ctzll(lf);

	if (line_len_at(s, first) > s->line_max + 1) /* its CR */
		return false;
	s->line = s->end + STRETCH_BLOCK - (size_t)__builtin_clzll(lf);
	return true;
}

/* The first octets of a block up to which nothing is wrong. */
static uint64_t below(uint64_t wrong)
{
	return wrong ? (wrong & -wrong) - 1 : UINT64_MAX;
}

/* True when the next block may be looked at. */
static bool take_block(struct stretch *s, bool behind_cr, bool behind_lf)
{
	struct stretch_marks m = stretch_marks(s->p + s->end);
	uint64_t starts = m.lf << 1 | behind_lf;
	uint64_t wrong = (m.lf ^ (m.cr << 1 | behind_cr)) | m.nul |
			 (m.dot & starts);
	uint64_t good = below(wrong);
	uint64_t lf = m.lf & good;

	if (lf && !take_lines(s, lf))
		return false;
	s->end += wrong ? (size_t)__builtin_ctzll(wrong) : STRETCH_BLOCK;
	return !wrong;
}

/* A CR waits for its LF, and a line has no more than it may have. */
static size_t trim(const struct stretch *s)
{
	uint64_t most = s->line_max - (s->line ? 0 : s->before);
	size_t end = s->end;

	if (end > s->line && s->p[end - 1] == '\r')
		end--;
	return end - s->line > most ? s->line + (size_t)most : end;
}

size_t stretch_of(struct span text, uint64_t line_max, uint64_t *line_len)
{
	struct stretch s = { .p = text.p,
			     .line_max = line_max,
			     .before = *line_len };
	bool more = text.len >= STRETCH_BLOCK;
	size_t end;

	MUST(line_max >= STRETCH_BLOCK && *line_len <= line_max);
	while (more && text.len - s.end >= STRETCH_BLOCK) {
		uint8_t last = s.end ? text.p[s.end - 1] : 0;

		more = take_block(&s, last == '\r',
				  s.end ? last == '\n' : !s.before);
	}
	end = trim(&s);
	*line_len = line_len_at(&s, end);
	return end;
}
