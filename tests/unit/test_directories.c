/*
 * Directories of the workers: made, owned, and proved to be writable by them.
 * As root also on file systems of our own that are full or read-only.
 */
#include "super/directories.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NOBODY     65534
#define SYNCED_MAX 16

/* The fsync that the module calls: the real one, and a note of the inode. */
static ino_t synced[SYNCED_MAX];
static uint32_t synced_n;

int fsync(int fd)
{
	struct stat st;

	if (!fstat(fd, &st) && synced_n < SYNCED_MAX)
		synced[synced_n++] = st.st_ino;
	return (int)syscall(SYS_fsync, fd);
}

static char root[] = "/tmp/test_directories.XXXXXX";
static struct sandbox_user user; /* of the workers: nobody, or who we are */

static int setup(void **state)
{
	bool is_root = geteuid() == 0;

	user.uid = is_root ? NOBODY : geteuid();
	user.gid = is_root ? NOBODY : getegid();
	(void)umask(022);
	return mkdtemp(root) && !chdir(root) && !chmod(root, 0755) ? 0 : -1;
}

static int teardown(void **state)
{
	return chdir("/") || rmdir(root); /* each test tidies up */
}

static int open_good(int parent, const char *name)
{
	int fd = directories_open(parent, name, user);

	assert_true(fd >= 0);
	return fd;
}

static ino_t inode_of(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_ino;
}

static bool was_synced(ino_t inode)
{
	for (uint32_t i = 0; i < synced_n; i++)
		if (synced[i] == inode)
			return true;
	return false;
}

static void is_the_workers(int fd, mode_t mode)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode & 07777, mode);
	assert_int_equal(st.st_uid, user.uid);
	assert_int_equal(st.st_gid, user.gid);
}

static void makes_it_for_the_workers(void **state)
{
	int fd = open_good(AT_FDCWD, "a");
	int below = open_good(fd, "b");

	is_the_workers(fd, 0700);
	is_the_workers(below, 0700);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(directories_probe(fd, user), 0);
	assert_int_equal(directories_probe(below, user), 0);
	(void)close(below);
	(void)close(fd);
	assert_int_equal(rmdir("a/b") | rmdir("a"), 0); /* probes are gone */
}

/* What the operator made stays the operator's; what lies below is ours. */
static void opens_what_is_there(void **state)
{
	struct stat before, after;
	int fd, below;

	assert_int_equal(mkdir("a", 0750) | mkdir("a/b", 0750), 0);
	assert_int_equal(stat("a", &before), 0);
	fd = open_good(AT_FDCWD, "a");
	assert_int_equal(fstat(fd, &after), 0);
	assert_int_equal(after.st_uid, before.st_uid);
	assert_int_equal(after.st_gid, before.st_gid);
	assert_int_equal(after.st_mode, before.st_mode);
	below = open_good(fd, "b");
	is_the_workers(below, 0750);
	(void)close(below);
	(void)close(fd);
	assert_int_equal(rmdir("a/b") | rmdir("a"), 0);
}

/* Mail is acknowledged in it: its name must be there after a power cut. */
static void the_name_is_made_durable(void **state)
{
	char path[128];
	int fd, below;

	synced_n = 0;
	fd = open_good(AT_FDCWD, "a");
	assert_true(was_synced(inode_of(".")));
	synced_n = 0;
	below = open_good(fd, "b");
	assert_true(was_synced(inode_of("a")));
	(void)close(below);
	(void)close(fd);
	(void)snprintf(path, sizeof(path), "%s/a/c", root);
	synced_n = 0;
	fd = open_good(AT_FDCWD, path);
	assert_true(was_synced(inode_of("a")));
	(void)close(fd);
	assert_int_equal(rmdir("a/b") | rmdir("a/c") | rmdir("a"), 0);
}

static void says_what_is_in_the_way(void **state)
{
	int fd = open("file", O_CREAT | O_WRONLY | O_CLOEXEC, 0644);

	assert_int_equal(directories_open(AT_FDCWD, "none/a", user), -ENOENT);
	assert_int_equal(directories_open(AT_FDCWD, "file", user), -ENOTDIR);
	assert_int_equal(directories_open(AT_FDCWD, "file/a", user), -ENOTDIR);
	assert_int_equal(directories_open(fd, "a", user), -ENOTDIR);
	(void)close(fd);
	assert_int_equal(unlink("file"), 0);
}

static void the_probe_is_synced_and_leaves_nothing(void **state)
{
	int fd = open_good(AT_FDCWD, "a");

	synced_n = 0;
	assert_int_equal(directories_probe(fd, user), 0);
	assert_int_equal(synced_n, 1);
	assert_int_equal(directories_probe(fd, user), 0);
	(void)close(fd);
	assert_int_equal(rmdir("a"), 0);
}

static void each_error_has_its_cure(void **state)
{
	static const int errors[] = { -ENOSPC, -EROFS,   -EACCES,
				      -ENOENT, -ENOTDIR, -EIO };
	const size_t n = sizeof(errors) / sizeof(errors[0]);

	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(directories_cure(errors[i]),
						directories_cure(errors[j]));
}

/* ---- as root ------------------------------------------------------------- */

/* Root may write there, the workers may not: that is what the probe is for. */
static void the_probe_writes_as_the_workers(void **state)
{
	int fd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	const gid_t other = 54321;
	gid_t had[64], got[64];
	int had_n, file;
	struct stat st;

	assert_int_equal(directories_probe(fd, user), -EACCES);
	assert_int_equal(directories_probe(fd, (struct sandbox_user){ 0, 0 }),
			 0);
	/* Nor by a group that is root's alone. */
	assert_int_equal(fstat(fd, &st), 0);
	had_n = getgroups(64, had);
	assert_int_equal(setgroups(1, &other), 0);
	assert_int_equal(fchown(fd, 0, other) | fchmod(fd, 0770), 0);
	assert_int_equal(directories_probe(fd, user), -EACCES);
	assert_int_equal(getgroups(64, got), 1); /* it has them again */
	assert_int_equal(got[0], other);
	assert_int_equal(setgroups((size_t)had_n, had), 0);
	assert_int_equal(fchown(fd, st.st_uid, st.st_gid) |
				 fchmod(fd, st.st_mode & 07777),
			 0);
	(void)close(fd);
	file = open("file", O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
	assert_int_equal(fstat(file, &st), 0); /* and we are root again */
	assert_int_equal(st.st_uid, 0);
	assert_int_equal(st.st_gid, 0);
	(void)close(file);
	assert_int_equal(unlink("file"), 0);
}

/* ---- as root, on a file system of our own -------------------------------- */

static int mount_here(void **state)
{
	return mkdir("m", 0700) ||
	       mount("tmpfs", "m", "tmpfs", 0, "size=64k,mode=0755");
}

static int unmount(void **state)
{
	return umount2("m", MNT_DETACH) || rmdir("m");
}

static void finds_a_full_file_system(void **state)
{
	static const char zeros[4096];
	int fd = open_good(AT_FDCWD, "m/a");
	int file = open("m/fill", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	assert_int_equal(directories_probe(fd, user), 0);
	while (write(file, zeros, sizeof(zeros)) > 0)
		;
	assert_int_equal(errno, ENOSPC);
	assert_int_equal(directories_probe(fd, user), -ENOSPC);
	assert_int_equal(faccessat(fd, ".probe", F_OK, 0), -1);
	assert_int_equal(ftruncate(file, 0), 0);
	assert_int_equal(directories_probe(fd, user), 0);
	(void)close(file);
	(void)close(fd);
}

static void finds_a_read_only_file_system(void **state)
{
	int fd = open_good(AT_FDCWD, "m/a");

	assert_int_equal(mount(NULL, "m", NULL, MS_REMOUNT | MS_RDONLY, NULL),
			 0);
	assert_int_equal(directories_probe(fd, user), -EROFS);
	assert_int_equal(directories_open(AT_FDCWD, "m/b", user), -EROFS);
	(void)close(fd);
}

/* A mount namespace of our own, so that nobody else sees what we mount. */
static bool can_mount(void)
{
	char place[] = "/tmp/test_directories.XXXXXX";
	bool good;

	if (unshare(CLONE_NEWNS) ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    !mkdtemp(place))
		return false;
	good = !mount("tmpfs", place, "tmpfs", 0, "size=64k") && !umount(place);
	(void)rmdir(place);
	return good;
}

static void skipped(void **state)
{
	skip();
}

/* TAP shows a skipped test's name behind SKIP: it becomes the reason. */
static struct CMUnitTest unless(const char *reason, struct CMUnitTest test)
{
	return reason ? (struct CMUnitTest){ .name = reason,
					     .test_func = skipped } :
			test;
}

#define ON_TMPFS(f) cmocka_unit_test_setup_teardown(f, mount_here, unmount)

int main(void)
{
	const char *no_root = geteuid() ? "only root can write as others" :
					  NULL;
	const char *no_mount = can_mount() ? NULL :
					     "needs to mount a small tmpfs";
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(makes_it_for_the_workers),
		cmocka_unit_test(opens_what_is_there),
		cmocka_unit_test(the_name_is_made_durable),
		cmocka_unit_test(says_what_is_in_the_way),
		cmocka_unit_test(the_probe_is_synced_and_leaves_nothing),
		cmocka_unit_test(each_error_has_its_cure),
		unless(no_root, (struct CMUnitTest)cmocka_unit_test(
					the_probe_writes_as_the_workers)),
		unless(no_mount,
		       (struct CMUnitTest)ON_TMPFS(finds_a_full_file_system)),
		unless(no_mount, (struct CMUnitTest)ON_TMPFS(
					 finds_a_read_only_file_system)),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
