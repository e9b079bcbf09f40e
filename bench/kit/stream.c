/*
 * I1  While `send` flies, `out` is the kernel's: nobody appends to it. What the
 *     record layer has to say meanwhile gathers in `answer` and goes out before
 *     anything else is sealed: records keep their order.
 * I2  A stream is freed when nothing of it is in flight.
 */
#include "kit/stream.h"

#include "base/must.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#define RING_ENTRIES      4096
#define RECV_GROUP        1
#define RECV_BUFFERS_MAX  1024
#define RECV_MEMORY_BYTES (32u << 20)

/* A receive that lacks a buffer is armed again: fewer than connections do. */
static uint32_t buffers_for(uint32_t connections, uint32_t bytes)
{
	uint32_t n = 8;

	while (n < connections && n < RECV_BUFFERS_MAX &&
	       n * bytes < RECV_MEMORY_BYTES)
		n *= 2;
	return n;
}

int stream_loop_init(struct stream_loop *l, uint32_t connections,
		     uint32_t recv_bytes)
{
	int result = ring_init(&l->ring, RING_ENTRIES);

	if (result)
		return result;
	result = bufring_init(&l->bufring, &l->ring, RECV_GROUP,
			      buffers_for(connections, recv_bytes), recv_bytes);
	if (result)
		ring_fini(&l->ring);
	return result;
}

void stream_loop_fini(struct stream_loop *l)
{
	bufring_fini(&l->bufring, &l->ring);
	ring_fini(&l->ring);
}

/* -- its life --------------------------------------------------------------- */

void stream_init(struct stream *s, uint32_t slot)
{
	memset(s, 0, offsetof(struct stream, answer_bytes));
	s->fd = -1;
	s->slot = slot;
	buf_init(&s->answer, s->answer_bytes, sizeof(s->answer_bytes));
	record_init_clear(&s->record);
}

static void set_nodelay(int fd)
{
	int one = 1;

	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

static struct ring_tag tag_of(const struct stream *s, enum stream_op kind)
{
	return (struct ring_tag){ .kind = (uint8_t)kind, .slot = s->slot };
}

static socklen_t address_len(const struct sockaddr_storage *a)
{
	return a->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) :
					  sizeof(struct sockaddr_in);
}

int stream_connect(struct stream_loop *l, struct stream *s,
		   const struct sockaddr_storage *to,
		   const struct sockaddr_storage *source)
{
	int one = 1;

	s->fd = socket(to->ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (s->fd < 0)
		return -errno;
	if (source) {
		(void)setsockopt(s->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT,
				 &one, sizeof(one));
		if (bind(s->fd, (const struct sockaddr *)source,
			 address_len(source)))
			return -errno;
	}
	set_nodelay(s->fd);
	op_fly(&s->connect);
	ring_connect(&l->ring, s->fd, (const struct sockaddr *)to,
		     address_len(to), tag_of(s, STREAM_OP_CONNECT));
	return 0;
}

void stream_accepted(struct stream *s, int fd)
{
	s->fd = fd;
	set_nodelay(fd);
}

static void harvest_recv(struct stream_loop *l, struct stream *s)
{
	if (!op_take(&s->recv))
		return;
	(void)loan_take(&s->loan, &l->bufring, s->recv.result, s->recv.flags);
	if (s->recv.result == -ENOBUFS || s->recv.result == -EINTR ||
	    s->recv.result == -EAGAIN)
		return;
	if (s->recv.result <= 0)
		s->peer_closed = true;
	if (s->recv.result < 0)
		s->broken = true;
}

bool stream_cancel(struct stream_loop *l, struct stream *s)
{
	const struct {
		const struct op *op;
		enum stream_op kind;
	} all[] = {
		{ &s->connect, STREAM_OP_CONNECT },
		{ &s->recv, STREAM_OP_RECV },
		{ &s->send, STREAM_OP_SEND },
	};
	bool flies = false;

	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
		if (all[i].op->state != OP_FLYING)
			continue;
		flies = true;
		if (!s->cancelled)
			ring_cancel(&l->ring, tag_of(s, all[i].kind),
				    RING_NOBODY);
	}
	s->cancelled = true;
	return !flies;
}

void stream_fini(struct stream_loop *l, struct stream *s)
{
	MUST(s->connect.state != OP_FLYING && s->recv.state != OP_FLYING &&
	     s->send.state != OP_FLYING); /* I2 */
	handshake_fini(&s->handshake);
	record_fini(&s->record);
	harvest_recv(l, s);
	loan_end(&s->loan);
	if (s->fd >= 0)
		ring_close(&l->ring, s->fd, RING_NOBODY);
	s->fd = -1;
}

/* -- received --------------------------------------------------------------- */

void stream_on_cqe(struct stream *s, const struct ring_completion *c)
{
	switch ((enum stream_op)c->tag.kind) {
	case STREAM_OP_CONNECT:
		op_on_cqe(&s->connect, c->result, c->flags);
		return;
	case STREAM_OP_RECV: op_on_cqe(&s->recv, c->result, c->flags); return;
	case STREAM_OP_SEND: op_on_cqe(&s->send, c->result, c->flags); return;
	case STREAM_OP_NONE:
	case STREAM_OP_OTHERS: break;
	}
	MUST_NOT_REACH("an operation of a stream");
}

void stream_harvest(struct stream_loop *l, struct stream *s)
{
	harvest_recv(l, s);
	if (!op_take(&s->send))
		return;
	if (s->send.result > 0)
		buf_consume(&s->out, (size_t)s->send.result);
	else if (s->send.result != -EINTR && s->send.result != -EAGAIN)
		s->broken = true;
}

bool stream_read(struct stream *s)
{
	size_t before = buf_len(&s->in);
	struct span from = loan_bytes(&s->loan);

	if (from.len || record_pending(&s->record)) {
		enum record_result result =
			record_open(&s->record, &from, &s->in, &s->answer);

		s->peer_closed = s->peer_closed || result != RECORD_OK;
	}
	loan_used(&s->loan, from);
	return buf_len(&s->in) != before;
}

bool stream_ended(const struct stream *s)
{
	return s->broken || (s->peer_closed && !loan_held(&s->loan) &&
			     !record_pending(&s->record));
}

/* -- TLS -------------------------------------------------------------------- */

int stream_begin_tls(struct stream *s, const struct creds *creds,
		     const char *name)
{
	s->handshaking = true;
	return handshake_open(&s->handshake, creds, name);
}

enum stream_tls stream_step_tls(struct stream *s,
				struct handshake_facts *ret_facts)
{
	struct span in = loan_bytes(&s->loan);
	enum handshake_result result;

	if (s->send.state != OP_IDLE)
		return STREAM_TLS_GOING; /* I1 */
	result = handshake_step(&s->handshake, &in, &s->out);
	loan_used(&s->loan, in);
	switch (result) {
	case HANDSHAKE_NEED_INPUT:
		return stream_ended(s) ? STREAM_TLS_FAILED : STREAM_TLS_GOING;
	case HANDSHAKE_NEED_OUTPUT: return STREAM_TLS_GOING;
	case HANDSHAKE_FAILED: return STREAM_TLS_FAILED;
	case HANDSHAKE_DONE: break;
	}
	*ret_facts = handshake_facts(&s->handshake);
	record_take(&s->record, &s->handshake);
	s->handshaking = false;
	return STREAM_TLS_DONE;
}

/* -- sent ------------------------------------------------------------------- */

void stream_seal(struct stream *s)
{
	struct span clear = buf_span(&s->say);

	if (s->send.state != OP_IDLE || buf_len(&s->answer) > buf_room(&s->out))
		return; /* I1 */
	buf_put(&s->out, buf_span(&s->answer));
	buf_clear(&s->answer);
	if (clear.len && record_seal(&s->record, &clear, &s->out) != RECORD_OK)
		clear.len = 0; /* nobody will hear it */
	buf_consume(&s->say, buf_len(&s->say) - clear.len);
}

bool stream_takes_more(const struct stream *s)
{
	return s->send.state == OP_IDLE && !buf_len(&s->say) && !s->broken &&
	       buf_room(&s->out) >= STREAM_RECORD_BYTES;
}

bool stream_all_sent(const struct stream *s)
{
	return !buf_len(&s->say) && !buf_len(&s->answer) && !buf_len(&s->out) &&
	       s->send.state == OP_IDLE;
}

bool stream_shut(struct stream *s)
{
	stream_seal(s);
	if (!s->shut && !buf_len(&s->say) && !buf_len(&s->answer) &&
	    s->send.state == OP_IDLE &&
	    buf_room(&s->out) >= record_sealed_max(&s->record, 2)) {
		record_shutdown(&s->record, &s->out);
		s->shut = true;
	}
	return s->broken || (s->shut && stream_all_sent(s));
}

void stream_arm(struct stream_loop *l, struct stream *s)
{
	if (s->fd < 0 || s->connect.state != OP_IDLE)
		return;
	if (s->send.state == OP_IDLE && buf_len(&s->out) && !s->broken) {
		op_fly(&s->send);
		ring_send(&l->ring, s->fd, buf_span(&s->out),
			  tag_of(s, STREAM_OP_SEND));
	}
	if (s->recv.state == OP_IDLE && !loan_held(&s->loan) &&
	    !s->peer_closed && !s->deaf) {
		op_fly(&s->recv);
		ring_recv_provided(&l->ring, s->fd, l->bufring.group,
				   tag_of(s, STREAM_OP_RECV));
	}
}
