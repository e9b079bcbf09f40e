#include "relaysink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

uint64_t relaysink_sum(struct span s)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < s.len; i++)
		sum += s.p[i];
	return sum;
}

/* FNV-1a */
uint64_t relaysink_hash(uint64_t before, struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		before = (before ^ s.p[i]) * 1099511628211ull;
	return before;
}

static bool sink_begins_chunk(uint64_t before, uint64_t after)
{
	return before / RELAYSINK_SLOW_BYTES != after / RELAYSINK_SLOW_BYTES;
}

static void sink_take(struct relaysink *k, struct span line)
{
	uint64_t before = k->body_bytes;

	k->body_bytes += line.len;
	k->body_sum += relaysink_sum(line);
	k->body_hash = relaysink_hash(k->body_hash, line);
	if (k->dies_at && k->body_bytes >= k->dies_at)
		_exit(1); /* with bytes unread: a reset */
	while (k->stuck)
		(void)usleep(1000);
	if (k->slow && sink_begins_chunk(before, k->body_bytes))
		(void)usleep(2000);
}

static void sink_data(struct relaysink *k, FILE *in)
{
	char *line = NULL;
	size_t room = 0;
	ssize_t n;

	while ((n = getline(&line, &room, in)) > 0 && strcmp(line, ".\r\n"))
		sink_take(k, span_of((uint8_t *)line + (line[0] == '.'),
				     (size_t)n - (line[0] == '.')));
	free(line);
	if (n <= 0)
		_exit(1); /* cut off: never a message */
}

static void sink_bdat(struct relaysink *k, FILE *in, size_t n)
{
	uint8_t bytes[16384];

	while (n) {
		size_t some = n < sizeof(bytes) ? n : sizeof(bytes);

		some = fread(bytes, 1, some, in);
		if (!some)
			_exit(1); /* cut off: never a message */
		sink_take(k, span_of(bytes, some));
		n -= some;
	}
}

static uint32_t accepted_n; /* recipients of the open transaction */

/* A recipient that begins with three digits gets them as the reply. */
static void sink_rcpt(struct relaysink *k, FILE *out, const char *line)
{
	int code = 250;

	(void)sscanf(line, "RCPT TO:<%3d", &code);
	if (code == 250) {
		k->recipients++;
		accepted_n++;
	}
	fprintf(out, "%d %d.1.1 recipient\r\n", code, code / 100);
}

/* The body was heard. False: the talk is over. */
static bool sink_end_body(struct relaysink *k, FILE *out)
{
	if (k->silent_after_body)
		return false;
	k->messages += accepted_n != 0;
	fprintf(out, accepted_n ? "250 2.0.0 queued\r\n" :
				  "554 5.5.1 nobody accepted it\r\n");
	accepted_n = 0;
	return true;
}

/* False: the talk is over. */
static bool sink_command(struct relaysink *k, FILE *in, FILE *out, char *line)
{
	unsigned long n;

	if (!strncmp(line, "EHLO", 4)) {
		fprintf(out, "%s", k->hello);
	} else if (!strncmp(line, "RCPT", 4)) {
		sink_rcpt(k, out, line);
	} else if (!strncmp(line, "DATA", 4) && !accepted_n) {
		fprintf(out, "554 5.5.1 nobody accepted it\r\n");
	} else if (!strncmp(line, "DATA", 4)) {
		k->body_hash = RELAYSINK_HASH;
		fprintf(out, "354 go\r\n");
		(void)fflush(out);
		sink_data(k, in);
		return sink_end_body(k, out);
	} else if (sscanf(line, "BDAT %lu LAST", &n) == 1) {
		k->body_hash = RELAYSINK_HASH;
		sink_bdat(k, in, n);
		return sink_end_body(k, out);
	} else if (!strncmp(line, "QUIT", 4)) {
		fprintf(out, "221 bye\r\n");
		return false;
	} else {
		fprintf(out, "250 ok\r\n");
	}
	return true;
}

static ssize_t sink_read(void *ssl, char *p, size_t n)
{
	return SSL_read(ssl, p, (int)n);
}

static ssize_t sink_write(void *ssl, const char *p, size_t n)
{
	return SSL_write(ssl, p, (int)n);
}

struct sink_end {
	FILE *in, *out;
};

static struct sink_end sink_secure(struct relaysink *k, int fd)
{
	const cookie_io_functions_t functions = { .read = sink_read,
						  .write = sink_write };
	struct sink_end end = { NULL, NULL };
	SSL *ssl = SSL_new(k->tls);

	(void)SSL_set_fd(ssl, fd);
	if (SSL_accept(ssl) != 1)
		return end;
	k->secure++;
	end.in = fopencookie(ssl, "r", functions);
	end.out = fopencookie(ssl, "w", functions);
	return end;
}

/* Until the end of the talk; true when STARTTLS was asked for. */
static bool sink_lines(struct relaysink *k, struct sink_end *end)
{
	char *line = NULL;
	size_t room = 0;

	while (getline(&line, &room, end->in) > 0) {
		if (!strncmp(line, "STARTTLS", 8)) {
			fprintf(end->out, "220 go\r\n");
			(void)fflush(end->out);
			return true;
		}
		if (!sink_command(k, end->in, end->out, line))
			break;
		(void)fflush(end->out);
	}
	(void)fflush(end->out);
	return false;
}

static void sink_talk(struct relaysink *k, int fd)
{
	struct sink_end end = { fdopen(fd, "r"), fdopen(dup(fd), "w") };
	const int room = RELAYSINK_SLOW_BYTES;

	if (k->slow)
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room,
				 sizeof(room));
	k->connections++;
	if (k->implicit)
		end = sink_secure(k, fd);
	for (uint32_t ms = 0; k->mute && ms < 60000; ms++)
		(void)usleep(1000);
	if (!end.in)
		return;
	fprintf(end.out, k->busy ? "421 busy\r\n" : "220 sink\r\n");
	(void)fflush(end.out);
	if (k->busy || !sink_lines(k, &end))
		return;
	end = sink_secure(k, fd);
	if (end.in)
		(void)sink_lines(k, &end);
}

/* Serves each connection in a process of its own, until it is killed. */
static pid_t sink_start(struct relaysink *k, int listener)
{
	pid_t pid = fork();
	int fd;

	if (pid)
		return pid;
	(void)signal(SIGCHLD, SIG_IGN);
	while ((fd = accept(listener, NULL, NULL)) >= 0) {
		if (!fork()) {
			sink_talk(k, fd);
			_exit(0);
		}
		(void)close(fd);
	}
	_exit(1);
}

struct relaysink *relaysink_open(struct relayworld *w, const char *hello,
				 pid_t *ret, SSL_CTX *tls, bool implicit)
{
	struct relaysink *k = (void *)relayworld_shared_memory(sizeof(*k));
	struct sockaddr_in in = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(in);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct config_route *route;

	assert_return_code(bind(fd, (struct sockaddr *)&in, len), errno);
	assert_return_code(listen(fd, 16), errno);
	assert_return_code(getsockname(fd, (struct sockaddr *)&in, &len),
			   errno);
	k->hello = hello;
	k->tls = tls;
	k->implicit = implicit;
	relayworld_add_route(w, implicit ? CONFIG_HOP_SMTPS : CONFIG_HOP_SMTP,
			     NULL);
	route = &w->config.routes[w->config.routes_n - 1];
	route->host = "127.0.0.1";
	route->port = ntohs(in.sin_port);
	route->tls = tls ? CONFIG_HOP_TLS_VERIFY : CONFIG_HOP_TLS_NONE;
	route->tls_name = "mx.example";
	*ret = sink_start(k, fd);
	(void)close(fd);
	return k;
}

void relaysink_close(pid_t pid)
{
	int status;

	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, &status, 0);
}
