#include "super/program.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Is `path` what runs here? A command name can be set to anything. */
static bool is_ours(const char *path)
{
	struct stat a, b;

	return !stat(path, &a) && !stat("/proc/self/exe", &b) &&
	       a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static bool make_absolute(const char *called, char ret[PATH_MAX])
{
	char folder[PATH_MAX];
	int n;

	if (!strchr(called, '/') || !getcwd(folder, sizeof(folder)))
		return false;
	n = called[0] == '/' ? snprintf(ret, PATH_MAX, "%s", called) :
			       snprintf(ret, PATH_MAX, "%s/%s", folder, called);
	return n > 0 && n < PATH_MAX;
}

int program_find(const char *called, char ret[PATH_MAX])
{
	ssize_t n;

	if (make_absolute(called, ret) && is_ours(ret))
		return 0;
	n = readlink("/proc/self/exe", ret, PATH_MAX);
	if (n < 0)
		return -errno;
	if (n == PATH_MAX)
		return -ENAMETOOLONG;
	ret[n] = '\0';
	return 0;
}

bool program_check(const char *path, struct buf *errors)
{
	struct stat st;

	if (path[0] != '/') {
		buf_printf(errors, "%s: name the program by its whole path\n",
			   path);
		return false;
	}
	if (stat(path, &st) || access(path, X_OK)) {
		buf_printf(errors, "%s: %s\n", path, strerrordesc_np(errno));
		return false;
	}
	if (!S_ISREG(st.st_mode)) {
		buf_printf(errors, "%s: no program\n", path);
		return false;
	}
	if ((st.st_uid && st.st_uid != geteuid()) || (st.st_mode & 022)) {
		buf_printf(errors,
			   "%s: others than root and the daemon's user can "
			   "write it: chown and chmod go-w\n",
			   path);
		return false;
	}
	return true;
}

/* As fork; clone3 because no wrapper makes a sibling with its pidfd. */
static pid_t fork_sibling(int *ret_pidfd)
{
	struct clone_args args = {
		.flags = CLONE_PARENT | CLONE_PIDFD,
		.pidfd = (uint64_t)(uintptr_t)ret_pidfd,
	};
	pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));

	if (pid >= 0)
		return pid;
	/* Where clone3 is forbidden, it will lose its parent with us. */
	pid = fork();
	if (pid > 0)
		*ret_pidfd = pidfd_open(pid, 0);
	return pid;
}

_Noreturn static void become(const struct program *p, int error_fd)
{
	sigset_t none;
	int error;

	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)signal(SIGPIPE, SIG_DFL);
	/* Not close-on-exec, unlike everything else that is open. */
	if (p->fd == PROGRAM_FD ? fcntl(p->fd, F_SETFD, 0) >= 0 :
				  dup2(p->fd, PROGRAM_FD) >= 0)
		(void)execv(p->path, p->arguments);
	error = errno;
	(void)!write(error_fd, &error, sizeof(error));
	_exit(EXIT_FAILURE);
}

int program_start(struct program *p)
{
	int error_fds[2];
	int error = 0;

	if (pipe2(error_fds, O_CLOEXEC))
		return -errno;
	/* Above what the new program keeps. */
	if (error_fds[1] == PROGRAM_FD)
		error_fds[1] = fcntl(PROGRAM_FD, F_DUPFD_CLOEXEC, PROGRAM_FD);
	p->pidfd = -1;
	p->pid = fork_sibling(&p->pidfd);
	if (p->pid == 0)
		become(p, error_fds[1]);
	if (p->pid < 0)
		error = errno;
	(void)close(error_fds[1]);
	/* Ends when the program has begun: the pipe is close-on-exec. */
	if (p->pid > 0 &&
	    read(error_fds[0], &error, sizeof(error)) != sizeof(error))
		error = 0;
	(void)close(error_fds[0]);
	if (error && p->pidfd >= 0)
		(void)close(p->pidfd);
	return -error;
}

void program_kill(const struct program *p)
{
	if (p->pidfd >= 0)
		(void)pidfd_send_signal(p->pidfd, SIGKILL, NULL, 0);
}
