/* sendfile into a kTLS socket that is O_NONBLOCK: room, ends, what is left. */
#include "../probe.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#define FILE_BYTES (16u << 20)

static uint8_t *bytes; /* of the file */

static int open_file(void)
{
	int file = open("/dev/shm", O_TMPFILE | O_RDWR, 0600);
	uint32_t random = 1;

	bytes = malloc(FILE_BYTES);
	MUST(file >= 0 && bytes);
	for (size_t i = 0; i < FILE_BYTES; i++) {
		random = random * 1664525 + 1013904223;
		bytes[i] = (uint8_t)(random >> 24);
	}
	MUST(write(file, bytes, FILE_BYTES) == FILE_BYTES);
	return file;
}

/* Reads what there is at the client, as the file has it from `at` on. */
static size_t read_some(struct end *client, size_t at, bool *same)
{
	static uint8_t got[65536];
	size_t total = 0;
	int n;

	while ((n = SSL_read(client->ssl, got, sizeof(got))) > 0) {
		*same = *same && !memcmp(got, bytes + at + total, (size_t)n);
		total += (size_t)n;
	}
	return total;
}

static const char *room(struct io_uring *ring, unsigned ms)
{
	return ring_wait(ring, ms, NULL) >= 0 ? "told" : "nothing";
}

static void ask_for_room(struct io_uring *ring, int fd)
{
	io_uring_prep_poll_add(io_uring_get_sqe(ring), fd, POLLOUT);
}

/* Fills the socket; bytes that it took. */
static size_t fill(int fd, int file)
{
	off_t at = 0;
	long n = errno_of(sendfile(fd, file, &at, FILE_BYTES));

	say("sendfile of 16 MiB, nobody reads", "%s",
	    n > 0 && n < FILE_BYTES ? "short" : result_text(n));
	say("the offset afterwards", "%s", at == n ? "what was sent" : "other");
	n = errno_of(sendfile(fd, file, &at, FILE_BYTES));
	say_result("sendfile into a full socket", n);
	return (size_t)at;
}

/* What it took comes whole, without another call. */
static size_t read_all_taken(struct end *client, size_t taken, bool *same)
{
	size_t came = 0;

	do
		came += read_some(client, came, same);
	while (came < taken && poll_in(client->fd, 1000));
	say("of what it took, left behind", "%s",
	    came == taken ? "nothing" : "an open record");
	return came;
}

static void send_the_rest(struct pair *p, int file, size_t at, size_t came,
			  bool *same)
{
	off_t from = (off_t)at;
	long n;

	while ((size_t)from < FILE_BYTES) {
		n = errno_of(sendfile(p->server.fd, file, &from,
				      FILE_BYTES - (size_t)from));
		MUST(n > 0 || n == -EAGAIN);
		came += read_some(&p->client, came, same);
	}
	while (came < FILE_BYTES && poll_in(p->client.fd, 1000))
		came += read_some(&p->client, came, same);
	say("the rest, in pieces", "%s", came == FILE_BYTES ? "all" : "short");
	say("bytes", "%s", *same ? "the same" : "differ");
}

/* Where the file ends before what was asked for. */
static void past_the_end(struct pair *p, int file)
{
	uint8_t got[10];
	off_t from = FILE_BYTES - 10;

	say_result("1000 of a file's last 10",
		   errno_of(sendfile(p->server.fd, file, &from, 1000)));
	say("they come without another call", "%s",
	    poll_in(p->client.fd, 1000) &&
			    SSL_read(p->client.ssl, got, 10) == 10 ?
		    "yes" :
		    "no");
	say_result("at its end",
		   errno_of(sendfile(p->server.fd, file, &from, 1000)));
}

int main(void)
{
	struct pair p;
	struct io_uring ring;
	bool same = true;
	int file = open_file();
	size_t taken, came;

	probe_start();
	probe_need_tls();
	MUST(io_uring_queue_init(8, &ring, 0) == 0);
	pair_open_installed(&p, &(struct options){ 0 });
	MUST(fcntl(p.server.fd, F_SETFL, O_NONBLOCK) == 0);
	MUST(fcntl(p.client.fd, F_SETFL, O_NONBLOCK) == 0);
	taken = fill(p.server.fd, file);
	ask_for_room(&ring, p.server.fd);
	say("POLL_ADD for room, nobody reads", "%s", room(&ring, 300));
	came = read_all_taken(&p.client, taken, &same);
	say("POLL_ADD for room, all is read", "%s", room(&ring, 5000));
	send_the_rest(&p, file, taken, came, &same);
	past_the_end(&p, file);
	pair_close(&p);
	return 0;
}
