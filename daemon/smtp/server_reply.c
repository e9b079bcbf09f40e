#include "smtp/server_reply.h"

enum argument {
	ARGUMENT_NONE,
	ARGUMENT_HOSTNAME,
	ARGUMENT_ID,
	ARGUMENT_CHALLENGE,
	ARGUMENT_CHUNK,
	ARGUMENT_LINE_LIMIT,
	ARGUMENT_HEADER_LIMIT,
	ARGUMENT_SIZE_LIMIT
};

/* What fills the %s of a reply; those not named here are given a detail. */
static const uint8_t server_arguments[REPLY_N] = {
	[REPLY_READY] = ARGUMENT_HOSTNAME,
	[REPLY_BYE] = ARGUMENT_HOSTNAME,
	[REPLY_HELO] = ARGUMENT_HOSTNAME,
	[REPLY_SHUTTING_DOWN] = ARGUMENT_HOSTNAME,
	[REPLY_TIMED_OUT] = ARGUMENT_HOSTNAME,
	[REPLY_TOO_MANY_ERRORS] = ARGUMENT_HOSTNAME,
	[REPLY_TOO_MANY_IDLE] = ARGUMENT_HOSTNAME,
	[REPLY_OVERLOADED] = ARGUMENT_HOSTNAME,
	[REPLY_TOO_MANY_CONNECTIONS] = ARGUMENT_HOSTNAME,
	[REPLY_KTLS_REQUIRED] = ARGUMENT_HOSTNAME,
	[REPLY_NIC_REQUIRED] = ARGUMENT_HOSTNAME,
	[REPLY_QUEUED] = ARGUMENT_ID,
	[REPLY_AUTH_CONTINUE] = ARGUMENT_CHALLENGE,
	[REPLY_CHUNK_OK] = ARGUMENT_CHUNK,
	[REPLY_TEXT_LINE_TOO_LONG] = ARGUMENT_LINE_LIMIT,
	[REPLY_HEADER_TOO_BIG] = ARGUMENT_HEADER_LIMIT,
	[REPLY_TOO_BIG] = ARGUMENT_SIZE_LIMIT,
};

static struct span server_reply_number(struct buf *scratch, uint64_t n)
{
	buf_put_u64(scratch, n);
	return buf_span(scratch);
}

static struct span server_reply_argument(const struct smtp_server *s,
					 enum argument argument,
					 struct buf *scratch)
{
	const struct smtp_server_options *o = s->options;

	switch (argument) {
	case ARGUMENT_NONE: break;
	case ARGUMENT_HOSTNAME: return span_str(o->hostname);
	case ARGUMENT_ID: return span_str(s->id);
	case ARGUMENT_CHALLENGE: return span_str(s->user);
	case ARGUMENT_CHUNK: return server_reply_number(scratch, s->chunk_size);
	case ARGUMENT_LINE_LIMIT:
		return server_reply_number(scratch, o->text_line_max);
	case ARGUMENT_HEADER_LIMIT:
		return server_reply_number(scratch, o->header_max);
	case ARGUMENT_SIZE_LIMIT:
		return server_reply_number(scratch, o->message_max);
	}
	return SPAN("");
}

void server_reply_count(struct smtp_server *s, enum reply reply)
{
	int class = reply_code(reply) / 100;

	s->last_reply = reply;
	if (class == 4)
		s->counts.replies_4xx++;
	if (class == 5) {
		s->counts.replies_5xx++;
		s->errors++;
	}
}

void server_reply_put_detail(struct smtp_server *s, struct buf *out,
			     enum reply reply, struct span detail)
{
	reply_put(out, reply, detail);
	server_reply_count(s, reply);
}

void server_reply_put(struct smtp_server *s, struct buf *out, enum reply reply)
{
	uint8_t digits[20];
	struct buf scratch;

	buf_init(&scratch, digits, sizeof(digits));
	server_reply_put_detail(
		s, out, reply,
		server_reply_argument(s, server_arguments[reply], &scratch));
}
