#include "load/link_message.h"

#include "kit/stopwatch.h"

static uint64_t recipient_sum(const struct driver *d, uint32_t number)
{
	char address[RUN_ADDRESS_MAX];
	size_t len = run_recipient(d->run, number, address);

	return account_recipient(span_of((const uint8_t *)address, len));
}

void link_message_begin(struct driver *d, struct link *l)
{
	l->begun_ns = stopwatch_ns();
	if (l->due_ns && l->begun_ns - l->due_ns > d->tally.late_max_ns)
		d->tally.late_max_ns = l->begun_ns - l->due_ns;
	l->given_n = l->accepted_n = 0;
	l->accepted_sum = 0;
	l->message = (struct client_message){
		.reverse_path = span_str(d->run->options->sender),
		.body_bytes = mail_bytes(&l->mail),
		.eight_bit = l->mail.eight_bit && l->client.hello.eight_bit,
		.dots = &l->mail.dots,
	};
	client_message(&l->client, &l->message);
}

void link_message_recipient(struct driver *d, struct link *l)
{
	char address[RUN_ADDRESS_MAX];
	struct client_recipient r = { 0 };
	size_t len;

	if (l->given_n == d->run->options->recipients) {
		client_recipients_end(&l->client);
		return;
	}
	len = run_recipient(d->run, l->given_n++, address);
	r.forward_path = span_of((const uint8_t *)address, len);
	client_recipient(&l->client, &r, &l->stream.say);
	l->accepted_n++;
	if (d->run->account)
		l->accepted_sum += account_recipient(r.forward_path);
}

void link_message_refused(struct driver *d, struct link *l)
{
	tally_fail(&d->tally, TALLY_STAGE_RECIPIENT,
		   client_verdict(&l->client));
	l->accepted_n--;
	if (d->run->account)
		l->accepted_sum -=
			recipient_sum(d, client_recipient_index(&l->client));
}

/* Gathers a record's worth, however many pieces that takes, and seals it. */
static bool gather(struct link *l, struct client_body *body)
{
	struct buf *say = &l->stream.say;

	while (buf_room(say) && !client_body_done(body)) {
		struct span block = mail_at(&l->mail, client_body_at(body));
		struct client_piece piece = client_body_next(body, block);
		struct span part = piece.literal.len ?
					   piece.literal :
					   span_head(block, piece.stored);

		if (part.len > buf_room(say))
			part = span_head(part, buf_room(say));
		buf_put(say, part);
		client_body_sent(body, part);
	}
	stream_seal(&l->stream);
	return client_body_done(body);
}

bool link_message_send(struct link *l)
{
	struct client_body *body = client_body(&l->client);
	bool done = false;

	/* The command before it may still be there: they go out together. */
	if (l->stream.send.state == OP_IDLE && buf_len(&l->stream.say))
		done = gather(l, body);
	while (!done && stream_takes_more(&l->stream))
		done = gather(l, body);
	if (done)
		client_body_is_sent(&l->client);
	return done;
}

static void keep_account(struct driver *d, struct link *l, bool accepted)
{
	struct account_line line = {
		.id = l->mail.id,
		.hash = mail_hash(&l->mail),
		.bytes = mail_bytes(&l->mail),
		.recipients = l->accepted_n,
		.recipients_sum = l->accepted_sum,
		.fate = ACCOUNT_ACCEPTED,
	};

	if (!accepted) {
		enum client_finding found = client_verdict(&l->client)->finding;

		line.fate = found != CLIENT_FOUND_NONE && l->client.body_sent ?
				    ACCOUNT_UNKNOWN :
				    ACCOUNT_REFUSED;
	}
	if (!account_put(d->run->account, &line))
		atomic_store(&d->run->account_failed, true);
}

bool link_message_done(struct driver *d, struct link *l)
{
	const struct client_verdict *v = client_verdict(&l->client);
	bool accepted = v->outcome == CLIENT_ACCEPTED;
	uint64_t now_ns = stopwatch_ns();

	if (d->run->account)
		keep_account(d, l, accepted);
	if (!accepted) {
		tally_fail(&d->tally, TALLY_STAGE_MESSAGE, v);
		return false;
	}
	tally_time(&d->tally, TALLY_TRANSACTION, now_ns - l->begun_ns);
	tally_time(&d->tally, TALLY_MESSAGE,
		   now_ns - (l->due_ns ? l->due_ns : l->begun_ns));
	d->tally.messages++;
	d->tally.recipients += l->accepted_n;
	d->tally.bytes += mail_bytes(&l->mail);
	d->tally.by_bdat += l->client.body.framing == CLIENT_COUNTED;
	d->tally.pipelined += l->client.hello.pipelining;
	return true;
}
