/*
 * A record that is no data: what recv, splice and io_uring's receives make of
 * it. The client sends 100 bytes, then close_notify.
 */
#include "../probe.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/tls.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BUFFER_N    8
#define BUFFER_SIZE 1024

static void open_with_alert(struct pair *p)
{
	uint8_t data[100] = { 0 };

	pair_open_installed(p, &(struct options){ 0 });
	end_write(&p->client, data, sizeof(data));
	SSL_shutdown(p->client.ssl);
}

static void by_recv(void)
{
	struct pair p;
	uint8_t buffer[1024], type;
	long n;

	open_with_alert(&p);
	say_result("recv", recv_now(p.server.fd, buffer, sizeof(buffer)));
	say_result("recv of the alert", recv_now(p.server.fd, buffer, 64));
	say_result("recv again", recv_now(p.server.fd, buffer, 64));
	say("poll", "%s", poll_in(p.server.fd, 0) & POLLIN ? "POLLIN" : "0");
	n = recv_record(p.server.fd, &type, buffer, sizeof(buffer));
	say("recvmsg", "%ld of type %d, bytes %02x %02x", n, type, buffer[0],
	    buffer[1]);
	send_record(p.server.fd, SSL3_RT_ALERT, "\1\0", 2);
	say_result("send after our close_notify",
		   errno_of(send(p.server.fd, "x", 1, 0)));
	pair_close(&p);
}

static void by_splice(void)
{
	struct pair p;
	int pipes[2];

	open_with_alert(&p);
	MUST(pipe(pipes) == 0);
	for (int i = 0; i < 3; i++) {
		static const char *const NAMES[] = { "splice",
						     "splice of the alert",
						     "splice again" };
		say_result(NAMES[i],
			   errno_of(splice(p.server.fd, NULL, pipes[1], NULL,
					   65536, SPLICE_F_NONBLOCK)));
	}
	close(pipes[0]);
	close(pipes[1]);
	pair_close(&p);
}

static struct io_uring_buf_ring *give_buffers(struct io_uring *ring,
					      uint8_t *memory)
{
	struct io_uring_buf_ring *br;
	struct io_uring_buf_reg reg = { .ring_entries = BUFFER_N };

	MUST(posix_memalign((void **)&br, 4096, 4096) == 0);
	memset(br, 0, 4096);
	reg.ring_addr = (uint64_t)(uintptr_t)br;
	MUST(io_uring_register_buf_ring(ring, &reg, 0) == 0);
	for (int i = 0; i < BUFFER_N; i++)
		io_uring_buf_ring_add(br, memory + i * BUFFER_SIZE, BUFFER_SIZE,
				      (unsigned short)i, BUFFER_N - 1, i);
	io_uring_buf_ring_advance(br, BUFFER_N);
	return br;
}

static struct io_uring_sqe *multishot(struct io_uring *ring)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

	MUST(sqe);
	return sqe;
}

static void by_multishot_recv(struct io_uring *ring)
{
	struct pair p;
	struct io_uring_sqe *sqe = multishot(ring);
	unsigned flags;
	int n;

	open_with_alert(&p);
	io_uring_prep_recv_multishot(sqe, p.server.fd, NULL, 0, 0);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	n = ring_wait(ring, 5000, &flags);
	say("multishot recv", "%s, more %d", result_text(n),
	    (flags & IORING_CQE_F_MORE) != 0);
	n = ring_wait(ring, 5000, &flags);
	say("multishot recv of the alert", "%s, more %d", result_text(n),
	    (flags & IORING_CQE_F_MORE) != 0);
	pair_close(&p);
}

static int record_type(struct msghdr *m, uint8_t *buffer, int len)
{
	struct io_uring_recvmsg_out *out =
		io_uring_recvmsg_validate(buffer, len, m);
	struct cmsghdr *c;

	MUST(out);
	c = io_uring_recvmsg_cmsg_firsthdr(out, m);
	return c && c->cmsg_level == SOL_TLS ? *CMSG_DATA(c) : 0;
}

static void by_multishot_recvmsg(struct io_uring *ring, uint8_t *memory)
{
	static const char *const NAMES[] = { "multishot recvmsg",
					     "multishot recvmsg of the alert" };
	struct msghdr m = { .msg_controllen = CMSG_SPACE(1) };
	struct io_uring_sqe *sqe = multishot(ring);
	struct pair p;
	unsigned flags;

	open_with_alert(&p);
	io_uring_prep_recvmsg_multishot(sqe, p.server.fd, &m, 0);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	for (int i = 0; i < 2; i++) {
		int n = ring_wait(ring, 5000, &flags);
		uint8_t *at = memory +
			      (flags >> IORING_CQE_BUFFER_SHIFT) * BUFFER_SIZE;

		MUST(n > 0);
		say(NAMES[i], "%d of type %d, more %d",
		    (int)io_uring_recvmsg_payload_length(
			    io_uring_recvmsg_validate(at, n, &m), n, &m),
		    record_type(&m, at, n), (flags & IORING_CQE_F_MORE) != 0);
	}
	pair_close(&p);
}

/* The stream ends without close_notify, between records and inside one. */
static void truncation(void)
{
	struct pair p;
	uint8_t buffer[256] = { 0 }, record[256];

	pair_open_installed(&p, &(struct options){ 0 });
	shutdown(p.client.fd, SHUT_WR);
	say_result("recv, FIN between records",
		   recv(p.server.fd, buffer, 64, 0));
	pair_close(&p);

	pair_open_installed(&p, &(struct options){ 0 });
	MUST(end_seal(&p.client, buffer, 100, record) > 60);
	MUST(send(p.client.fd, record, 60, 0) == 60);
	shutdown(p.client.fd, SHUT_WR);
	say_result("recv, FIN inside a record",
		   recv(p.server.fd, buffer, 64, 0));
	pair_close(&p);
}

static void other_receives(void)
{
	struct pair p;
	uint8_t buffer[512] = { 0 };

	pair_open_installed(&p, &(struct options){ 0 });
	end_write(&p.client, buffer, 100);
	end_write(&p.client, buffer, 200);
	say_result("two records, recv with MSG_PEEK",
		   errno_of(recv(p.server.fd, buffer, 512, MSG_PEEK)));
	say_result("two records, recv",
		   recv_now(p.server.fd, buffer, sizeof(buffer)));
	end_write(&p.client, buffer, 100);
	say_result("recv with MSG_TRUNC into NULL",
		   errno_of(recv(p.server.fd, NULL, 50, MSG_TRUNC)));
	pair_close(&p);
}

int main(void)
{
	struct io_uring ring;
	uint8_t *memory = malloc(BUFFER_N * BUFFER_SIZE);

	probe_start();
	probe_need_tls();
	MUST(memory && io_uring_queue_init(8, &ring, 0) == 0);
	give_buffers(&ring, memory);
	by_recv();
	by_splice();
	by_multishot_recv(&ring);
	by_multishot_recvmsg(&ring, memory);
	truncation();
	other_receives();
	return 0;
}
