/*
 * The flags ask for what a worker with one thread wants: completions are
 * processed when the worker waits, never in the middle of other work
 * (DEFER_TASKRUN, Linux 6.1). Older kernels get the ring without it.
 */
#include "ring/ring.h"

#include "base/must.h"

#include <errno.h>
#include <poll.h>

#define TAG_SLOT_BITS 24

static uint64_t tag_pack(struct ring_tag tag)
{
	MUST(tag.slot < 1u << TAG_SLOT_BITS);
	return (uint64_t)tag.generation << 32 | (uint64_t)tag.slot << 8 |
	       tag.kind;
}

static struct ring_tag tag_unpack(uint64_t data)
{
	return (struct ring_tag){
		.kind = (uint8_t)data,
		.slot = (uint32_t)(data >> 8) & ((1u << TAG_SLOT_BITS) - 1),
		.generation = (uint32_t)(data >> 32),
	};
}

int ring_init(struct ring *r, uint32_t entries)
{
	static const unsigned int wanted[] = {
		IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
		IORING_SETUP_COOP_TASKRUN,
		0,
	};
	int result = -EINVAL;

	*r = (struct ring){ 0 };
	for (size_t i = 0; i < 3 && result == -EINVAL; i++) {
		struct io_uring_params p = {
			.flags = wanted[i] | IORING_SETUP_CQSIZE |
				 IORING_SETUP_SUBMIT_ALL,
			.cq_entries = entries * 8,
		};

		result = io_uring_queue_init_params(entries, &r->uring, &p);
	}
	return result;
}

void ring_fini(struct ring *r)
{
	io_uring_queue_exit(&r->uring);
}

const char *ring_explain(int error)
{
	switch (-error) {
	case ENOSYS:
		return "this kernel has no io_uring, or a seccomp rule of the "
		       "container hides it: use a kernel with CONFIG_IO_URING "
		       "and allow io_uring_setup, _enter and _register";
	case EPERM:
	case EACCES:
		return "io_uring is forbidden here: set sysctl "
		       "kernel.io_uring_disabled=0, or 1 with our group in "
		       "kernel.io_uring_group, and allow it in the container's "
		       "seccomp profile";
	case ENOMEM:
		return "no memory for the ring: raise RLIMIT_MEMLOCK "
		       "(systemd: LimitMEMLOCK=infinity)";
	case EMFILE:
	case ENFILE:
		return "no file descriptor for the ring: raise RLIMIT_NOFILE "
		       "(systemd: LimitNOFILE=)";
	case EINVAL:
		return "this kernel's io_uring is too old: Linux 6.1 or later "
		       "is needed";
	default: return "io_uring cannot be set up";
	}
}

/* What an interrupted or idle wait returns is not an error of the ring. */
static bool wait_ended_quietly(int result)
{
	return result >= 0 || result == -EINTR || result == -ETIME ||
	       result == -EAGAIN || result == -EBUSY;
}

int ring_wait(struct ring *r, uint32_t timeout_ms)
{
	return ring_wait_ns(r, timeout_ms == UINT32_MAX ?
				       UINT64_MAX :
				       timeout_ms * 1000000ull);
}

int ring_wait_ns(struct ring *r, uint64_t timeout_ns)
{
	struct __kernel_timespec limit = {
		.tv_sec = (long long)(timeout_ns / 1000000000u),
		.tv_nsec = (long long)(timeout_ns % 1000000000u),
	};
	struct io_uring_cqe *cqe;
	int result;

	r->enters++;
	if (timeout_ns == UINT64_MAX)
		result = io_uring_submit_and_wait(&r->uring, 1);
	else if (timeout_ns == 0)
		result = io_uring_submit_and_get_events(&r->uring);
	else
		result = io_uring_submit_and_wait_timeout(&r->uring, &cqe, 1,
							  &limit, NULL);
	return wait_ended_quietly(result) ? 0 : result;
}

void ring_flush(struct ring *r)
{
	if (!io_uring_sq_ready(&r->uring))
		return;
	r->enters++;
	(void)io_uring_submit(&r->uring); /* what is left goes with the next */
}

bool ring_next(struct ring *r, struct ring_completion *ret)
{
	struct io_uring_cqe *cqe;

	if (!io_uring_cq_ready(&r->uring) || io_uring_peek_cqe(&r->uring, &cqe))
		return false;
	*ret = (struct ring_completion){
		.tag = tag_unpack(cqe->user_data),
		.result = cqe->res,
		.flags = cqe->flags,
	};
	io_uring_cqe_seen(&r->uring, cqe);
	return true;
}

/* A free submission entry; a full queue is submitted first. */
static struct io_uring_sqe *next_sqe(struct ring *r)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&r->uring);

	if (!sqe) {
		r->enters++;
		(void)io_uring_submit(&r->uring);
		sqe = io_uring_get_sqe(&r->uring);
	}
	MUST(sqe);
	return sqe;
}

static void set_tag(struct io_uring_sqe *sqe, struct ring_tag tag)
{
	io_uring_sqe_set_data64(sqe, tag_pack(tag));
}

void ring_accept_multishot(struct ring *r, int fd, struct ring_tag tag)
{
	struct io_uring_sqe *sqe = next_sqe(r);

	io_uring_prep_multishot_accept(sqe, fd, NULL, NULL, SOCK_CLOEXEC);
	set_tag(sqe, tag);
}

void ring_recv_provided(struct ring *r, int fd, uint16_t group,
			struct ring_tag tag)
{
	struct io_uring_sqe *sqe = next_sqe(r);

	io_uring_prep_recv(sqe, fd, NULL, 0, 0);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = group;
	set_tag(sqe, tag);
}

void ring_recv_whole(struct ring *r, int fd, uint16_t group, uint32_t len,
		     struct ring_tag tag)
{
	struct io_uring_sqe *sqe = next_sqe(r);

	io_uring_prep_recv(sqe, fd, NULL, len, MSG_WAITALL);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = group;
	set_tag(sqe, tag);
}

void ring_recv_peek(struct ring *r, int fd, struct span_mut into,
		    struct ring_tag tag)
{
	struct io_uring_sqe *sqe = next_sqe(r);

	io_uring_prep_recv(sqe, fd, into.p, into.len, MSG_PEEK);
	set_tag(sqe, tag);
}

void ring_send(struct ring *r, int fd, struct span bytes, struct ring_tag tag)
{
	struct io_uring_sqe *sqe = next_sqe(r);

	io_uring_prep_send(sqe, fd, bytes.p, bytes.len, MSG_NOSIGNAL);
	set_tag(sqe, tag);
}

void ring_sendmsg(struct ring *r, int fd, const struct msghdr *message,
		  struct ring_tag tag)
{
	struct io_uring_sqe *sqe = next_sqe(r);

	io_uring_prep_sendmsg(sqe, fd, message, MSG_NOSIGNAL);
	set_tag(sqe, tag);
}

void ring_recvmsg(struct ring *r, int fd, struct msghdr *message,
		  struct ring_tag tag)
{
	struct io_uring_sqe *sqe = next_sqe(r);

	io_uring_prep_recvmsg(sqe, fd, message, 0);
	set_tag(sqe, tag);
}

void ring_read(struct ring *r, int fd, struct span_mut into,
	       struct ring_tag tag)
{
	struct io_uring_sqe *sqe = next_sqe(r);

	io_uring_prep_read(sqe, fd, into.p, (unsigned int)into.len, 0);
	set_tag(sqe, tag);
}

void ring_connect(struct ring *r, int fd, const struct sockaddr *address,
		  socklen_t len, struct ring_tag tag)
{
	struct io_uring_sqe *sqe = next_sqe(r);

	io_uring_prep_connect(sqe, fd, address, len);
	set_tag(sqe, tag);
}

void ring_poll_out(struct ring *r, int fd, struct ring_tag tag)
{
	struct io_uring_sqe *sqe = next_sqe(r);

	io_uring_prep_poll_add(sqe, fd, POLLOUT);
	set_tag(sqe, tag);
}

void ring_close(struct ring *r, int fd, struct ring_tag tag)
{
	struct io_uring_sqe *sqe = next_sqe(r);

	io_uring_prep_close(sqe, fd);
	set_tag(sqe, tag);
}

void ring_cancel(struct ring *r, struct ring_tag target, struct ring_tag tag)
{
	struct io_uring_sqe *sqe = next_sqe(r);

	io_uring_prep_cancel64(sqe, tag_pack(target), 0);
	set_tag(sqe, tag);
}

static void prepare_io(struct io_uring_sqe *sqe, const struct io *io)
{
	switch (io->kind) {
	case IO_OPEN:
		io_uring_prep_openat(sqe, io->dir, io->name, io->flags,
				     io->mode);
		return;
	case IO_CLOSE: io_uring_prep_close(sqe, io->fd); return;
	case IO_WRITE:
		io_uring_prep_writev(sqe, io->fd, io->iov,
				     (unsigned int)io->iov_n, io->offset);
		return;
	case IO_READ:
		io_uring_prep_readv(sqe, io->fd, io->iov,
				    (unsigned int)io->iov_n, io->offset);
		return;
	case IO_ALLOCATE:
		/* io_uring_prep_fallocate changed its types with 2.4. */
		io_uring_prep_rw(IORING_OP_FALLOCATE, sqe, io->fd, NULL,
				 FALLOC_FL_KEEP_SIZE, io->offset);
		sqe->addr = io->len;
		return;
	case IO_DATASYNC:
		io_uring_prep_fsync(sqe, io->fd, IORING_FSYNC_DATASYNC);
		return;
	case IO_SYNC: io_uring_prep_fsync(sqe, io->fd, 0); return;
	case IO_RENAME:
		io_uring_prep_renameat(sqe, io->dir, io->name, io->new_dir,
				       io->new_name, (unsigned int)io->flags);
		return;
	case IO_UNLINK:
		io_uring_prep_unlinkat(sqe, io->dir, io->name, 0);
		return;
	case IO_NONE:
	case IO_LOCK:
	case IO_KINDS: break;
	}
	MUST_NOT_REACH("a kind that the ring does not carry out");
}

bool ring_io(struct ring *r, const struct io *io, struct ring_tag tag,
	     int64_t *ret_result)
{
	struct io_uring_sqe *sqe;

	if (io->kind == IO_LOCK) {
		*ret_result = io_run(io);
		return false;
	}
	sqe = next_sqe(r);
	prepare_io(sqe, io);
	set_tag(sqe, tag);
	return true;
}
