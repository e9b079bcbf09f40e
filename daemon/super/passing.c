#include "super/passing.h"

#include "base/must.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

/* Room for the descriptors, aligned as the kernel's macros want it. */
union control {
	struct cmsghdr head;
	uint8_t bytes[CMSG_SPACE(PASSING_FDS * sizeof(int))];
};

int passing_open(int ret_fds[2])
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ret_fds))
		return -errno;
	if (!fcntl(ret_fds[0], F_SETFL, O_NONBLOCK))
		return 0;
	(void)close(ret_fds[0]);
	(void)close(ret_fds[1]);
	return -EIO;
}

/* An iovec cannot say that it is only read. */
static struct iovec vector_of(struct span s)
{
	union {
		const uint8_t *from;
		uint8_t *to;
	} p = { .from = s.p };

	return (struct iovec){ .iov_base = p.to, .iov_len = s.len };
}

int passing_send(int fd, struct span packet, const struct passing *with)
{
	size_t bytes = with ? with->fds_n * sizeof(int) : 0;
	struct iovec vector = vector_of(packet);
	union control control = { 0 };
	struct msghdr message = { .msg_iov = &vector, .msg_iovlen = 1 };

	MUST(!with || with->fds_n <= PASSING_FDS);
	if (bytes) {
		message.msg_control = &control;
		message.msg_controllen = CMSG_SPACE(bytes);
		control.head.cmsg_level = SOL_SOCKET;
		control.head.cmsg_type = SCM_RIGHTS;
		control.head.cmsg_len = CMSG_LEN(bytes);
		memcpy(CMSG_DATA(&control.head), with->fds, bytes);
	}
	if (sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return -errno;
	return 0;
}

static void keep_fds(struct msghdr *message, struct passing *ret)
{
	struct cmsghdr *c;

	ret->fds_n = 0;
	for (c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
		size_t bytes = c->cmsg_len - CMSG_LEN(0);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		MUST(bytes <= sizeof(ret->fds)); /* the room we gave */
		memcpy(ret->fds, CMSG_DATA(c), bytes);
		ret->fds_n = (uint32_t)(bytes / sizeof(int));
	}
}

int passing_receive(int fd, struct buf *packet, struct passing *ret)
{
	union control control = { 0 };
	struct iovec vector;
	struct msghdr message = {
		.msg_iov = &vector,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	size_t room;
	ssize_t n;

	vector.iov_base = buf_reserve(packet, &room);
	vector.iov_len = room;
	n = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
	if (n < 0)
		return -errno;
	keep_fds(&message, ret);
	if (!(message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) && n > 0) {
		buf_produced(packet, (size_t)n);
		return 0;
	}
	passing_close(ret);
	return n ? -EPROTO : -ENODATA; /* nobody sends empty packets */
}

void passing_close(struct passing *p)
{
	while (p->fds_n)
		(void)close(p->fds[--p->fds_n]);
}
