/*
 * The versions were read from the changelogs of Debian's kernel packages, which
 * name the update of kernel.org that each fix came with. For those of 2026 the
 * last entry is the first series that is known to have begun with the fix; it
 * may be older.
 */
#include "doctor/flaws.h"

#define FIXED(...)                                                    \
	.fixed = { __VA_ARGS__ },                                     \
	.fixed_n = sizeof((const struct flaw_fix[]){ __VA_ARGS__ }) / \
		   sizeof(struct flaw_fix)

const struct flaw flaws[] = {
	{ .name = "CVE-2023-6176",
	  .what = "sending may follow a null pointer: the machine stops",
	  FIXED({ 6, 1, 54 }, { 6, 5, 4 }, { 6, 6, 0 }) },
	{ .name = "tls/sw: Use splice_eof() to flush",
	  .what = "the end of a body sent by splice may wait for the next send",
	  FIXED({ 6, 1, 79 }, { 6, 5, 0 }) },
	{ .name = "CVE-2024-26582, -26583",
	  .what = "memory is used after it was freed: partial reads, close",
	  FIXED({ 6, 1, 79 }, { 6, 8, 0 }) },
	{ .name = "CVE-2024-58239",
	  .what = "data and control records may be mixed in one read",
	  FIXED({ 6, 1, 80 }, { 6, 8, 0 }) },
	{ .name = "CVE-2024-26584, -26585, -26800",
	  .what = "memory is used after it was freed: busy crypto, close",
	  FIXED({ 6, 1, 84 }, { 6, 8, 0 }) },
	{ .name = "CVE-2025-38471",
	  .what = "memory is used after it was freed: reading a queue anew",
	  FIXED({ 6, 1, 147 }, { 6, 12, 40 }, { 6, 16, 0 }) },
	{ .name = "CVE-2025-39682",
	  .what = "a peer's empty records make it use memory after it was freed",
	  FIXED({ 6, 1, 149 }, { 6, 12, 44 }, { 6, 17, 0 }) },
	{ .name = "tls: trim encrypted message on short splice",
	  .what = "a short splice may send a record that the peer cannot read",
	  FIXED({ 6, 1, 0 }, { 6, 12, 55 }, { 6, 18, 0 }) },
	{ .name = "CVE-2025-40176",
	  .what = "memory is used after it was freed: last record of a message",
	  FIXED({ 6, 1, 158 }, { 6, 12, 55 }, { 6, 18, 0 }) },
	{ .name = "CVE-2026-23240",
	  .what = "memory is used after it was freed: closing while sending",
	  FIXED({ 6, 12, 75 }, { 7, 0, 0 }) },
	{ .name = "CVE-2026-23414",
	  .what = "memory leaks when decryption falls back",
	  FIXED({ 6, 1, 168 }, { 6, 12, 80 }, { 7, 0, 0 }) },
	{ .name = "net/tls: fix use-after-free in -EBUSY error path",
	  .what = "memory is used after it was freed: busy crypto",
	  FIXED({ 6, 1, 169 }, { 6, 12, 82 }, { 7, 1, 0 }) },
	{ .name = "net: tls: fix off-by-one in sg_chain entry count",
	  .what = "sending may read past a table of pages",
	  FIXED({ 6, 1, 175 }, { 6, 12, 92 }, { 7, 2, 0 }) },
	{ .name = "net/tls: Fail tls_sw_splice_read() after failed decrypt",
	  .what = "splice goes on after a record that failed to decrypt",
	  FIXED({ 6, 1, 184 }, { 6, 12, 105 }, { 7, 2, 0 }) },
	{ .name = "tls: device: fix out-of-bounds write in tls_append_frag()",
	  .what = "with records made by the card: a write out of bounds",
	  FIXED({ 6, 1, 187 }, { 6, 12, 108 }, { 7, 2, 0 }) },
	{ .name = "tls: fix RX desync on overlapping skbs",
	  .what = "a connection may break after retransmitted packets",
	  FIXED({ 6, 1, 188 }, { 6, 12, 110 }, { 7, 2, 0 }) },
	{ .name = "net: tls: fix silent data drop under pipe back-pressure",
	  .what = "receiving by splice into a full pipe may lose bytes",
	  FIXED({ 6, 1, 189 }, { 6, 12, 112 }, { 7, 2, 0 }) },
	{ .name = "CVE-2025-38616",
	  .what = "data read by others while TLS is set up confuse it",
	  .avoided = "no receive is under way when the keys go in",
	  FIXED({ 6, 1, 185 }, { 6, 12, 43 }, { 6, 17, 0 }) },
	{ .name = "CVE-2026-74611",
	  .what = "a peer can have more written than was asked for",
	  .avoided = "it takes TLS_RX_EXPECT_NO_PAD, which is never set",
	  FIXED({ 6, 1, 191 }, { 6, 12, 114 }, { 6, 18, 45 }, { 7, 1, 9 },
		{ 7, 2, 0 }) },
	{ .name = "CVE-2026-64025, CVE-2026-93824",
	  .what = "sockmaps and TLS on one connection corrupt memory",
	  .avoided = "no connection is ever put into a sockmap",
	  FIXED({ 6, 1, 191 }, { 6, 12, 111 }, { 7, 2, 0 }) },
};

const size_t flaws_n = sizeof(flaws) / sizeof(*flaws);

enum flaw_state flaw_look(const struct flaw *flaw, const struct release *r)
{
	const struct flaw_fix *last = &flaw->fixed[flaw->fixed_n - 1];

	if (release_reaches(r, last->major, last->minor, 0) &&
	    !release_is_of(r, last->major, last->minor))
		return FLAW_MENDED;
	for (size_t i = 0; i < flaw->fixed_n; i++) {
		const struct flaw_fix *fix = &flaw->fixed[i];

		if (!release_is_of(r, fix->major, fix->minor))
			continue;
		if (!fix->patch)
			return FLAW_MENDED; /* it never had it */
		if (!r->patch_known)
			return FLAW_UNKNOWN;
		return r->patch >= fix->patch ? FLAW_MENDED : FLAW_PRESENT;
	}
	return FLAW_UNKNOWN;
}

bool flaws_minimum(const struct release *r, struct flaw_fix *ret)
{
	struct flaw_fix minimum = { r->major, r->minor, 0 };
	bool known = false;

	for (size_t i = 0; i < flaws_n; i++) {
		const struct flaw *flaw = &flaws[i];

		for (size_t j = 0; j < flaw->fixed_n && !flaw->avoided; j++) {
			const struct flaw_fix *fix = &flaw->fixed[j];

			if (!release_is_of(r, fix->major, fix->minor))
				continue;
			known = true;
			if (fix->patch > minimum.patch)
				minimum = *fix;
		}
	}
	if (known)
		*ret = minimum;
	return known;
}

/* The packages that bring what flaws_minimum asks for. */
static const char *debian_package(const struct release *r)
{
	if (release_is_of(r, 6, 1))
		return " (Debian 12: 6.1.190-1)";
	if (release_is_of(r, 6, 12))
		return " (Debian 13: 6.12.113-1)";
	return "";
}

static const char *advise(const struct release *r, struct findings *f)
{
	struct flaw_fix minimum;

	if (!flaws_minimum(r, &minimum))
		return "run a supported kernel, or leave TLS records to "
		       "userspace";
	return findings_text(f,
			     "upgrade to Linux %u.%u.%u%s and restart, or "
			     "leave TLS records to userspace",
			     minimum.major, minimum.minor, minimum.patch,
			     debian_package(r));
}

static void judge_one(const struct flaw *flaw, const struct release *r,
		      struct findings *f)
{
	FINDING(f, .area = "ktls", .subject = "known bug", .found = flaw->name,
		.means = flaw->avoided ?
				 findings_text(f, "%s; harmless here: %s",
					       flaw->what, flaw->avoided) :
				 flaw->what,
		.advice = flaw->avoided ? NULL : advise(r, f),
		.grade = flaw->avoided ? FINDING_NOTE : FINDING_LOSS);
}

static void judge_unknown(const struct release *r, struct findings *f)
{
	const char *names = "";

	for (size_t i = 0; i < flaws_n; i++)
		if (!flaws[i].avoided &&
		    flaw_look(&flaws[i], r) == FLAW_UNKNOWN)
			names = findings_text(f, "%s%s%s", names,
					      *names ? "; " : "",
					      flaws[i].name);
	FINDING(f, .area = "ktls", .subject = "known bugs",
		.found = "cannot be judged by this version", .means = names,
		.advice = "see the kernel's changelog", .grade = FINDING_NOTE);
}

void flaws_judge(const struct release *r, struct findings *f)
{
	size_t present = 0;
	size_t unknown = 0;

	for (size_t i = 0; i < flaws_n; i++) {
		enum flaw_state state = flaw_look(&flaws[i], r);

		if (state == FLAW_PRESENT)
			judge_one(&flaws[i], r, f);
		present += state == FLAW_PRESENT;
		unknown += state == FLAW_UNKNOWN && !flaws[i].avoided;
	}
	if (unknown)
		judge_unknown(r, f);
	else if (!present)
		FINDING(f, .area = "ktls", .subject = "known bugs",
			.found = findings_text(f, "none of %zu", flaws_n));
}
