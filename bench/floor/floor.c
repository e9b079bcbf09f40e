/*
 * What plain C costs: an epoll loop over OpenSSL on each processor that takes
 * mail and discards it (--discard), or appends it to a log and acknowledges
 * when one fdatasync has made all of the turn's messages durable (--log DIR).
 * It has none of a mail server's duties; a server that costs as little does
 * its duties for nothing.
 *
 *     floor --discard | --log DIR  ADDRESS PORT CHAIN KEY [PROCESSES]
 *
 * Prints "ready" and serves until it is killed.
 */
#include "log.h"
#include "peer.h"

#include <arpa/inet.h>
#include <err.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define EVENTS  256
#define BACKLOG 4096

struct options {
	const char *log_folder; /* NULL: discard */
	const char *address;
	const char *port;
	const char *chain;
	const char *key;
	int processes;
};

static int usage(void)
{
	fprintf(stderr, "usage: floor --discard | --log DIR ADDRESS PORT CHAIN "
			"KEY [PROCESSES]\n");
	return 2;
}

static bool parse(struct options *options, int argc, char **argv)
{
	int at = 1;

	if (argc > 1 && !strcmp(argv[1], "--discard"))
		at = 2;
	else if (argc > 2 && !strcmp(argv[1], "--log"))
		at = 3;
	options->log_folder = at == 3 ? argv[2] : NULL;
	if (at == 1 || argc - at < 4 || argc - at > 5)
		return false;
	options->address = argv[at];
	options->port = argv[at + 1];
	options->chain = argv[at + 2];
	options->key = argv[at + 3];
	options->processes = argc - at == 5 ?
				     (int)strtol(argv[at + 4], NULL, 10) :
				     (int)sysconf(_SC_NPROCESSORS_ONLN);
	return options->processes > 0;
}

static int open_listener(const struct options *options)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	long port = strtol(options->port, NULL, 10);
	int on = 1;
	int fd;

	address.sin_port = htons((uint16_t)port);
	if (port <= 0 || port > UINT16_MAX ||
	    inet_pton(AF_INET, options->address, &address.sin_addr) != 1)
		errx(2, "not an address and a port: %s %s", options->address,
		     options->port);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) ||
	    bind(fd, (struct sockaddr *)&address, sizeof(address)) ||
	    listen(fd, BACKLOG))
		err(1, "listen on port %ld", port);
	return fd;
}

static SSL_CTX *open_tls(const struct options *options)
{
	SSL_CTX *tls = SSL_CTX_new(TLS_server_method());

	if (!tls ||
	    SSL_CTX_use_certificate_chain_file(tls, options->chain) != 1 ||
	    SSL_CTX_use_PrivateKey_file(tls, options->key, SSL_FILETYPE_PEM) !=
		    1)
		errx(1, "cannot use %s and %s", options->chain, options->key);
	SSL_CTX_set_min_proto_version(tls, TLS1_2_VERSION);
	SSL_CTX_set_mode(tls, SSL_MODE_ENABLE_PARTIAL_WRITE |
				      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_read_ahead(tls, 1);
	return tls;
}

static void accept_all(int epoll, int listener, SSL_CTX *tls)
{
	for (;;) {
		/* cppcheck-suppress nullPointer ; nobody asks who it is */
		int fd = accept4(listener, NULL, NULL,
				 SOCK_NONBLOCK | SOCK_CLOEXEC);
		int on = 1;

		if (fd < 0)
			return;
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		if (!peer_open(tls, fd, epoll))
			close(fd);
	}
}

/* Those whose last message is in the log wait for the sync, linked. */
static void serve(int listener, SSL_CTX *tls, struct log *log)
{
	struct epoll_event events[EVENTS];
	struct epoll_event event = { .events = EPOLLIN };
	int epoll = epoll_create1(EPOLL_CLOEXEC);

	if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event))
		err(1, "epoll");
	for (;;) {
		struct peer *waiting = NULL;
		int n = epoll_wait(epoll, events, EVENTS, -1);

		for (int i = 0; i < n; i++) {
			if (events[i].data.ptr)
				peer_pump(events[i].data.ptr, log, &waiting);
			else
				accept_all(epoll, listener, tls);
		}
		while (waiting) {
			struct peer *due = waiting;

			log_sync(log);
			waiting = NULL;
			peer_release(due, log, &waiting);
		}
	}
}

static void work(const struct options *options, SSL_CTX *tls, int number)
{
	struct log log = { .fd = -1 };
	int listener = open_listener(options);

	if (options->log_folder && !log_open(&log, options->log_folder, number))
		err(1, "log in %s", options->log_folder);
	serve(listener, tls, &log);
}

int main(int argc, char **argv)
{
	struct options options;
	SSL_CTX *tls;

	if (!parse(&options, argc, argv))
		return usage();
	signal(SIGPIPE, SIG_IGN);
	tls = open_tls(&options);
	for (int i = 0; i < options.processes; i++) {
		pid_t child = fork();

		if (child < 0)
			err(1, "fork");
		if (child == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			work(&options, tls, i);
		}
	}
	printf("ready\n");
	fflush(stdout);
	wait(NULL);
	return 1;
}
