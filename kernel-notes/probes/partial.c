/* Half a record is there: what poll, recv, splice and io_uring say of it. */
#include "../probe.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

int main(void)
{
	struct pair p;
	struct io_uring ring;
	struct io_uring_sqe *sqe;
	uint8_t buffer[1024] = { 0 }, record[1024];
	int pipes[2], revents;
	size_t len;

	probe_start();
	probe_need_tls();
	MUST(pipe(pipes) == 0 && io_uring_queue_init(8, &ring, 0) == 0);
	pair_open_installed(&p, &(struct options){ 0 });
	len = end_seal(&p.client, buffer, 500, record);
	MUST(send(p.client.fd, record, len / 2, 0) == (ssize_t)(len / 2));
	usleep(100000);

	revents = poll_in(p.server.fd, 100);
	say("poll", "%s", revents & POLLIN ? "POLLIN" : "nothing");
	say_result("recv", recv_now(p.server.fd, buffer, sizeof(buffer)));
	say_result("splice", errno_of(splice(p.server.fd, NULL, pipes[1], NULL,
					     65536, SPLICE_F_NONBLOCK)));
	revents = poll_in(p.server.fd, 100);
	say("poll after that", "%s", revents & POLLIN ? "POLLIN" : "nothing");

	sqe = io_uring_get_sqe(&ring);
	io_uring_prep_recv(sqe, p.server.fd, buffer, sizeof(buffer), 0);
	say_result("RECV within 500 ms", ring_wait(&ring, 500, NULL));
	MUST(send(p.client.fd, record + len / 2, len - len / 2, 0) > 0);
	say_result("RECV once the rest came", ring_wait(&ring, 5000, NULL));
	return 0;
}
