#include "smtp/server_body.h"

#include "base/must.h"
#include "smtp/received.h"
#include "smtp/server_mail.h"
#include "smtp/server_reply.h"

_Static_assert(SMTP_BODY_MIN >= RECEIVED_FIELD_MAX, "Received must fit");
_Static_assert(BODY_ROOM_MIN >= RECEIVED_MISSING_MAX + 2,
	       "Date, Message-ID and a line end must fit");

static void server_body_begin(struct smtp_server *s)
{
	const struct smtp_server_options *o = s->options;
	const struct body_limits limits = {
		.message_max = o->message_max,
		.header_max = o->header_max,
		.text_line_max = o->text_line_max,
		.hops_max = o->hops_max,
		.normalise_bare_lf = o->bare_lf == SMTP_BARE_LF_NORMALISE,
	};

	body_begin(&s->body, s->chunked ? BODY_COUNTED : BODY_STUFFED, &limits);
}

void server_body_data(struct smtp_server *s, struct smtp_io *io)
{
	if (!s->mail_open)
		server_reply_put_detail(s, io->out, REPLY_BAD_SEQUENCE,
					SPAN("send MAIL first"));
	else if (s->chunked) /* RFC 3030 2 */
		server_reply_put_detail(s, io->out, REPLY_BAD_SEQUENCE,
					SPAN("DATA and BDAT do not mix"));
	else if (!s->recipients) /* RFC 5321 3.3 */
		server_reply_put(s, io->out, REPLY_NO_RECIPIENTS);
	else
		server_state_set(s, SMTP_OPENING);
}

/* Why a BDAT may not come now; REPLY_OK when it may. */
static enum reply server_body_obstacle(const struct smtp_server *s)
{
	if (!s->tls_version)
		return REPLY_TLS_REQUIRED;
	if (!s->extended || !s->mail_open)
		return REPLY_BAD_SEQUENCE;
	return s->recipients ? REPLY_OK : REPLY_NO_RECIPIENTS;
}

void server_body_bdat(struct smtp_server *s, struct smtp_io *io,
		      struct span argument)
{
	struct command_bdat bdat;
	struct command_fault fault;

	if (!command_parse_bdat(argument, &bdat, &fault)) {
		/* Nobody knows how many octets follow: they are no commands. */
		server_reply_put_detail(s, io->out, fault.reply, fault.detail);
		server_mail_close(s);
		return;
	}
	s->chunk_size = s->chunk_left = bdat.size;
	s->chunk_last = bdat.last;
	s->verdict = server_body_obstacle(s);
	if (s->verdict != REPLY_OK) {
		server_state_set(s, SMTP_SKIPPING);
	} else if (s->chunked) {
		server_state_set(s, SMTP_RECEIVING);
	} else {
		s->chunked = true;
		server_state_set(s, SMTP_OPENING);
	}
}

bool server_body_skip(struct smtp_server *s, struct smtp_io *io)
{
	size_t n = io->in.len < s->chunk_left ? io->in.len :
						(size_t)s->chunk_left;

	io->in = span_tail(io->in, n);
	s->chunk_left -= n;
	if (s->chunk_left)
		return true;
	server_state_set(s, SMTP_READING);
	if (s->verdict == REPLY_BAD_SEQUENCE)
		server_reply_put_detail(s, io->out, s->verdict,
					s->extended ? SPAN("send MAIL first") :
						      SPAN("say EHLO first"));
	else
		server_reply_put(s, io->out, s->verdict);
	return false;
}

void server_body_opened(struct smtp_server *s, enum reply verdict,
			const struct smtp_message_facts *facts)
{
	if (verdict == REPLY_OK) {
		MUST(strlen(facts->id) < sizeof(s->id));
		memcpy(s->id, facts->id, strlen(facts->id) + 1);
		s->unix_time_s = facts->unix_time_s;
		server_state_set(s, SMTP_TRACING);
	} else if (s->chunked) {
		/* The sequence has failed; its octets come all the same. */
		server_body_begin(s);
		body_fail(&s->body, verdict);
		server_state_set(s, SMTP_RECEIVING);
	} else {
		s->verdict = verdict;
		server_state_set(s, SMTP_REPLYING);
	}
}

void server_body_trace(struct smtp_server *s, struct smtp_io *io)
{
	const struct received r = {
		.helo = s->helo,
		.address = s->peer.address,
		.hostname = s->options->hostname,
		.id = s->id,
		.tls_version = s->tls_version,
		.tls_cipher = s->tls_cipher,
		.unix_time_s = s->unix_time_s,
		.extended = s->extended,
		.authenticated = s->authenticated,
		.smtputf8 = s->smtputf8,
	};

	MUST(io->body && io->dots);
	MUST(!buf_len(io->body) && io->body->cap >= SMTP_BODY_MIN);
	dots_clear(io->dots);
	received_put(io->body, &r);
	MUST(!io->body->overflowed);
	server_body_begin(s);
	if (!s->chunked)
		server_reply_put(s, io->out, REPLY_SEND_DATA);
	server_state_set(s, SMTP_RECEIVING);
}

/* RFC 6409 8.2 and 8.3. */
static void server_body_add_missing(struct smtp_server *s, struct buf *body)
{
	if (s->body.has_date && s->body.has_message_id)
		return;
	if (body_mid_line(&s->body))
		buf_put_str(body, "\r\n");
	if (!s->body.has_date)
		received_put_date(body, s->unix_time_s);
	if (!s->body.has_message_id)
		received_put_message_id(body, s->id, s->options->hostname);
	MUST(!body->overflowed);
}

static enum body_result server_body_scan_chunk(struct smtp_server *s,
					       struct smtp_io *io)
{
	size_t n = io->in.len < s->chunk_left ? io->in.len :
						(size_t)s->chunk_left;
	struct span chunk = span_head(io->in, n);
	enum body_result r = body_scan(&s->body, &chunk, io->body, io->dots);

	n -= chunk.len;
	io->in = span_tail(io->in, n);
	s->chunk_left -= n;
	if (r == BODY_MORE && !s->chunk_left && s->chunk_last)
		return body_finish(&s->body, io->body, io->dots);
	return r;
}

/* All input is used: a chunk may have ended, but no message. */
static bool server_body_more(struct smtp_server *s, struct smtp_io *io)
{
	enum reply finding = body_finding(&s->body);

	if (!s->chunked || s->chunk_left)
		return true;
	server_state_set(s, SMTP_READING);
	server_reply_put(s, io->out,
			 finding == REPLY_OK ? REPLY_CHUNK_OK : finding);
	return false;
}

static void server_body_end(struct smtp_server *s, struct smtp_io *io)
{
	enum reply finding = body_finding(&s->body);

	if (finding == REPLY_OK) {
		server_state_set(s, SMTP_COMMITTING);
		return;
	}
	server_state_set(s, SMTP_READING);
	server_reply_put(s, io->out, finding);
	server_mail_drop(s);
}

bool server_body_receive(struct smtp_server *s, struct smtp_io *io)
{
	enum body_result r;

	if (s->chunked)
		r = server_body_scan_chunk(s, io);
	else
		r = body_scan(&s->body, &io->in, io->body, io->dots);
	switch (r) {
	case BODY_MORE: return server_body_more(s, io);
	case BODY_FULL: server_state_set(s, SMTP_STORING); break;
	case BODY_HEADER_END: server_body_add_missing(s, io->body); break;
	case BODY_END: server_body_end(s, io); break;
	}
	return false;
}
