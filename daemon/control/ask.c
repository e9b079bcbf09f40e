#include "control/ask.h"

#include "control/control.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

static int connect_to(int fd, const char *path)
{
	static const struct timeval patience = { .tv_sec = ASK_PATIENCE_S };
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	size_t len = strlen(path);

	if (len >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, len);
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience,
		       sizeof(patience)) ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience,
		       sizeof(patience)) ||
	    connect(fd, (const struct sockaddr *)&address, sizeof(address)))
		return -errno;
	return 0;
}

/* A short line fits into an empty socket as a whole. */
static int send_request(int fd, const char *request)
{
	uint8_t storage[CONTROL_LINE_MAX];
	struct buf line;
	ssize_t n;

	buf_init(&line, storage, sizeof(storage));
	buf_put_str(&line, request);
	buf_put_byte(&line, '\n');
	if (line.overflowed)
		return -EMSGSIZE;
	n = send(fd, storage, buf_len(&line), MSG_NOSIGNAL);
	if (n < 0)
		return -errno;
	return (size_t)n == buf_len(&line) ? 0 : -EIO;
}

/* Until the end of the stream, or until `answer` is full. */
static int receive(int fd, struct buf *answer)
{
	for (;;) {
		size_t room;
		uint8_t *p = buf_reserve(answer, &room);
		ssize_t n = room ? recv(fd, p, room, 0) : 0;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return 0;
		buf_produced(answer, (size_t)n);
	}
}

/* Takes the first line off; what it says is the result. */
static int verdict(struct buf *answer)
{
	static const struct span ok = SPAN("ok\n");
	static const struct span error = SPAN("error ");
	struct span s = buf_span(answer);

	if (s.len >= ok.len && span_equal(span_head(s, ok.len), ok)) {
		buf_consume(answer, ok.len);
		return 0;
	}
	if (s.len > error.len && span_equal(span_head(s, error.len), error)) {
		buf_consume(answer, error.len);
		return -EREMOTEIO;
	}
	return -EPROTO;
}

int ask_daemon(const char *path, const char *request, struct buf *answer)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int result;

	if (fd < 0)
		return -errno;
	result = connect_to(fd, path);
	if (!result)
		result = send_request(fd, request);
	/* A refusal may come before the request was sent: the answer counts. */
	if (!result || result == -EPIPE) {
		result = receive(fd, answer);
		if (!result)
			result = verdict(answer);
	}
	(void)close(fd);
	return result;
}
