/* Sending without a copy: refused, or an option without effect in software. */
#include "../probe.h"

#include <errno.h>
#include <linux/tls.h>
#include <sys/socket.h>

static void zero_copy(struct pair *p)
{
	struct io_uring ring;
	struct io_uring_sqe *sqe;
	unsigned flags;
	int on = 1, n;

	MUST(io_uring_queue_init(8, &ring, 0) == 0);
	sqe = io_uring_get_sqe(&ring);
	io_uring_prep_send_zc(sqe, p->server.fd, "hello", 5, 0, 0);
	n = ring_wait(&ring, 5000, &flags);
	say("SEND_ZC", "%s, more %d", result_text(n),
	    (flags & IORING_CQE_F_MORE) != 0);
	if (flags & IORING_CQE_F_MORE) {
		ring_wait(&ring, 5000, &flags);
		say("SEND_ZC, second completion", "notification %d",
		    (flags & IORING_CQE_F_NOTIF) != 0);
	}
	setsockopt(p->server.fd, SOL_SOCKET, SO_ZEROCOPY, &on, sizeof(on));
	say_result("send with MSG_ZEROCOPY",
		   errno_of(send(p->server.fd, "hello", 5, MSG_ZEROCOPY)));
	io_uring_queue_exit(&ring);
}

#ifndef TLS_TX_ZEROCOPY_RO
#define TLS_TX_ZEROCOPY_RO 3
#endif
#define TX_MAX_PAYLOAD_LEN 5 /* newer than Debian 12's headers */

static void options(struct pair *p)
{
	int on = 1;
	uint16_t len = 1024;

	say_result("TLS_TX_ZEROCOPY_RO",
		   errno_of(setsockopt(p->server.fd, SOL_TLS,
				       TLS_TX_ZEROCOPY_RO, &on, sizeof(on))));
	say_result("TLS_TX_MAX_PAYLOAD_LEN",
		   errno_of(setsockopt(p->server.fd, SOL_TLS,
				       TX_MAX_PAYLOAD_LEN, &len, sizeof(len))));
}

int main(void)
{
	struct pair p;

	probe_start();
	probe_need_tls();
	pair_open_installed(&p, &(struct options){ 0 });
	zero_copy(&p);
	options(&p);
	pair_close(&p);
	return 0;
}
