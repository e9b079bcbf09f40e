#include "tlspair.h"

#include "base/must.h"

static struct tlspair_end *other(struct tlspair *p, struct tlspair_end *end)
{
	return end == &p->client ? &p->server : &p->client;
}

static size_t smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

void tlspair_open(struct tlspair *p, const struct creds *server,
		  const struct creds *client, const char *name)
{
	memset(p, 0, sizeof(*p));
	p->piece = p->room = TLSPAIR_QUEUE;
	buf_init(&p->client.in, p->client.in_storage, TLSPAIR_QUEUE);
	buf_init(&p->server.in, p->server.in_storage, TLSPAIR_QUEUE);
	MUST(handshake_open(&p->server.handshake, server, NULL) == 0);
	MUST(handshake_open(&p->client.handshake, client, name) == 0);
}

void tlspair_close(struct tlspair *p)
{
	handshake_fini(&p->client.handshake);
	handshake_fini(&p->server.handshake);
	record_fini(&p->client.record);
	record_fini(&p->server.record);
}

/* True when bytes moved or the result changed. */
static bool step(struct tlspair *p, struct tlspair_end *end)
{
	static uint8_t storage[TLSPAIR_QUEUE];
	enum handshake_result before = end->result;
	struct span in, rest;
	struct buf out;

	if (before == HANDSHAKE_DONE || before == HANDSHAKE_FAILED)
		return false;
	in = span_head(buf_span(&end->in),
		       smaller(buf_len(&end->in), p->piece));
	rest = in;
	buf_init(&out, storage, p->room);
	end->result = handshake_step(&end->handshake, &rest, &out);
	MUST(end->result != HANDSHAKE_NEED_INPUT || !rest.len);
	MUST(end->result != HANDSHAKE_NEED_OUTPUT || !buf_room(&out));
	buf_consume(&end->in, in.len - rest.len);
	buf_put(&other(p, end)->in, buf_span(&out));
	MUST(!other(p, end)->in.overflowed);
	return in.len != rest.len || buf_len(&out) || before != end->result;
}

bool tlspair_shake(struct tlspair *p)
{
	bool moved = true;

	while (moved) {
		moved = step(p, &p->client);
		moved = step(p, &p->server) || moved;
	}
	return p->client.result == HANDSHAKE_DONE &&
	       p->server.result == HANDSHAKE_DONE;
}

void tlspair_take(struct tlspair *p)
{
	record_take(&p->client.record, &p->client.handshake);
	record_take(&p->server.record, &p->server.handshake);
}

void tlspair_connect(struct tlspair *p, const struct creds *server,
		     const struct creds *client, const char *name)
{
	tlspair_open(p, server, client, name);
	MUST(tlspair_shake(p));
	tlspair_take(p);
}

void tlspair_send(struct tlspair_end *from, struct tlspair_end *to,
		  struct span bytes)
{
	MUST(record_seal(&from->record, &bytes, &to->in) == RECORD_OK);
	MUST(!bytes.len && !to->in.overflowed);
}

enum record_result tlspair_receive(struct tlspair *p, struct tlspair_end *to,
				   struct buf *plain)
{
	enum record_result result = RECORD_OK;
	struct span in, rest;

	while (result == RECORD_OK && buf_len(&to->in)) {
		in = span_head(buf_span(&to->in),
			       smaller(buf_len(&to->in), p->piece));
		rest = in;
		result = record_open(&to->record, &rest, plain,
				     &other(p, to)->in);
		buf_consume(&to->in, in.len - rest.len);
		if (result == RECORD_OK && rest.len == in.len)
			break;
	}
	return result;
}
