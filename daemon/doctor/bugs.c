#include "doctor/bugs.h"

#include "tls/flaws.h"

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

void bugs_judge(const struct release *r, struct findings *f)
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
