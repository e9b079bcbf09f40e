/*
 * The versions were read from the changelogs of Debian's kernel packages, which
 * name the update of kernel.org that each fix came with. For those of 2026 the
 * last entry is the first series that is known to have begun with the fix; it
 * may be older.
 */
#include "tls/flaws.h"

#define FIXED(...)                                                    \
	.fixed = { __VA_ARGS__ },                                     \
	.fixed_n = sizeof((const struct flaw_fix[]){ __VA_ARGS__ }) / \
		   sizeof(struct flaw_fix)

const struct flaw flaws[] = {
	{ .name = "CVE-2023-6176",
	  .touches = FLAW_SENDING,
	  .what = "sending may follow a null pointer: the machine stops",
	  FIXED({ 6, 1, 54 }, { 6, 5, 4 }, { 6, 6, 0 }) },
	{ .name = "tls/sw: Use splice_eof() to flush",
	  .touches = FLAW_SENDING,
	  .what = "the end of a body sent by splice may wait for the next send",
	  FIXED({ 6, 1, 79 }, { 6, 5, 0 }) },
	{ .name = "CVE-2024-26582, -26583",
	  .touches = FLAW_RECORDS,
	  .what = "memory is used after it was freed: partial reads, close",
	  FIXED({ 6, 1, 79 }, { 6, 8, 0 }) },
	{ .name = "CVE-2024-58239",
	  .touches = FLAW_RECEIVING,
	  .what = "data and control records may be mixed in one read",
	  FIXED({ 6, 1, 80 }, { 6, 8, 0 }) },
	{ .name = "CVE-2024-26584, -26585, -26800",
	  .touches = FLAW_RECORDS,
	  .what = "memory is used after it was freed: busy crypto, close",
	  FIXED({ 6, 1, 84 }, { 6, 8, 0 }) },
	{ .name = "CVE-2025-38471",
	  .touches = FLAW_RECEIVING,
	  .what = "memory is used after it was freed: reading a queue anew",
	  FIXED({ 6, 1, 147 }, { 6, 12, 40 }, { 6, 16, 0 }) },
	{ .name = "CVE-2025-39682",
	  .touches = FLAW_RECEIVING,
	  .what = "a peer's empty records make it use memory after it was freed",
	  FIXED({ 6, 1, 149 }, { 6, 12, 44 }, { 6, 17, 0 }) },
	{ .name = "tls: trim encrypted message on short splice",
	  .touches = FLAW_SENDING,
	  .what = "a short splice may send a record that the peer cannot read",
	  FIXED({ 6, 1, 0 }, { 6, 12, 55 }, { 6, 18, 0 }) },
	{ .name = "CVE-2025-40176",
	  .touches = FLAW_RECEIVING,
	  .what = "memory is used after it was freed: last record of a message",
	  FIXED({ 6, 1, 158 }, { 6, 12, 55 }, { 6, 18, 0 }) },
	{ .name = "CVE-2026-23240",
	  .touches = FLAW_SENDING,
	  .what = "memory is used after it was freed: closing while sending",
	  FIXED({ 6, 12, 75 }, { 7, 0, 0 }) },
	{ .name = "CVE-2026-23414",
	  .touches = FLAW_RECEIVING,
	  .what = "memory leaks when decryption falls back",
	  FIXED({ 6, 1, 168 }, { 6, 12, 80 }, { 7, 0, 0 }) },
	{ .name = "net/tls: fix use-after-free in -EBUSY error path",
	  .touches = FLAW_RECORDS,
	  .what = "memory is used after it was freed: busy crypto",
	  FIXED({ 6, 1, 169 }, { 6, 12, 82 }, { 7, 1, 0 }) },
	{ .name = "net: tls: fix off-by-one in sg_chain entry count",
	  .touches = FLAW_SENDING,
	  .what = "sending may read past a table of pages",
	  FIXED({ 6, 1, 175 }, { 6, 12, 92 }, { 7, 2, 0 }) },
	{ .name = "net/tls: Fail tls_sw_splice_read() after failed decrypt",
	  .touches = FLAW_SPLICING_IN,
	  .what = "splice goes on after a record that failed to decrypt",
	  FIXED({ 6, 1, 184 }, { 6, 12, 105 }, { 7, 2, 0 }) },
	{ .name = "tls: device: fix out-of-bounds write in tls_append_frag()",
	  .touches = FLAW_DEVICE,
	  .what = "with records made by the card: a write out of bounds",
	  FIXED({ 6, 1, 187 }, { 6, 12, 108 }, { 7, 2, 0 }) },
	{ .name = "tls: fix RX desync on overlapping skbs",
	  .touches = FLAW_RECEIVING,
	  .mild = true,
	  .what = "a connection may break after retransmitted packets",
	  FIXED({ 6, 1, 188 }, { 6, 12, 110 }, { 7, 2, 0 }) },
	{ .name = "net: tls: fix silent data drop under pipe back-pressure",
	  .touches = FLAW_SPLICING_IN,
	  .what = "receiving by splice into a full pipe may lose bytes",
	  FIXED({ 6, 1, 189 }, { 6, 12, 112 }, { 7, 2, 0 }) },
	{ .name = "CVE-2025-38616",
	  .touches = FLAW_RECEIVING,
	  .what = "data read by others while TLS is set up confuse it",
	  .avoided = "no receive is under way when the keys go in",
	  FIXED({ 6, 1, 185 }, { 6, 12, 43 }, { 6, 17, 0 }) },
	{ .name = "CVE-2026-74611",
	  .touches = FLAW_RECEIVING,
	  .what = "a peer can have more written than was asked for",
	  .avoided = "it takes TLS_RX_EXPECT_NO_PAD, which is never set",
	  FIXED({ 6, 1, 191 }, { 6, 12, 114 }, { 6, 18, 45 }, { 7, 1, 9 },
		{ 7, 2, 0 }) },
	{ .name = "CVE-2026-64025, CVE-2026-93824",
	  .touches = FLAW_RECORDS,
	  .what = "sockmaps and TLS on one connection corrupt memory",
	  .avoided = "no connection is ever put into a sockmap",
	  FIXED({ 6, 1, 191 }, { 6, 12, 111 }, { 7, 2, 0 }) },
};

const size_t flaws_n = sizeof(flaws) / sizeof(*flaws);

/*
 * Of the same days as 6.1.191 and 6.12.114, which came with the youngest fix
 * above: whatever is not said of their series, they and what follows have.
 */
static const struct flaw_fix whole[] = { { 6, 18, 45 }, { 7, 1, 9 } };

/*
 * Whose changelogs were read from end to end. A flaw of which they do not speak
 * was never mended there; whoever runs them lives with it.
 */
static const struct flaw_fix read_through[] = { { 6, 1, 0 }, { 6, 12, 0 } };

static bool is_whole(const struct release *r)
{
	for (size_t i = 0; i < sizeof(whole) / sizeof(*whole); i++)
		if (release_is_of(r, whole[i].major, whole[i].minor))
			return r->patch_known && r->patch >= whole[i].patch;
	return false;
}

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
	return is_whole(r) ? FLAW_MENDED : FLAW_UNKNOWN;
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

static bool was_read_through(const struct release *r)
{
	for (size_t i = 0; i < sizeof(read_through) / sizeof(*read_through);
	     i++)
		if (release_is_of(r, read_through[i].major,
				  read_through[i].minor))
			return r->patch_known;
	return false;
}

static bool allow(const struct release *r, enum flaw_touches doing)
{
	const bool unknown_speaks_against = !was_read_through(r);

	for (size_t i = 0; i < flaws_n; i++) {
		const struct flaw *flaw = &flaws[i];
		enum flaw_state state = flaw_look(flaw, r);

		if (!(flaw->touches & doing) || flaw->avoided || flaw->mild)
			continue;
		if (state == FLAW_PRESENT ||
		    (state == FLAW_UNKNOWN && unknown_speaks_against))
			return false;
	}
	return true;
}

bool flaws_allow_records(const struct release *r)
{
	return allow(r, FLAW_RECORDS);
}

bool flaws_allow_splice_in(const struct release *r)
{
	return allow(r, FLAW_SPLICING_IN);
}

bool flaws_allow_device(const struct release *r)
{
	return allow(r, FLAW_DEVICE);
}
