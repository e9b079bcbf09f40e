#include "super/sandbox.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

int sandbox_find_user(const char *name, struct sandbox_user *ret)
{
	const struct passwd *entry;

	if (!name) {
		*ret = (struct sandbox_user){ geteuid(), getegid() };
		return 0;
	}
	errno = 0;
	entry = getpwnam(name);
	if (!entry)
		return errno && errno != ESRCH ? -errno : -ENOENT;
	*ret = (struct sandbox_user){ entry->pw_uid, entry->pw_gid };
	return 0;
}

int sandbox_no_dumps(void)
{
	const struct rlimit none = { 0, 0 };

	if (setrlimit(RLIMIT_CORE, &none) || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
		return -errno;
	return 0;
}

/* Beyond the hard limit where we may, else up to it. */
static void raise_limit(__rlimit_resource_t resource, rlim_t wanted)
{
	struct rlimit limit;

	if (getrlimit(resource, &limit) || limit.rlim_cur >= wanted)
		return;
	limit.rlim_cur = wanted;
	if (limit.rlim_max < wanted)
		limit.rlim_max = wanted;
	if (!setrlimit(resource, &limit) || getrlimit(resource, &limit))
		return;
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(resource, &limit);
}

void sandbox_raise_limits(uint64_t n)
{
	raise_limit(RLIMIT_NOFILE, n);
	raise_limit(RLIMIT_MEMLOCK, RLIM_INFINITY);
}

static int drop_user(struct sandbox_user user)
{
	if (geteuid() != 0)
		return user.uid == geteuid() ? 0 : -EPERM;
	if (setgroups(0, NULL) || setresgid(user.gid, user.gid, user.gid) ||
	    setresuid(user.uid, user.uid, user.uid))
		return -errno;
	return 0;
}

int sandbox_enter(struct sandbox_user user)
{
	int result = drop_user(user);

	if (result)
		return result;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -errno;
	(void)signal(SIGINT, SIG_IGN);
	(void)signal(SIGTERM, SIG_IGN);
	(void)signal(SIGHUP, SIG_IGN);
	(void)signal(SIGPIPE, SIG_IGN);
	return sandbox_no_dumps();
}
