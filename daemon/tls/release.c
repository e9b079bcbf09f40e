#include "tls/release.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/utsname.h>

/* Digits at *text, which then points behind them. */
static bool take_number(const char **text, uint32_t *ret)
{
	size_t n = strspn(*text, "0123456789");
	uint64_t value;

	if (!span_to_u64(span_of((const uint8_t *)*text, n), &value) ||
	    value > UINT16_MAX)
		return false;
	*ret = (uint32_t)value;
	*text += n;
	return true;
}

/* "6.1.187-1" or "7.2"; *ret_rest points behind it. */
static bool take_version(const char *text, struct release *ret,
			 const char **ret_rest)
{
	if (!take_number(&text, &ret->major) || *text++ != '.' ||
	    !take_number(&text, &ret->minor))
		return false;
	ret->patch = 0;
	if (*text == '.') {
		text++;
		if (!take_number(&text, &ret->patch))
			return false;
	}
	*ret_rest = text;
	return true;
}

/* "#1 SMP PREEMPT_DYNAMIC Debian 6.1.187-1 (2026-09-07)" */
static bool take_debian(const char *version, struct release *ret)
{
	const char *name = strstr(version, "Debian ");
	struct release r = { .patch_known = true };
	const char *rest;

	if (!name || !take_version(name + strlen("Debian "), &r, &rest))
		return false;
	(void)snprintf(r.package, sizeof(r.package), "%.*s",
		       (int)strcspn(rest, " ") + (int)(rest - name), name);
	*ret = r;
	return true;
}

/* "Ubuntu 6.8.0-31.31-generic 6.8.1": the last word is kernel.org's. */
static bool take_signature(const char *signature, struct release *ret)
{
	const char *last = strrchr(signature, ' ');
	struct release r = { .patch_known = true };
	const char *rest;

	if (!last || !take_version(last + 1, &r, &rest) || *rest)
		return false;
	(void)snprintf(r.package, sizeof(r.package), "%.*s",
		       (int)(last - signature), signature);
	*ret = r;
	return true;
}

bool release_parse(const char *release, const char *version,
		   const char *signature, struct release *ret)
{
	struct release told = { 0 }, packaged;
	const char *rest;

	if (!take_version(release, &told, &rest))
		return false;
	/* "5.14.0-427.el9": fixes go in, the number stays. */
	told.patch_known = told.patch || !*rest;
	/* A kernel that was rebuilt may still name the package of another. */
	if ((take_debian(version, &packaged) ||
	     take_signature(signature, &packaged)) &&
	    release_is_of(&packaged, told.major, told.minor))
		told = packaged;
	*ret = told;
	return true;
}

struct release release_running(void)
{
	struct release running = { 0 };
	struct utsname names;

	if (!uname(&names))
		(void)release_parse(names.release, names.version, "", &running);
	return running;
}

bool release_reaches(const struct release *r, uint32_t major, uint32_t minor,
		     uint32_t patch)
{
	if (r->major != major)
		return r->major > major;
	if (r->minor != minor)
		return r->minor > minor;
	return r->patch >= patch;
}

bool release_is_of(const struct release *r, uint32_t major, uint32_t minor)
{
	return r->major == major && r->minor == minor;
}
