#include "super/directories.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PROBE_NAME  ".probe"
#define PROBE_BYTES 4096
#define GROUPS_MAX  1024 /* of the supervisor */

/*
 * The name of a new directory must outlive a power cut too. What is above it
 * may be searched only, and not opened: then there is nothing to sync.
 */
static int sync_name(int parent, int dir)
{
	int above = parent;
	int result;

	if (parent < 0)
		above = openat(dir, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (above < 0)
		return errno == EACCES ? 0 : -errno;
	result = fsync(above) ? -errno : 0;
	if (above != parent)
		(void)close(above);
	return result;
}

int directories_open(int parent, const char *name, struct sandbox_user user)
{
	const bool made = !mkdirat(parent, name, 0700);
	/* What the operator made and named stays the operator's. */
	const bool ours = made || parent >= 0;
	struct stat st;
	int result = 0;
	int fd;

	if (!made && errno != EEXIST)
		return -errno;
	fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) ||
	    (ours && geteuid() == 0 && st.st_uid != user.uid &&
	     fchown(fd, user.uid, user.gid)))
		result = -errno;
	/* One below `parent` may be left from a start that was cut short. */
	if (!result && ours)
		result = sync_name(parent, fd);
	if (!result)
		return fd;
	(void)close(fd);
	return result;
}

static int write_probe(int fd)
{
	static const char zeros[PROBE_BYTES];
	ssize_t n = write(fd, zeros, sizeof(zeros));

	if (n < 0)
		return -errno;
	if (n != sizeof(zeros))
		return -ENOSPC;
	return fsync(fd) ? -errno : 0;
}

static int probe(int dir)
{
	int result;
	int fd;

	fd = openat(dir, PROBE_NAME, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
		    0600);
	result = fd < 0 ? -errno : write_probe(fd);
	if (fd >= 0) {
		(void)close(fd);
		(void)unlinkat(dir, PROBE_NAME, 0);
	}
	return result;
}

/* Workers have none of root's other groups. The system call: for this thread. */
static void set_groups(size_t n, const gid_t *groups)
{
	(void)syscall(SYS_setgroups, n, groups);
}

int directories_probe(int dir, struct sandbox_user user)
{
	gid_t groups[GROUPS_MAX];
	int n = getgroups(GROUPS_MAX, groups);
	int result;

	if (n < 0)
		return -errno;
	/* The file system checks these, and only for this thread. */
	set_groups(0, NULL);
	(void)setfsgid(user.gid);
	(void)setfsuid(user.uid);
	result = probe(dir);
	(void)setfsuid(geteuid());
	(void)setfsgid(getegid());
	set_groups((size_t)n, groups);
	return result;
}

const char *directories_cure(int error)
{
	switch (-error) {
	case ENOSPC:
	case EDQUOT: return "free some space there";
	case EROFS: return "mount it read-write, or name another directory";
	case EACCES:
	case EPERM: return "let the workers' user (`user`) own it";
	case ENOENT: return "create the directory above it";
	case ENOTDIR: return "it, or what is above it, is no directory";
	default: return "check the file system";
	}
}
