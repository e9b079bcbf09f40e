/* Ending an io_uring SPLICE that waits for records that do not come. */
#include "../probe.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define SPLICE_TAG 1
#define OTHER_TAG  2
#define LONG_MS    2500

struct probe {
	struct pair pair;
	struct io_uring ring;
	int pipe[2];
};

static void begin(struct probe *p)
{
	pair_open_installed(&p->pair, &(struct options){ 0 });
	MUST(pipe(p->pipe) == 0);
	MUST(io_uring_queue_init(8, &p->ring, 0) == 0);
}

static struct io_uring_sqe *add(struct probe *p, uint64_t tag)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&p->ring);

	MUST(sqe);
	sqe->user_data = tag;
	return sqe;
}

static struct io_uring_sqe *add_splice(struct probe *p)
{
	struct io_uring_sqe *sqe = add(p, SPLICE_TAG);

	io_uring_prep_splice(sqe, p->pair.server.fd, -1, p->pipe[1], -1, 65536,
			     0);
	sqe->user_data = SPLICE_TAG;
	return sqe;
}

/* Waits for `n` results: the splice's, the other operation's; -ETIME: none. */
static void harvest(struct probe *p, int n, int *splice_result, int *other)
{
	struct __kernel_timespec t = { .tv_sec = LONG_MS / 1000,
				       .tv_nsec = LONG_MS % 1000 * 1000000 };
	struct io_uring_cqe *cqe;

	*splice_result = *other = -ETIME;
	for (int i = 0; i < n; i++) {
		if (io_uring_wait_cqe_timeout(&p->ring, &cqe, &t) < 0)
			break;
		if (cqe->user_data == SPLICE_TAG)
			*splice_result = cqe->res;
		else
			*other = cqe->res;
		io_uring_cqe_seen(&p->ring, cqe);
	}
}

/* Without this an operation that never ends would keep the process. */
static void end(struct probe *p)
{
	shutdown(p->pair.server.fd, SHUT_RDWR);
	io_uring_queue_exit(&p->ring);
	close(p->pipe[0]);
	close(p->pipe[1]);
	pair_close(&p->pair);
}

static void start(struct probe *p)
{
	add_splice(p);
	MUST(io_uring_submit(&p->ring) == 1);
	usleep(200000); /* until the worker sleeps in it */
}

static void by_cancel(void)
{
	struct probe p;
	struct io_uring_sqe *sqe;
	int result, other;

	begin(&p);
	start(&p);
	sqe = add(&p, OTHER_TAG);
	io_uring_prep_cancel64(sqe, SPLICE_TAG, 0);
	sqe->user_data = OTHER_TAG;
	MUST(io_uring_submit(&p.ring) == 1);
	harvest(&p, 2, &result, &other);
	say_result("ASYNC_CANCEL, splice", result);
	say_result("ASYNC_CANCEL, cancel", other);
	end(&p);
}

static void by_link_timeout(void)
{
	struct __kernel_timespec t = { .tv_nsec = 300000000 };
	struct probe p;
	struct io_uring_sqe *sqe;
	int result, other;

	begin(&p);
	add_splice(&p)->flags |= IOSQE_IO_LINK;
	sqe = add(&p, OTHER_TAG);
	io_uring_prep_link_timeout(sqe, &t, 0);
	sqe->user_data = OTHER_TAG;
	MUST(io_uring_submit(&p.ring) == 2);
	harvest(&p, 2, &result, &other);
	say("LINK_TIMEOUT", "%s",
	    result == -ETIME ? "does not end it" : "ends it");
	end(&p);
}

static void by_shutdown(void)
{
	struct probe p;
	int result, other;

	begin(&p);
	start(&p);
	shutdown(p.pair.server.fd, SHUT_RD);
	harvest(&p, 1, &result, &other);
	say_result("shutdown, splice", result);
	end(&p);
}

static void by_timeout(void)
{
	struct timeval limit = { .tv_usec = 300000 };
	struct probe p;
	int result, other;

	begin(&p);
	MUST(setsockopt(p.pair.server.fd, SOL_SOCKET, SO_RCVTIMEO, &limit,
			sizeof(limit)) == 0);
	start(&p);
	harvest(&p, 1, &result, &other);
	say_result("SO_RCVTIMEO, splice", result);
	end(&p);
}

/* A process dies with the operation under way: does its end wait for it? */
static void by_exit(void)
{
	pid_t child = fork();
	struct probe p;
	int status;

	MUST(child >= 0);
	if (!child) {
		begin(&p);
		start(&p);
		raise(SIGKILL);
	}
	for (int i = 0; i < 100; i++) {
		if (waitpid(child, &status, WNOHANG) == child) {
			say("SIGKILL", "ends it");
			return;
		}
		usleep(100000);
	}
	say("SIGKILL", "does not end it");
}

int main(void)
{
	probe_start();
	probe_need_tls();
	by_cancel();
	by_link_timeout();
	by_shutdown();
	by_timeout();
	by_exit();
	return 0;
}
