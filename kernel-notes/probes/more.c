/* Records that stay open for more data: who opens them, what ends them. */
#include "../probe.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

static int waiting(int fd, int ms)
{
	int n = 0;

	poll_in(fd, ms);
	MUST(ioctl(fd, FIONREAD, &n) == 0);
	return n;
}

static void more(struct pair *p)
{
	char buffer[64];
	uint64_t before;

	MUST(send(p->server.fd, "one", 3, MSG_MORE) == 3);
	say("arrived after send with MSG_MORE", "%d",
	    waiting(p->client.fd, 300));
	MUST(send(p->server.fd, "two", 3, 0) == 3);
	before = p->client.records[IN];
	end_read(&p->client, buffer, 6);
	say("records for one and two", "%d",
	    (int)(p->client.records[IN] - before));
	MUST(send(p->server.fd, "three", 5, MSG_MORE) == 5);
	MUST(send_record(p->server.fd, SSL3_RT_ALERT, "\1\0", 2) == 2);
	end_read(&p->client, buffer, 5);
	say("a control record pushes the open one", "%.5s", buffer);
}

/* pipe to kTLS with SPLICE_F_MORE, and what ends the record. */
static void splice_more(struct pair *p)
{
	static const char DATA[1000];
	int pipes[2];
	char buffer[2000];

	MUST(pipe(pipes) == 0);
	MUST(write(pipes[1], DATA, 1000) == 1000);
	MUST(splice(pipes[0], NULL, p->server.fd, NULL, 1000, SPLICE_F_MORE) ==
	     1000);
	say("arrived after splice with SPLICE_F_MORE", "%s",
	    waiting(p->client.fd, 300) ? "the record" : "nothing");
	MUST(write(pipes[1], DATA, 100) == 100);
	MUST(splice(pipes[0], NULL, p->server.fd, NULL, 100, 0) == 100);
	end_read(&p->client, buffer, 1100);
	say("a splice without it", "pushes the record");
	close(pipes[0]);
	close(pipes[1]);
}

/* Reads at the client until nothing comes for a while; how much came. */
static size_t drain(struct end *client)
{
	static char buffer[65536];
	size_t total = 0;
	int n;

	MUST(fcntl(client->fd, F_SETFL, O_NONBLOCK) == 0);
	do {
		while ((n = SSL_read(client->ssl, buffer, sizeof(buffer))) > 0)
			total += (size_t)n;
	} while (poll_in(client->fd, 500));
	MUST(fcntl(client->fd, F_SETFL, 0) == 0);
	return total;
}

/*
 * Splices pages into a socket until it takes less than it was given. Then the
 * client reads: does the end of what was taken wait for more?
 */
static void splice_full(struct pair *p)
{
	static const char DATA[65536];
	int pipes[2];
	size_t taken = 0, came;
	long n;

	MUST(pipe2(pipes, O_NONBLOCK) == 0);
	MUST(fcntl(p->server.fd, F_SETFL, O_NONBLOCK) == 0);
	do {
		while (write(pipes[1], DATA, sizeof(DATA)) > 0)
			;
		n = errno_of(splice(pipes[0], NULL, p->server.fd, NULL, 65536,
				    SPLICE_F_NONBLOCK));
		taken += n > 0 ? (size_t)n : 0;
	} while (n == 65536);
	say("splice into a full socket", "%s",
	    n > 0 ? "short" : result_text(n));
	came = drain(&p->client);
	say("of what it took, left behind", "%s",
	    came == taken ? "nothing" : "an open record");
	MUST(fcntl(p->server.fd, F_SETFL, 0) == 0);
	MUST(send(p->server.fd, "x", 1, 0) == 1);
	came += drain(&p->client);
	say("all after the next send", "%s", came == taken + 1 ? "yes" : "no");
	close(pipes[0]);
	close(pipes[1]);
}

static void send_file(struct pair *p)
{
	size_t total = 100000;
	char *in = malloc(total), *out = malloc(total);
	int file = open("/dev/shm", O_TMPFILE | O_RDWR, 0600);

	MUST(in && out && file >= 0);
	for (size_t i = 0; i < total; i++)
		in[i] = (char)(random() >> 8);
	MUST(write(file, in, total) == (ssize_t)total);
	lseek(file, 0, SEEK_SET);
	say_result("sendfile of 100000",
		   errno_of(sendfile(p->server.fd, file, NULL, total)));
	end_read(&p->client, out, total);
	say("sendfile, bytes", "%s",
	    memcmp(in, out, total) ? "differ" : "the same");
	close(file);
	free(in);
	free(out);
}

int main(void)
{
	struct pair p;

	probe_start();
	probe_need_tls();
	pair_open_installed(&p, &(struct options){ 0 });
	splice_more(&p);
	splice_full(&p);
	send_file(&p);
	more(&p); /* ends with close_notify */
	pair_close(&p);
	return 0;
}
