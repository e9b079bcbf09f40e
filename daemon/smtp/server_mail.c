#include "smtp/server_mail.h"

#include "base/must.h"
#include "smtp/server_reply.h"

void server_mail_taken(struct smtp_server *s)
{
	s->mail_open = true;
	s->smtputf8 = s->mail.smtputf8;
	s->mails++;
}

void server_mail_recipient_taken(struct smtp_server *s)
{
	MUST(s->mail_open && s->recipients < s->options->recipients_max);
	s->recipients++;
}

void server_mail_done(struct smtp_server *s)
{
	s->mail_open = false;
	s->smtputf8 = false;
	s->chunked = false;
	s->recipients = 0;
}

void server_mail_drop(struct smtp_server *s)
{
	if (s->mail_open)
		s->discard = true;
	server_mail_done(s);
}

void server_mail_close(struct smtp_server *s)
{
	server_mail_drop(s);
	server_state_set(s, SMTP_CLOSING);
}

static void server_mail_refuse(struct smtp_server *s, struct smtp_io *io,
			       const struct command_fault *fault)
{
	if (fault->reply == REPLY_SYNTAX || fault->reply == REPLY_BAD_PARAMETER)
		server_reply_put_detail(s, io->out, fault->reply,
					fault->detail);
	else
		server_reply_put(s, io->out, fault->reply);
}

/* Parameters are an extension: they need an EHLO (RFC 5321 2.2.1). */
static bool server_mail_allows(const struct smtp_server *s, bool extended,
			       struct command_fault *fault)
{
	if (extended && !s->extended) {
		*fault = (struct command_fault){ REPLY_BAD_PARAMETER,
						 SPAN("say EHLO first") };
		return false;
	}
	return true;
}

static bool server_mail_parse(struct smtp_server *s, struct span argument,
			      struct command_fault *fault)
{
	if (!command_parse_mail(argument, &s->mail, fault) ||
	    !server_mail_allows(s, s->mail.extended, fault))
		return false;
	/* RFC 1870 6.1: a size that was declared is refused early. */
	if (s->mail.size > s->options->message_max) {
		fault->reply = REPLY_TOO_BIG;
		return false;
	}
	return true;
}

void server_mail_mail(struct smtp_server *s, struct smtp_io *io,
		      struct span argument)
{
	const struct smtp_server_options *o = s->options;
	struct command_fault fault;

	MUST(s->tls_version);
	if (!s->greeted)
		server_reply_put_detail(s, io->out, REPLY_BAD_SEQUENCE,
					SPAN("say EHLO first"));
	else if (o->require_auth && !s->authenticated)
		server_reply_put(s, io->out, REPLY_AUTH_REQUIRED);
	else if (s->mail_open)
		server_reply_put_detail(s, io->out, REPLY_BAD_SEQUENCE,
					SPAN("one MAIL at a time"));
	else if (o->messages_max && s->mails >= o->messages_max)
		server_reply_put(s, io->out, REPLY_TOO_MANY_MESSAGES);
	else if (!server_mail_parse(s, argument, &fault))
		server_mail_refuse(s, io, &fault);
	else
		server_state_set(s, SMTP_CHECKING_MAIL);
}

void server_mail_rcpt(struct smtp_server *s, struct smtp_io *io,
		      struct span argument)
{
	struct command_fault fault;

	if (!s->mail_open)
		server_reply_put_detail(s, io->out, REPLY_BAD_SEQUENCE,
					SPAN("send MAIL first"));
	else if (s->chunked)
		server_reply_put_detail(s, io->out, REPLY_BAD_SEQUENCE,
					SPAN("the message has begun"));
	else if (!command_parse_rcpt(argument, s->smtputf8, &s->rcpt, &fault) ||
		 !server_mail_allows(s, s->rcpt.extended, &fault))
		server_mail_refuse(s, io, &fault);
	else if (s->recipients >= s->options->recipients_max)
		server_reply_put(s, io->out, REPLY_TOO_MANY_RECIPIENTS);
	else
		server_state_set(s, SMTP_CHECKING_RCPT);
}

void server_mail_rset(struct smtp_server *s, struct smtp_io *io)
{
	server_reply_put(s, io->out, REPLY_OK);
	server_mail_drop(s);
}
