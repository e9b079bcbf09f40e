/* sk_lookup with a SOCKMAP, sk_reuseport with its array, and both at once. */
#include "../probe.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef SO_ATTACH_REUSEPORT_EBPF
#define SO_ATTACH_REUSEPORT_EBPF 52
#endif
#define STEERED_PORT 465
#define LISTENERS    2
#define CONNECTIONS  8

struct maps {
	int listeners, group, wishes;
};

static long put(int map, uint32_t key, int fd)
{
	uint64_t value = (uint64_t)fd;

	return errno_of(bpf_map_update_elem(map, &key, &value, BPF_ANY));
}

static void take_out(int map, uint32_t key)
{
	MUST(bpf_map_delete_elem(map, &key) == 0);
}

static void wish(const struct maps *m, uint32_t key, uint32_t value)
{
	MUST(bpf_map_update_elem(m->wishes, &key, &value, BPF_ANY) == 0);
}

/* Connects and accepts at each listener; how many came where, and to what. */
static void connections(const char *name, uint16_t port, const int *fds)
{
	int came[LISTENERS] = { 0 }, client[CONNECTIONS];
	struct sockaddr_in at = { 0 };
	socklen_t len = sizeof(at);

	for (int i = 0; i < CONNECTIONS; i++) {
		client[i] = tcp_connect(port);
		if (client[i] < 0) {
			say_result(name, client[i]);
			return;
		}
	}
	for (int i = 0; i < LISTENERS; i++) {
		int fd;

		if (fds[i] < 0)
			continue;
		MUST(fcntl(fds[i], F_SETFL, O_NONBLOCK) == 0);
		while ((fd = accept(fds[i], NULL, NULL)) >= 0) {
			MUST(getsockname(fd, (struct sockaddr *)&at, &len) ==
			     0);
			came[i]++;
			close(fd);
		}
	}
	say(name, "%d and %d, local port %s", came[0], came[1],
	    ntohs(at.sin_port) == port ? "as asked" : "of the listener");
	for (int i = 0; i < CONNECTIONS; i++)
		close(client[i]);
}

static struct maps maps_of(const struct bpf_object *object)
{
	return (struct maps){
		bpf_object__find_map_fd_by_name(object, "listeners"),
		bpf_object__find_map_fd_by_name(object, "group"),
		bpf_object__find_map_fd_by_name(object, "wishes"),
	};
}

static int program_of(const struct bpf_object *object, const char *name)
{
	return bpf_program__fd(bpf_object__find_program_by_name(object, name));
}

/* Another program, with maps of its own, by a copy of the attachment. */
static void in_its_place(const struct maps *m, int attachment)
{
	struct bpf_object *object = bpf_load("steering.bpf.o");
	struct maps other = maps_of(object);
	int program = program_of(object, "steer"), copy = dup(attachment);
	uint16_t port = 0;
	int fds[LISTENERS];

	for (int i = 0; i < LISTENERS; i++)
		fds[i] = tcp_listen(&port, true);
	MUST(put(m->listeners, 0, fds[0]) == 0);
	MUST(put(other.listeners, 0, fds[1]) == 0);
	wish(&other, 0, STEERED_PORT);
	connections("sk_lookup, before an update", STEERED_PORT, fds);
	say_result("BPF_LINK_UPDATE",
		   errno_of(bpf_link_update(copy, program, NULL)));
	connections("sk_lookup, after it", STEERED_PORT, fds);
	close(attachment);
	connections("sk_lookup, by the copy alone", STEERED_PORT, fds);
	close(copy);
	say_result("sk_lookup, attachment closed", tcp_connect(STEERED_PORT));
	for (int i = 0; i < LISTENERS; i++)
		close(fds[i]);
	bpf_object__close(object);
}

static void by_lookup(const struct maps *m)
{
	uint16_t port = 0;
	int fds[LISTENERS];

	for (int i = 0; i < LISTENERS; i++) {
		fds[i] = tcp_listen(&port, true);
		MUST(put(m->listeners, (uint32_t)i, fds[i]) == 0);
	}
	connections("sk_lookup", STEERED_PORT, fds);
	say_result("another port", tcp_connect(STEERED_PORT + 1));
	close(fds[0]);
	fds[0] = -1;
	connections("sk_lookup, first listener closed", STEERED_PORT, fds);
	close(fds[1]);
	say_result("sk_lookup, all closed", tcp_connect(STEERED_PORT));
}

static void by_group(const struct maps *m, int program)
{
	uint16_t port = 0;
	int fds[LISTENERS];
	char name[64];

	for (int i = 0; i < LISTENERS; i++) {
		fds[i] = tcp_listen(&port, true);
		MUST(put(m->group, (uint32_t)i, fds[i]) == 0);
	}
	MUST(setsockopt(fds[0], SOL_SOCKET, SO_ATTACH_REUSEPORT_EBPF, &program,
			sizeof(program)) == 0);
	for (uint32_t i = 0; i < LISTENERS; i++) {
		wish(m, 1, i);
		snprintf(name, sizeof(name), "sk_reuseport, chosen %u", i);
		connections(name, port, fds);
	}
	say_result("SOCKMAP after REUSEPORT_SOCKARRAY",
		   put(m->listeners, 0, fds[0]));
	for (int i = 0; i < LISTENERS; i++)
		close(fds[i]);
}

static void both_maps(const struct maps *m)
{
	uint16_t port = 0;
	int fd = tcp_listen(&port, true);

	MUST(put(m->listeners, 0, fd) == 0);
	say_result("REUSEPORT_SOCKARRAY after SOCKMAP", put(m->group, 0, fd));
	take_out(m->listeners, 0);
	say_result("once it left the SOCKMAP", put(m->group, 0, fd));
	say_result("there once more", put(m->group, 0, fd));
	close(fd);
}

int main(void)
{
	struct bpf_object *object;
	struct maps m;
	int net, attachment;

	probe_start();
	net_unshare();
	object = bpf_load("steering.bpf.o");
	m = maps_of(object);
	net = open("/proc/self/ns/net", O_RDONLY);
	attachment = bpf_link_create(program_of(object, "steer"), net,
				     BPF_SK_LOOKUP, NULL);
	MUST(attachment >= 0);
	wish(&m, 0, STEERED_PORT);
	by_lookup(&m);
	by_group(&m, program_of(object, "choose"));
	both_maps(&m);
	in_its_place(&m, attachment);
	return 0;
}
