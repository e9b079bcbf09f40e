/*
 * A receive that waits for more than is there, and a look that takes nothing:
 * what io_uring makes of them on a kTLS socket.
 */
#include "../probe.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#define WANTED 1000
#define CAME   500

static uint8_t buffer[WANTED];

static void arm(struct io_uring *ring, int fd, size_t n, int flags)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

	io_uring_prep_recv(sqe, fd, buffer, n, flags);
	io_uring_sqe_set_data64(sqe, 1);
}

/* A receive that waits for all, and half of it is there. */
static void open_half(struct pair *p, struct io_uring *ring)
{
	uint8_t data[CAME] = { 0 };

	pair_open_installed(p, &(struct options){ 0 });
	arm(ring, p->server.fd, WANTED, MSG_WAITALL);
	MUST(ring_wait(ring, 50, NULL) < 0);
	end_write(&p->client, data, sizeof(data));
}

static void cancelled(struct io_uring *ring)
{
	struct io_uring_sqe *sqe;
	struct pair p;

	open_half(&p, ring);
	say_result("half is there", ring_wait(ring, 300, NULL));
	sqe = io_uring_get_sqe(ring);
	io_uring_prep_cancel64(sqe, 1, 0);
	io_uring_sqe_set_flags(sqe, IOSQE_CQE_SKIP_SUCCESS);
	say_result("cancelled", ring_wait(ring, 1000, NULL));
	pair_close(&p);
}

static void ended(struct io_uring *ring)
{
	struct pair p;

	open_half(&p, ring);
	SSL_shutdown(p.client.ssl);
	say_result("alert behind it", ring_wait(ring, 1000, NULL));
	arm(ring, p.server.fd, WANTED, MSG_WAITALL);
	say_result("then", ring_wait(ring, 1000, NULL));
	pair_close(&p);
	open_half(&p, ring);
	MUST(shutdown(p.client.fd, SHUT_WR) == 0);
	say_result("FIN behind it", ring_wait(ring, 1000, NULL));
	pair_close(&p);
}

static void looked(struct io_uring *ring)
{
	uint8_t data[CAME] = { 0 };
	struct pair p;
	int pipes[2];

	MUST(pipe(pipes) == 0);
	pair_open_installed(&p, &(struct options){ 0 });
	arm(ring, p.server.fd, 1, MSG_PEEK);
	say_result("look, nothing there", ring_wait(ring, 300, NULL));
	end_write(&p.client, data, sizeof(data));
	say_result("look", ring_wait(ring, 1000, NULL));
	say_result("splice behind a look",
		   errno_of(splice(p.server.fd, NULL, pipes[1], NULL, 65536,
				   SPLICE_F_NONBLOCK)));
	arm(ring, p.server.fd, 1, MSG_PEEK);
	SSL_shutdown(p.client.ssl);
	say_result("look at an alert", ring_wait(ring, 1000, NULL));
	pair_close(&p);
}

int main(void)
{
	struct io_uring ring;

	probe_start();
	probe_need_tls();
	MUST(io_uring_queue_init(8, &ring, 0) == 0);
	cancelled(&ring);
	ended(&ring);
	looked(&ring);
	return 0;
}
