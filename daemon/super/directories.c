#include "super/directories.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <unistd.h>

#define PROBE_NAME  ".probe"
#define PROBE_BYTES 4096

int directories_open(int parent, const char *name, struct sandbox_user user)
{
	struct stat st;
	int result = 0;
	int fd;

	if (mkdirat(parent, name, 0700) && errno != EEXIST)
		return -errno;
	fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) || (geteuid() == 0 && st.st_uid != user.uid &&
			       fchown(fd, user.uid, user.gid)))
		result = -errno;
	/* The name of a new directory must outlive a power cut too. */
	if (!result && parent >= 0 && fsync(parent))
		result = -errno;
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

int directories_probe(int dir, struct sandbox_user user)
{
	int result;
	int fd;

	/* The file system checks these, and only for this thread. */
	(void)setfsgid(user.gid);
	(void)setfsuid(user.uid);
	fd = openat(dir, PROBE_NAME, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
		    0600);
	result = fd < 0 ? -errno : write_probe(fd);
	if (fd >= 0) {
		(void)close(fd);
		(void)unlinkat(dir, PROBE_NAME, 0);
	}
	(void)setfsuid(geteuid());
	(void)setfsgid(getegid());
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
