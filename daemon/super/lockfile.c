#include "super/lockfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

static pid_t read_owner(int fd)
{
	char text[16] = { 0 };

	if (pread(fd, text, sizeof(text) - 1, 0) <= 0)
		return 0;
	return (pid_t)strtol(text, NULL, 10);
}

int lockfile_renew(int fd)
{
	char text[16];
	int n = snprintf(text, sizeof(text), "%d\n", (int)getpid());

	/* Not by the file's position, which a successor shares. */
	if (ftruncate(fd, 0) || pwrite(fd, text, (size_t)n, 0) != n)
		return errno ? -errno : -EIO;
	return 0;
}

int lockfile_take(const char *path, pid_t *ret_owner)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	int result = 0;

	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX | LOCK_NB)) {
		result = errno == EWOULDBLOCK ? -EEXIST : -errno;
		*ret_owner = read_owner(fd);
	}
	if (!result)
		result = lockfile_renew(fd);
	if (!result)
		return fd;
	(void)close(fd);
	return result;
}

void lockfile_give(int fd)
{
	if (fd < 0)
		return;
	/* Not removed: a successor may wait on this very file. */
	(void)!ftruncate(fd, 0);
	(void)close(fd);
}
