/* How much one splice out of a kTLS socket moves, and when it blocks. */
#include "../probe.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

struct probe {
	struct pair pair;
	int pipe[2];
};

static void begin(struct probe *p)
{
	pair_open_installed(&p->pair, &(struct options){ 0 });
	MUST(pipe(p->pipe) == 0);
}

static void end(struct probe *p)
{
	close(p->pipe[0]);
	close(p->pipe[1]);
	pair_close(&p->pair);
}

static long splice_in(struct probe *p, size_t len, unsigned flags)
{
	return errno_of(
		splice(p->pair.server.fd, NULL, p->pipe[1], NULL, len, flags));
}

static void lengths(void)
{
	static const uint8_t DATA[100000];
	struct probe p;
	uint8_t buffer[1024];
	int n = 0;

	begin(&p);
	end_write(&p.pair.client, DATA, 1000);
	say_result("300 of a record of 1000", splice_in(&p, 300, 0));
	say_result("recv of its rest",
		   recv_now(p.pair.server.fd, buffer, sizeof(buffer)));
	end_write(&p.pair.client, DATA, 32768);
	say_result("65536 of two full records",
		   splice_in(&p, 65536, SPLICE_F_NONBLOCK));
	end(&p);

	begin(&p);
	do
		end_write(&p.pair.client, DATA, RECORD_MAX);
	while (splice_in(&p, 1 << 20, SPLICE_F_NONBLOCK) == RECORD_MAX &&
	       ++n < 40);
	say("full records into a pipe of 16 slots", "%d", n);
	end(&p);
}

static void small_records(void)
{
	static const uint8_t DATA[100];
	struct probe p;
	int n = 0;
	long result;

	begin(&p);
	for (int i = 0; i < 40; i++)
		end_write(&p.pair.client, DATA, sizeof(DATA));
	say_result("1000 of records of 100",
		   splice_in(&p, 1000, SPLICE_F_NONBLOCK));
	do
		result = splice_in(&p, 1000, SPLICE_F_NONBLOCK);
	while (result > 0 && ++n < 40);
	say("records of 100 into a pipe of 16 slots", "%d", n + 1);
	say_result("then", result);
	end(&p);
}

/* Does a call block? SO_RCVTIMEO ends one that does. */
static void blocking(void)
{
	struct timeval limit = { .tv_usec = 300000 };
	struct probe p;
	int fd;

	begin(&p);
	fd = p.pair.server.fd;
	say_result("empty, SPLICE_F_NONBLOCK",
		   splice_in(&p, 100, SPLICE_F_NONBLOCK));
	MUST(fcntl(p.pipe[1], F_SETFL, O_NONBLOCK) == 0);
	say_result("empty, pipe O_NONBLOCK", splice_in(&p, 100, 0));
	MUST(fcntl(p.pipe[1], F_SETFL, 0) == 0);
	MUST(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) ==
	     0);
	for (int i = 0; i < 2; i++) {
		struct timeval before, after, took;
		long result;

		if (i)
			MUST(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
		gettimeofday(&before, NULL);
		result = splice_in(&p, 100, 0);
		gettimeofday(&after, NULL);
		timersub(&after, &before, &took);
		say(i ? "empty, socket O_NONBLOCK" :
			"empty, blocking, SO_RCVTIMEO",
		    "%s %s", result_text(result),
		    took.tv_sec || took.tv_usec > 200000 ? "after the limit" :
							   "at once");
	}
	end(&p);
}

/* A body of records of many sizes goes through pipe and file unchanged. */
static void through(void)
{
	size_t total = 1 << 20, sent = 0, got = 0;
	uint8_t *in = malloc(total), *out = malloc(total);
	int file = open("/dev/shm", O_TMPFILE | O_RDWR, 0600);
	struct probe p;

	MUST(in && out && file >= 0);
	begin(&p);
	for (size_t i = 0; i < total; i++)
		in[i] = (uint8_t)(random() >> 8);
	while (got < total) {
		size_t len = 1 + (size_t)random() % 20000;

		if (len > total - sent)
			len = total - sent;
		if (len)
			end_write(&p.pair.client, in + sent, len);
		for (sent += len; got < sent;) {
			long n = splice_in(&p, sent - got, 0);

			MUST(n > 0);
			MUST(splice(p.pipe[0], NULL, file, NULL, (size_t)n,
				    0) == n);
			got += (size_t)n;
		}
	}
	MUST(pread(file, out, total, 0) == (ssize_t)total);
	say("1 MiB to a file", "%s",
	    memcmp(in, out, total) ? "differs" : "the same");
	MUST(fcntl(file, F_SETFL, O_APPEND) == 0);
	end_write(&p.pair.client, in, 10);
	MUST(splice_in(&p, 10, 0) == 10);
	say_result("pipe to a file with O_APPEND",
		   errno_of(splice(p.pipe[0], NULL, file, NULL, 10, 0)));
	end(&p);
	close(file);
	free(in);
	free(out);
}

static void fin(void)
{
	struct probe p;

	begin(&p);
	shutdown(p.pair.client.fd, SHUT_WR);
	say_result("at FIN without close_notify", splice_in(&p, 100, 0));
	end(&p);
}

int main(void)
{
	probe_start();
	probe_need_tls();
	lengths();
	small_records();
	blocking();
	through();
	fin();
	return 0;
}
