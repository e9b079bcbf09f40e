/* What a listener, its place in a SOCKMAP, its filter and the attachment of an
 * sk_lookup program are worth when who made them dies and we hold them. */
#include "../probe.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define STEERED_PORT 465
#define DROP         1 /* in the filter's map */

/* An object of steering.bpf.c and one of filter.bpf.c. */
struct programs {
	struct bpf_program *steer;
	int filter, listeners, wishes, state;
};

/* Numbers of descriptors in who made them. */
struct made {
	int listener, attachment;
};

static struct programs load(void)
{
	struct bpf_object *steering = bpf_load("steering.bpf.o");
	struct bpf_object *filter = bpf_load("filter.bpf.o");
	struct programs p = {
		.steer = bpf_object__find_program_by_name(steering, "steer"),
		.filter = bpf_program__fd(
			bpf_object__find_program_by_name(filter, "filter")),
		.listeners =
			bpf_object__find_map_fd_by_name(steering, "listeners"),
		.wishes = bpf_object__find_map_fd_by_name(steering, "wishes"),
		.state = bpf_object__find_map_fd_by_name(filter, "state"),
	};
	uint32_t zero = 0, port = STEERED_PORT;

	MUST(bpf_map_update_elem(p.wishes, &zero, &port, BPF_ANY) == 0);
	return p;
}

static long put(const struct programs *p, uint32_t slot, int fd)
{
	uint64_t value = (uint64_t)fd;

	return errno_of(
		bpf_map_update_elem(p->listeners, &slot, &value, BPF_ANY));
}

static long attach_filter(const struct programs *p, int fd)
{
	return errno_of(setsockopt(fd, SOL_SOCKET, SO_ATTACH_BPF, &p->filter,
				   sizeof(p->filter)));
}

static void set_drop(const struct programs *p, uint32_t drop)
{
	uint32_t key = DROP;

	MUST(bpf_map_update_elem(p->state, &key, &drop, BPF_ANY) == 0);
}

static void make(const struct programs *p, int to)
{
	int net = open("/proc/self/ns/net", O_RDONLY);
	struct bpf_link *link = bpf_program__attach_netns(p->steer, net);
	uint16_t port = 0;
	struct made made = { .listener = tcp_listen(&port, false) };

	MUST(link);
	made.attachment = bpf_link__fd(link);
	MUST(put(p, 0, made.listener) == 0);
	MUST(attach_filter(p, made.listener) == 0);
	MUST(write(to, &made, sizeof(made)) == sizeof(made));
	pause();
}

/* Made by another process, which is dead when this returns. */
static struct made inherit(const struct programs *p)
{
	struct made theirs, ours;
	int fds[2], pidfd;
	pid_t pid;

	MUST(pipe(fds) == 0);
	pid = fork();
	if (!pid) {
		make(p, fds[1]);
		_exit(1);
	}
	MUST(read(fds[0], &theirs, sizeof(theirs)) == sizeof(theirs));
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	ours.listener =
		(int)syscall(SYS_pidfd_getfd, pidfd, theirs.listener, 0);
	ours.attachment =
		(int)syscall(SYS_pidfd_getfd, pidfd, theirs.attachment, 0);
	MUST(ours.listener >= 0 && ours.attachment >= 0);
	MUST(kill(pid, SIGKILL) == 0 && waitpid(pid, NULL, 0) == pid);
	return ours;
}

/* What comes of a connection, and does it wait at that listener? */
static void connection(const char *name, int listener)
{
	int client = tcp_connect(STEERED_PORT), server;

	if (client < 0) {
		say_result(name, client);
		return;
	}
	if (poll_in(listener, 1000)) {
		server = accept(listener, NULL, NULL);
		MUST(server >= 0);
		close(server);
		say(name, "here");
	} else {
		say(name, "elsewhere");
	}
	close(client);
}

int main(void)
{
	struct programs old, new;
	struct made made;
	uint16_t port = 0;
	uint64_t cookie;
	uint32_t slot = 0;
	int another;

	probe_start();
	net_unshare();
	old = load();
	new = load();
	another = tcp_listen(&port, false);
	MUST(put(&new, 0, another) == 0);
	made = inherit(&old);
	connection("steered, who made it was killed", made.listener);
	say_result("put into its slot again", put(&old, 0, made.listener));
	say_result("put into another slot, too", put(&old, 1, made.listener));
	set_drop(&old, 1);
	connection("its filter drops", made.listener);
	say_result("another filter in its place",
		   attach_filter(&new, made.listener));
	connection("after that", made.listener);
	say_result("another program in the attachment",
		   bpf_link_update(made.attachment, bpf_program__fd(new.steer),
				   NULL));
	connection("by that, to the other listener", another);
	close(made.listener);
	say_result(
		"slot, listener closed",
		errno_of(bpf_map_lookup_elem(old.listeners, &slot, &cookie)));
	close(made.attachment);
	connection("attachment closed", another);
	return 0;
}
