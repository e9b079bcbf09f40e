#include "tlssock.h"

#include "base/must.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <unistd.h>

void tlssock_open(struct tlssock *s, int fd, const struct creds *creds,
		  const char *name)
{
	memset(s, 0, sizeof(*s));
	s->fd = fd;
	s->policy = OFFLOAD_POLICY_PREFER;
	s->recv_max = TLSSOCK_BYTES;
	buf_init(&s->wire, s->storage[0], TLSSOCK_BYTES);
	buf_init(&s->out, s->storage[1], TLSSOCK_BYTES);
	buf_init(&s->plain, s->storage[2], TLSSOCK_BYTES);
	record_init_clear(&s->record);
	MUST(!handshake_open(&s->handshake, creds, name));
	MUST(!handshake_keep_secrets(&s->handshake));
}

void tlssock_close(struct tlssock *s)
{
	handshake_fini(&s->handshake);
	record_fini(&s->record);
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
}

static void end(struct tlssock *s, enum record_result result)
{
	if (s->ended == RECORD_OK)
		s->ended = result;
}

/* What is sealed goes first, then what the record layer has to say. */
static bool send_some(struct tlssock *s)
{
	ssize_t n;

	if (buf_len(&s->out)) {
		n = send(s->fd, buf_span(&s->out).p, buf_len(&s->out),
			 MSG_NOSIGNAL);
		if (n > 0)
			buf_consume(&s->out, (size_t)n);
		else if (errno != EAGAIN) {
			buf_clear(&s->out);
			end(s, RECORD_LOST);
		}
		return n > 0;
	}
	if (!record_take_control(&s->record, &s->said))
		return false;
	if (sendmsg(s->fd, &s->said.message, MSG_NOSIGNAL) <= 0)
		end(s, RECORD_LOST);
	else
		end(s, record_control_sent(&s->record));
	return true;
}

static bool received(struct tlssock *s, ssize_t n, int error)
{
	if (n == 0) {
		s->eof = true;
	} else if (n < 0) {
		end(s, record_receive_failed(&s->record, error));
		return error != -EAGAIN;
	}
	return true;
}

static bool receive_control(struct tlssock *s)
{
	ssize_t n;

	record_control_receive(&s->heard);
	n = recvmsg(s->fd, &s->heard.message, 0);
	if (n < 0)
		return received(s, n, -errno);
	s->controls_n++;
	end(s, record_open_control(&s->record, &s->heard, (size_t)n));
	return true;
}

static bool receive_some(struct tlssock *s)
{
	size_t room;
	uint8_t *p;
	ssize_t n;

	if (s->eof || s->ended != RECORD_OK || buf_len(&s->wire))
		return false;
	if (record_wants_control(&s->record))
		return receive_control(s);
	p = buf_reserve(&s->wire, &room);
	n = recv(s->fd, p, room < s->recv_max ? room : s->recv_max, 0);
	if (n > 0) {
		buf_produced(&s->wire, (size_t)n);
		s->receives_n += s->open;
	}
	return received(s, n, n < 0 ? -errno : 0);
}

static bool shake(struct tlssock *s)
{
	struct span in = buf_span(&s->wire);
	size_t had = in.len, owed = buf_len(&s->out);

	switch (handshake_step(&s->handshake, &in, &s->out)) {
	case HANDSHAKE_DONE:
		record_take(&s->record, &s->handshake);
		s->open = true;
		break;
	case HANDSHAKE_FAILED: end(s, RECORD_FAILED); break;
	case HANDSHAKE_NEED_INPUT:
	case HANDSHAKE_NEED_OUTPUT: break;
	}
	buf_consume(&s->wire, had - in.len);
	return s->open || in.len != had || buf_len(&s->out) != owed;
}

static bool open_some(struct tlssock *s)
{
	struct span in = buf_span(&s->wire);
	size_t had = in.len, plain = buf_len(&s->plain);

	if (!had && !record_pending(&s->record))
		return false;
	end(s, record_open(&s->record, &in, &s->plain, &s->out));
	buf_consume(&s->wire, had - in.len);
	return in.len != had || buf_len(&s->plain) != plain;
}

/* Asked whenever nothing is under way, until the answer is final. */
static bool offload(struct tlssock *s)
{
	if (!s->offload || s->receives_n < s->ask_after_n ||
	    buf_len(&s->wire) || buf_len(&s->out) ||
	    (s->asked && s->answer != RECORD_OFFLOAD_LATER))
		return false;
	s->asked = true;
	s->answer = record_offload(&s->record, s->fd, s->offload, s->policy, 0);
	if (s->answer == RECORD_OFFLOAD_LATER)
		s->laters_n++;
	return s->answer != RECORD_OFFLOAD_LATER;
}

bool tlssock_step(struct tlssock *s)
{
	bool moved = send_some(s);

	if (s->ended == RECORD_OK && !s->open)
		moved = shake(s) || moved;
	if (s->ended == RECORD_OK && s->open) {
		moved = open_some(s) || moved;
		moved = offload(s) || moved;
	}
	return receive_some(s) || moved;
}

void tlssock_pair(int fd[2])
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int listener = socket(AF_INET, SOCK_STREAM, 0), on = 1;
	socklen_t len = sizeof(at);

	MUST(!bind(listener, (struct sockaddr *)&at, len) &&
	     !listen(listener, 1) &&
	     !getsockname(listener, (struct sockaddr *)&at, &len));
	fd[1] = socket(AF_INET, SOCK_STREAM, 0);
	MUST(!connect(fd[1], (struct sockaddr *)&at, len));
	fd[0] = accept(listener, NULL, NULL);
	MUST(fd[0] >= 0);
	close(listener);
	for (int i = 0; i < 2; i++) {
		fcntl(fd[i], F_SETFL, O_NONBLOCK);
		setsockopt(fd[i], IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	}
}
