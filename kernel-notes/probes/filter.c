/* A socket filter on a listener: what it sees, who inherits it. */
#include "../probe.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SEEN, DROP, PORT };

static uint32_t get(int map, uint32_t key)
{
	uint32_t value = 0;

	MUST(bpf_map_lookup_elem(map, &key, &value) == 0);
	return value;
}

static void set(int map, uint32_t key, uint32_t value)
{
	MUST(bpf_map_update_elem(map, &key, &value, BPF_ANY) == 0);
}

static long detach(int fd, socklen_t len)
{
	int ignored = 0;

	return errno_of(
		setsockopt(fd, SOL_SOCKET, SO_DETACH_BPF, &ignored, len));
}

/* Does a byte from the peer pass through the filter? */
static bool runs_for(int fd, int peer, int map)
{
	uint32_t before = get(map, SEEN);
	char byte;

	MUST(send(peer, "x", 1, 0) == 1);
	MUST(recv(fd, &byte, 1, 0) == 1);
	return get(map, SEEN) != before;
}

static void inheritance(int listener, uint16_t port, int map)
{
	int client = tcp_connect(port), server = accept(listener, NULL, NULL);

	MUST(client >= 0 && server >= 0);
	say("sees the SYN's TCP header", "%s",
	    get(map, PORT) == port ? "yes" : "no");
	say("runs for an accepted socket", "%s",
	    runs_for(server, client, map) ? "yes" : "no");
	say_result("SO_DETACH_BPF without a value", detach(server, 0));
	say_result("SO_DETACH_BPF", detach(server, sizeof(int)));
	say("runs after that", "%s",
	    runs_for(server, client, map) ? "yes" : "no");
	close(client);
	close(server);
}

static void attach(int listener, const struct bpf_object *object)
{
	int program = bpf_program__fd(
		bpf_object__find_program_by_name(object, "filter"));

	MUST(setsockopt(listener, SOL_SOCKET, SO_ATTACH_BPF, &program,
			sizeof(program)) == 0);
}

/* One that stood before the listener, and another, with a map of its own. */
static void in_its_place(int listener, uint16_t port, int before)
{
	struct bpf_object *object = bpf_load("filter.bpf.o");
	int map = bpf_object__find_map_fd_by_name(object, "state");
	uint32_t seen = get(before, SEEN);

	attach(listener, object);
	close(tcp_connect(port));
	close(accept(listener, NULL, NULL));
	say("attached in another's place, runs", "%s",
	    get(map, SEEN) ? "yes" : "no");
	say("the one before runs", "%s",
	    get(before, SEEN) != seen ? "yes" : "no");
}

static void locked(int listener, uint16_t port)
{
	int on = 1, client, server;

	MUST(setsockopt(listener, SOL_SOCKET, SO_LOCK_FILTER, &on,
			sizeof(on)) == 0);
	client = tcp_connect(port);
	server = accept(listener, NULL, NULL);
	MUST(client >= 0 && server >= 0);
	say_result("SO_DETACH_BPF below SO_LOCK_FILTER",
		   detach(server, sizeof(int)));
	close(client);
	close(server);
}

int main(void)
{
	struct bpf_object *object;
	uint16_t port = 0;
	int listener, map;

	probe_start();
	net_unshare();
	object = bpf_load("filter.bpf.o");
	map = bpf_object__find_map_fd_by_name(object, "state");
	listener = tcp_listen(&port, false);
	attach(listener, object);
	inheritance(listener, port, map);
	set(map, DROP, 1);
	say_result("connect, SYN dropped", tcp_connect(port));
	set(map, DROP, 0);
	in_its_place(listener, port, map);
	locked(listener, port);
	return 0;
}
